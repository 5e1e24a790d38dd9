"""The use cases of erasing: forget at once, then carry it into every model, and give a receipt.

`begin` is one transaction: the key is destroyed, the tombstone is up, the apps' rows are gone, and whatever the wheel
is doing at the moment can no longer be promoted. `run` does the rest in steps; each leaves its mark in the erasure's
row, so that after `kill -9` the same call goes on, and what was done is not done twice:

    find → rebuild (each model that serves or could) → swap → find again … → destroy → sign

Nothing that serves is taken away before its successor is whole on disk, and nothing is destroyed before it stopped
serving.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import sqlalchemy as sa

from ikkan import __version__
from ikkan.flywheel import store as decisions
from ikkan.flywheel import trials
from ikkan.flywheel.contract import Budget, Learnable
from ikkan.flywheel.erasure import store
from ikkan.flywheel.erasure.rebuild import Reads, Rebuilder, Rebuilt
from ikkan.flywheel.erasure.receipt import ReceiptKey
from ikkan.flywheel.erasure.store import Cause, Erasure
from ikkan.flywheel.erasure.swap import Names, Swapper
from ikkan.flywheel.gate import Terms
from ikkan.flywheel.lineage import Lineage, Origin, orphans, trace
from ikkan.flywheel.values import Decision
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import Conflict, Internal, NotFound, UnknownArtifact
from ikkan.ground.eventlog import Owner, Skeleton
from ikkan.ground.ids import ArtifactId, SubjectId, TenantId, new_id

log = logging.getLogger(__name__)

Progress = Callable[[float, str], None]
Forget = Callable[[sa.Connection, TenantId, SubjectId], Mapping[str, int]]
"""Takes a person out of every other room's rows; says of how many, by room."""

_MOST_ROUNDS = 50
"""Rounds of find, rebuild and swap: one a generation of descendants, and one for each promotion in between."""


class People(Protocol):
    """What erasing needs of `ground.eventlog.EventLog`."""

    def tombstone(self, tenant_id: TenantId, subject_id: SubjectId) -> str: ...
    def is_known(self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> bool: ...
    def skeleton(self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> Skeleton: ...
    def erase(self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> None: ...
    def returned(self, connection: sa.Connection) -> Sequence[Owner]: ...
    def erased_owners(self, connection: sa.Connection, *, apart_from: frozenset[str]) -> Sequence[Owner]: ...


class Step(Protocol):
    """Runs one idempotent step, or gives back what it returned before a stop: `ground.jobs.JobContext.step`."""

    def __call__(self, name: str, fn: Callable[[], Any]) -> Any: ...


class Eraser:
    """Erases people, in the data and in what was learned from it.

    Args:
        people: the event log, which holds keys and tombstones.
        reads: what each learnable is given to read (`Flywheel.reads`).
        forget: takes a person out of all other rooms.
        record: keeps a decision, in the transaction of what was decided (`Flywheel.record`).
        key: signs receipts.
    """

    def __init__(
        self,
        database: Database,
        people: People,
        reads: Reads,
        registry: Names,
        artifacts: ArtifactStore,
        learnables: Sequence[Learnable],
        clock: Clock,
        key: ReceiptKey,
        *,
        forget: Forget,
        record: Callable[[sa.Connection, Decision], None],
        terms: Terms | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._database = database
        self._people = people
        self._registry = registry
        self._artifacts = artifacts
        self._learnables = {learnable.name: learnable for learnable in learnables}
        self._clock = clock
        self._key = key
        self._forget = forget
        self._swapper = Swapper(registry, clock, record)
        self._rebuilder = Rebuilder(reads, artifacts, budget or Budget(), terms or Terms())

    @property
    def public_key(self) -> str:
        """What this house's receipts are checked with."""
        return self._key.public

    # ---- asked for ---------------------------------------------------------------------------------------------------

    def begin(self, tenant_id: TenantId, subject_id: SubjectId) -> Erasure:
        """Forget a person for good, in one transaction; `run` carries it into the models. Twice is once.

        Raises:
            NotFound: nothing is known of this person.
        """
        tombstone = self._people.tombstone(tenant_id, subject_id)
        with self._database.read() as connection:
            found = store.of(connection, tombstone)
            if found is None and not self._people.is_known(connection, tenant_id, subject_id):
                raise NotFound(
                    f"nothing is known of {subject_id!r} of tenant {tenant_id!r}",
                    hint="a person goes by the pseudonym in `ikkan flywheel lineage` and the events page, or by what"
                    " your program calls them: ikkan flywheel erase NAME --tenant TENANT",
                    tenant=tenant_id,
                )
        if found is not None:
            return found
        with self._database.transaction() as connection:
            return self._begin(connection, Owner(tenant_id, subject_id), "asked")

    def begin_again(self) -> list[Erasure]:
        """Forget whom the tombstones name and the database still knows, or whose models were never looked at.

        As after a restore, whose backup holds the person's key, their rows and models that learned from them. To be
        run, and each of them then to be `run`, before anyone is served.
        """
        with self._database.transaction() as connection:
            returned = set(self._people.returned(connection))
            seen = frozenset(erasure.tombstone for erasure in store.every(connection))
            unseen = set(self._people.erased_owners(connection, apart_from=seen))
            again = [self._begin(connection, owner, "returned") for owner in sorted(returned | unseen)]
        return [erasure for erasure in again if erasure.state != "done"]

    def _begin(self, connection: sa.Connection, owner: Owner, cause: Cause) -> Erasure:
        counts = {room: changed for room, changed in self._forget(connection, *owner).items() if changed}
        evidence = trials.forget(connection, owner.subject_id)
        self._people.erase(connection, *owner)
        made = Erasure(
            id=new_id("erasure"),
            tombstone=self._people.tombstone(*owner),
            tenant_id=owner.tenant_id,
            subject_id=owner.subject_id,
            cause=cause,
            state="begun",
            asked_at=self._clock.now(),
            done_at=None,
            work={"rows": counts, "evidence": evidence},
            receipt=None,
        )
        kept = store.add(connection, made)
        log.info("a person was erased", extra={"erasure": kept.id, "cause": cause})
        return kept

    def erasure(self, erasure_id: str) -> Erasure:
        """One erasure.

        Raises:
            NotFound: there is none of this id.
        """
        with self._database.read() as connection:
            found = store.get(connection, erasure_id)
        if found is None:
            raise NotFound(f"no erasure {erasure_id[:80]}", hint="ikkan flywheel receipt list", erasure=erasure_id[:80])
        return found

    def erasures(self) -> list[Erasure]:
        """All erasures, the latest first."""
        with self._database.read() as connection:
            return store.every(connection)

    def unfinished(self, cause: Cause) -> list[Erasure]:
        """Those that were stopped on their way, the oldest first."""
        return [one for one in reversed(self.erasures()) if one.state != "done" and one.cause == cause]

    def lineage(self, tenant_id: TenantId, subject_id: SubjectId) -> Lineage:
        """What a person is in now."""
        with self._database.read() as connection:
            events = self._people.skeleton(connection, tenant_id, subject_id).ids
            told = decisions.every(connection)
        return trace(told, self._artifacts, events)

    # ---- carried out -------------------------------------------------------------------------------------------------

    def run(self, erasure_id: str, *, step: Step | None = None, progress: Progress | None = None) -> dict[str, Any]:
        """Carry an erasure into every model and return the signed receipt. Call it again after a stop.

        Raises:
            NotFound: there is no such erasure.
        """
        do = step or (lambda name, fn: fn())
        tell = progress or (lambda fraction, message: None)
        erasure = self.erasure(erasure_id)
        if erasure.receipt is not None:
            return dict(erasure.receipt)
        for turn in range(_MOST_ROUNDS):
            tell(0.05, "looking for what they are in")
            serving: list[ArtifactId] = do(f"find {turn}", lambda: self._find(erasure_id))
            for at, old in enumerate(serving):
                tell(0.1 + 0.7 * at / len(serving), f"making {old[7:19]} again without them")
                do(f"rebuild {turn}.{at}", lambda old=old: self._rebuild(erasure_id, old))  # type: ignore[misc]
            tell(0.8, "swapping")
            if not do(f"swap {turn}", lambda: self._swap(erasure_id)):
                break
        else:
            raise Internal("models change faster than they can be made again", hint="stop the schedule; then go on")
        tell(0.9, "destroying what held them")
        do("destroy", lambda: self._destroy(erasure_id))
        tell(0.95, "signing the receipt")
        receipt: dict[str, Any] = do("sign", lambda: self._sign(erasure_id))
        return receipt

    def _traced(self, erasure: Erasure, freed: Sequence[ArtifactId] = ()) -> tuple[Skeleton, Lineage, int]:
        """The person's events, what these have reached, and how many decisions that was read from."""
        assert erasure.subject_id is not None, "the pseudonym is kept until all is done"
        freed = [*freed, *(ArtifactId(each["new"]) for each in erasure.work.get("swapped", ()))]
        with self._database.read() as connection:
            skeleton = self._people.skeleton(connection, erasure.tenant_id, erasure.subject_id)
            told = decisions.every(connection)
        return skeleton, trace(told, self._artifacts, skeleton.ids, freed=freed), len(told)

    def _find(self, erasure_id: str) -> list[ArtifactId]:
        """What must be made again now: what serves, or could, unless its parent must be made again first."""
        erasure = self.erasure(erasure_id)
        if erasure.state != "begun":
            return []
        skeleton, found, _ = self._traced(erasure)
        with self._database.read() as connection:
            serving = [
                artifact
                for artifact in found.artifacts
                if self._can_make(found.origins.get(artifact))
                and any(self._registry.under(connection, artifact).values())
            ]
        ready = [artifact for artifact in serving if not set(found.parents[artifact]) & set(serving)]
        work = dict(erasure.work)
        work.setdefault("events", {"count": len(skeleton.ids), "sha256": skeleton.sha256})
        work["datasets"] = {**work.get("datasets", {}), **found.datasets}
        work["doomed"] = sorted({*work.get("doomed", ()), *found.artifacts})
        work["origins"] = {artifact: asdict(found.origins[artifact]) for artifact in ready}
        with self._database.transaction() as connection:
            store.change(connection, erasure_id, work=work)
        return ready

    def _can_make(self, origin: Origin | None) -> bool:
        return origin is not None and origin.learnable in self._learnables

    def _rebuild(self, erasure_id: str, old: ArtifactId) -> str | None:
        """Make one model again, unless that was done; None where somebody else's erasure was faster."""
        erasure = self.erasure(erasure_id)
        work = dict(erasure.work)
        if old in work.get("rebuilt", {}):
            return str(work["rebuilt"][old]["new"])
        if erasure.state != "begun" or old not in work["origins"]:
            return None
        origin = Origin(**work["origins"][old])
        try:
            made = self._rebuilder.rebuild(self._learnables[origin.learnable], origin, old, self._clock.now())
        except UnknownArtifact:
            log.info("a dataset was destroyed meanwhile", extra={"erasure": erasure_id, "dataset": origin.dataset})
            return None
        work["rebuilt"] = {**work.get("rebuilt", {}), old: made.as_json()}
        with self._database.transaction() as connection:
            store.change(connection, erasure_id, work=work)
        return made.new

    def _swap(self, erasure_id: str) -> int:
        """Everything that was made again takes its place, in one transaction; says how much still waits."""
        erasure = self.erasure(erasure_id)
        if erasure.state != "begun":
            return 0
        assert erasure.subject_id is not None, "the pseudonym is kept until all is done"
        made = [Rebuilt(**one) for one in erasure.work.get("rebuilt", {}).values()]
        _, found, told = self._traced(erasure, [one.new for one in made])
        with self._database.transaction() as connection:
            now = store.get(connection, erasure_id)
            if now is None or now.state != "begun" or decisions.how_many(connection) != told:
                return 1  # somebody decided something meanwhile: look again
            swapped = list(now.work.get("swapped", ()))
            done = {each["old"] for each in swapped}
            for one in made:
                names = self._registry.under(connection, one.old)
                is_done = one.old == one.new and one.old in done
                if any(names.values()) and not is_done:
                    swapped.append(self._swapper.put_in_place(connection, erasure.id, one, names))
            waits, withdrawn = 0, dict(now.work.get("withdrawn", {}))
            for artifact in found.artifacts:
                for name, aliases in self._registry.under(connection, artifact).items():
                    if aliases and self._can_make(found.origins.get(artifact)):
                        waits += 1  # a descendant, or promoted meanwhile: the next round makes it again
                        continue
                    # Nobody here knows how to make it, or nobody is served by it.
                    withdrawn[artifact] = sorted({*withdrawn.get(artifact, ()), *aliases})
                    self._registry.withdraw(connection, name, artifact, f"erasure {erasure.id}")
            # A look at a trial that was under way when the person was erased may have counted them again.
            evidence = now.work["evidence"] + trials.forget(connection, erasure.subject_id)
            work = {
                **now.work,
                "swapped": swapped,
                "withdrawn": withdrawn,
                "evidence": evidence,
                "datasets": {**now.work["datasets"], **found.datasets},
                "doomed": sorted({*now.work["doomed"], *found.artifacts}),
            }
            store.change(connection, erasure_id, work=work, state="begun" if waits else "swapped")
            return waits

    def _destroy(self, erasure_id: str) -> int:
        """Delete the files of everything that held the person; returns how many artifacts went."""
        erasure = self.erasure(erasure_id)
        if erasure.state in ("destroyed", "done"):
            return len(erasure.work["destroyed"])
        work = dict(erasure.work)
        kept = {each["new"] for each in work.get("swapped", ())}
        with self._database.read() as connection:
            told = decisions.every(connection)
            # A turn that is under way has some too; begun before the erasure, it promotes nothing of it any more.
            left = orphans(told, self._artifacts, set(self._learnables), erasure.asked_at)
            left = [artifact for artifact in left if not self._registry.under(connection, artifact)]
            doomed = [ArtifactId(each) for each in work["doomed"] if each not in kept]
            back = [each for each in doomed if any(self._registry.under(connection, each).values())]
        if back:
            # Somebody's word put one back in the moment between: it is made again like the others.
            with self._database.transaction() as connection:
                store.change(connection, erasure_id, state="begun")
            raise Conflict(f"{back[0]} was promoted meanwhile", hint="erase again; it goes on", erasure=erasure_id)
        going = sorted({*doomed, *map(ArtifactId, work["datasets"]), *left} - kept)
        for artifact in going:
            self._artifacts.delete(artifact)
        with self._database.transaction() as connection:
            store.change(connection, erasure_id, state="destroyed", work={**work, "destroyed": going})
        return len(going)

    def _sign(self, erasure_id: str) -> dict[str, Any]:
        erasure = self.erasure(erasure_id)
        if erasure.receipt is not None:
            return dict(erasure.receipt)
        work, now = erasure.work, self._clock.now()
        swapped: list[dict[str, Any]] = list(work.get("swapped", ()))
        without = {each["dataset"]: each["without"] for each in swapped}
        keys = ("learnable", "aliases", "old", "new", "code", "decision", "gone", "left", "n", "gain", "lower", "upper")
        receipt = self._key.sign(
            {
                "format": "ikkan-erasure-receipt-1",
                "id": erasure.id,
                "person": erasure.tombstone,
                "tenant_id": erasure.tenant_id,
                "cause": erasure.cause,
                "erased_at": erasure.asked_at.isoformat(),
                "finished_at": now.isoformat(),
                "events": work["events"],
                "rows": work["rows"],
                "evidence": work["evidence"],
                "datasets": [
                    {"old": old, "examples": hit, "new": without.get(old)} for old, hit in work["datasets"].items()
                ],
                "artifacts": [{key: each[key] for key in keys} for each in swapped],
                "withdrawn": work.get("withdrawn", {}),
                "destroyed": work["destroyed"],
                "nothing_to_rebuild": not work["datasets"] and not work["doomed"],
                "version": __version__,
            }
        )
        with self._database.transaction() as connection:
            other = store.get(connection, erasure_id)
            if other is not None and other.receipt is not None:
                return dict(other.receipt)
            store.change(connection, erasure_id, state="done", done_at=now, receipt=receipt, subject_id=None)
        log.info("an erasure is complete", extra={"erasure": erasure.id, "destroyed": len(work["destroyed"])})
        return receipt
