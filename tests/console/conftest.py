"""The console's pages around real rooms where they are cheap, and fakes for the wheel, the jobs and the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from ikkan import console
from ikkan.cloud.assembly import Cloud, assemble
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.console.desk import Desk, Measurements
from ikkan.console.words import WORDS
from ikkan.flywheel import REVERSIBLE, Decision, Explanation, OwnCorrection, Replay, Standing, Status, Trial
from ikkan.flywheel.forced import checked_reason
from ikkan.flywheel.statistics import Interval
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import Conflict, IkkanError, NotFound, UnknownJob
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import ArtifactId, DecisionId, JobId
from ikkan.ground.jobs import JobStatus
from ikkan.ground.settings import Settings
from ikkan.kit import Frame, Place, Session, SessionKeeper, Words
from ikkan.models.store import ModelStore
from ikkan.silicon.device import DeviceProfile, roofline

LEARNABLE = "assistant.answer"
CHAMPION, CANDIDATE = ArtifactId("sha256:" + "c" * 64), ArtifactId("sha256:" + "d" * 64)


def decided(outcome: str = "promoted", *, drill: bool = False, **more: Any) -> Decision:
    """A decision as the flywheel records it."""
    fields: dict[str, Any] = {
        "id": DecisionId(f"decision-{outcome}-{drill}"),
        "learnable": LEARNABLE,
        "decided_at": datetime(2026, 5, 30, 3, tzinfo=UTC),
        "decision": outcome,
        "code": "better",
        "reasons": {"en": "better on later questions", "ja": "後日の質問で良い結果でした"},
        "champion": CHAMPION,
        "candidate": CANDIDATE,
        "judged": CANDIDATE,
        "dataset": ArtifactId("sha256:" + "e" * 64),
        "until": datetime(2026, 5, 30, 3, tzinfo=UTC),
        "seed": 0,
        "drill": drill,
        "digest": "f" * 64,
        "n": 40,
        "gain": 0.2,
        "lower": 0.1,
        "upper": 0.3,
        "numbers": {
            "people": 12,
            "level": 0.975,
            "champion_score": 0.4,
            "candidate_score": 0.6,
            "refit_score": 0.7,
            "slices": {"ja": {"score": 0.4, "n": 20, "people": 6, "gain": -0.1, "lower": -0.2, "upper": -0.01}},
            "baselines": {"never": {"score": 0.3, "n": 40, "people": 12, "gain": 0.3, "lower": 0.1, "upper": 0.4}},
            "teaching": 60,
            "judging": 40,
            "risks": [{"en": "few people judged", "ja": "判定した人が少数です", "code": "few_people"}],
        },
    }
    return Decision(**{**fields, **more})


INSTALLED = {"gain": None, "lower": None, "upper": None, "numbers": {}, "judged": None, "champion": None}


@dataclass
class FakeWheel:
    """Remembers what it was asked; decides nothing."""

    decisions: list[Decision] = field(default_factory=list)
    names: list[str] = field(default_factory=lambda: [LEARNABLE])
    own: tuple[OwnCorrection, ...] = ()
    rolled_back: list[str] = field(default_factory=list)

    trial: Trial | None = None
    standing: Standing | None = None
    more: dict[str, Any] = field(default_factory=dict)
    signed: list[tuple[str, str, bool, str, str]] = field(default_factory=list)
    promoted: list[tuple[str, str, str, str]] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    same: bool = True

    def status(self, name: str) -> Status:
        last = self.decisions[0] if self.decisions else None
        previous = CHAMPION if last and last.decision == "promoted" else None
        about = {"trial": self.trial, "standing": self.standing, **self.more}
        return Status(name, CHAMPION, previous, None, 1_234, 345, 34, last, **about)

    def decision(self, decision_id: DecisionId) -> Decision:
        found = next((each for each in self.decisions if each.id == decision_id), None)
        if found is None:
            raise NotFound(f"no decision {decision_id}", hint="look at the wheel")
        return found

    def looks(self, name: str) -> tuple[Trial | None, list[Decision]]:
        about = [each for each in self.decisions if self.trial and self.trial.id == each.numbers.get("trial")]
        return self.trial, about[::-1]

    def look(self, name: str) -> None:
        self.looked.append(name)

    def sign(self, name: str, who: str, *, accepted: bool, note: str, decision_id: str) -> Decision:
        self.signed.append((name, who, accepted, note, decision_id))
        return decided("promoted")

    def promote(self, name: str, artifact: str, reason: str, *, who: str) -> Decision:
        self.promoted.append((name, artifact, checked_reason(reason), who))
        return decided("promoted")

    def replay(self, decision_id: DecisionId) -> Replay:
        decision = self.decision(decision_id)
        if decision.gain is None:
            raise NotFound(f"decision {decision_id} judged nobody", hint="only a judgement can be replayed")
        differences = {} if self.same else {"gain": (0.2, 0.1)}
        return Replay(decision, self.same, differences, 0 if self.same else 3)

    def history(self, name: str, limit: int = 50) -> list[Decision]:
        return self.decisions[:limit]

    def explain(self, decision_id: DecisionId) -> Explanation:
        return Explanation(next(each for each in self.decisions if each.id == decision_id), self.own, 1)

    def rollback(self, name: str, reason: str = "") -> Decision:
        if not self.status(name).can_roll_back:
            raise Conflict(f"{name} has no previous model to go back to", hint="the first promotion makes one")
        self.rolled_back.append(name)
        return decided("rolled_back")


@dataclass
class FakeJobs:
    """Jobs that stand where a test puts them."""

    jobs: dict[str, JobStatus] = field(default_factory=dict)
    started: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def start_once(self, name: str, key: str, /, **kwargs: Any) -> JobId:
        self.started.append((name, kwargs))
        job_id = JobId(f"job-{len(self.started)}")
        self.put(job_id, name, "running", 0.25, "half of the half")
        return job_id

    def put(
        self,
        job_id: str,
        name: str,
        state: Any,
        progress: float = 1.0,
        message: str = "",
        error: IkkanError | None = None,
    ) -> None:
        now = datetime(2026, 6, 1, tzinfo=UTC)
        self.jobs[job_id] = JobStatus(JobId(job_id), name, state, progress, message, error, None, now, now)

    def status(self, job_id: JobId) -> JobStatus:
        if job_id not in self.jobs:
            raise UnknownJob(f"no job {job_id}", hint="ikkan job list")
        return self.jobs[job_id]

    def list(self, *, limit: int = 50, name: str | None = None) -> list[JobStatus]:
        return [job for job in reversed(self.jobs.values()) if name in {None, job.name}][:limit]


@dataclass
class House:
    """The pages, and the fakes behind them."""

    desk: Desk
    wheel: FakeWheel
    jobs: FakeJobs
    engine: FakeUpstream
    served: list[str]
    app: Starlette

    def visitor(self, who: str = "admin", **headers: str) -> TestClient:
        """A browser: an admin or user without a key at this machine, a stranger, or whoever has a key."""
        return TestClient(
            self.app,
            base_url="http://127.0.0.1:8700",
            headers={"x-who": who, "sec-fetch-site": "same-origin", **headers},
            follow_redirects=False,
            raise_server_exceptions=True,
        )


@pytest.fixture
def house(
    settings: Settings, clock: FakeClock, _fresh_sqlite: Callable[[Path], Any], tmp_path: Path
) -> Iterator[House]:
    """Every page of the console, on a fresh home."""
    with _fresh_sqlite(tmp_path) as url:
        database = Database(url)
        yield _house(settings, clock, database)
        database.close()


def _house(settings: Settings, clock: FakeClock, database: Database) -> House:
    keys = Keys.open(settings.keys_dir)
    events = EventLog(database, clock, keys)
    cloud = assemble(database, clock, events, keys, allow_keyless=True)
    engine = FakeUpstream(name="local", offered=["default", "fake"])
    cloud.router.register("local", engine, models=[])
    cloud.service.prepare(aliases={"default": ["local/default"]})
    words = Words(WORDS)
    keeper = SessionKeeper(b"s" * 32, clock)
    frame = Frame(keeper, words, _admission(cloud, keeper))
    frame.add_templates("ikkan.console")
    frame.add_place(Place("/", "nav.home"))
    frame.add_place(Place("/keys", "nav.keys", admin=True))
    wheel, jobs, served = FakeWheel(), FakeJobs(), []

    def sign_in(secret: str) -> Session | None:
        every = cloud.service.keys()
        found = [key for key in every if key.id in secret and not key.is_revoked]
        return _session(keeper, found[0].id, tuple(sorted(found[0].scopes))) if found else None

    desk = Desk(
        settings=settings,
        clock=clock,
        database=database,
        events=events,
        frame=frame,
        jobs=jobs,  # type: ignore[arg-type]
        store=ModelStore(settings.models_dir),
        cloud=cloud,
        flywheel=wheel,  # type: ignore[arg-type]
        sign_in=sign_in,
        use_model=served.append,
        look_at_machine=lambda: Measurements(PROFILE, roofline(PROFILE)),
    )

    async def say(request: Request, error: Exception) -> Any:
        assert isinstance(error, IkkanError)
        return console.page_error(frame, request, error)

    app = Starlette(routes=console.routes(desk), exception_handlers={IkkanError: say})
    return House(desk, wheel, jobs, engine, served, app)


def _session(keeper: SessionKeeper, key_id: str | None, scopes: tuple[str, ...]) -> Session:
    return keeper.open("local", key_id=key_id, subject_id="s-me", scopes=scopes)


def _admission(cloud: Cloud, keeper: SessionKeeper) -> Callable[[Request, Session | None], Session | None]:
    scopes = {"admin": ("user", "admin"), "user": ("user",)}

    def admit(request: Request, session: Session | None) -> Session | None:
        if session is not None:
            return session
        who = request.headers.get("x-who", "stranger")
        return _session(keeper, None, scopes[who]) if who in scopes else None

    return admit


PROFILE = DeviceProfile(
    processor="Test Processor",
    cores=2,
    threads=2,
    instruction_sets=("avx2",),
    memory_bytes=8 * 2**30,
    memory_available_bytes=4 * 2**30,
    caches=(),
    read_gb_s=20.0,
    int8_tops=0.4,
    kernel_path="avx2",
    measured_at=datetime(2026, 6, 1, tzinfo=UTC),
)


AT = datetime(2026, 5, 30, 3, tzinfo=UTC)


def on_people(state: Any = "canary", share: float = 0.25) -> Trial:
    """A trial in this state."""
    ids = DecisionId("decision-trying-False"), DecisionId("look-3")
    return Trial(ids[0], LEARNABLE, 2, CANDIDATE, CHAMPION, REVERSIBLE, "salt", state, share, AT, AT, None, AT, ids[1])


def looked(number: int, people: int, gain: float, *, code: str = "collecting", outcome: str = "trying") -> Decision:
    """A look at that trial."""
    numbers = {"trial": "decision-trying-False", "phase": "canary", "people": people, "level": 0.995}
    numbers["guards"] = {"complaints": {"n": people, "gain": 0.0, "lower": -0.2, "upper": 0.2}}
    more = {"id": DecisionId(f"look-{number}"), "code": code, "n": people, "gain": gain, "numbers": numbers}
    return decided(outcome, **more, lower=gain - 20 / people, upper=gain + 20 / people)


@pytest.fixture
def canary(house: House, wheel_history: list[Decision]) -> None:
    """A trial on people, after three looks."""
    wheel = house.wheel
    wheel.trial = on_people()
    zero = Interval(0.01, -0.2, 0.2, 120, 120)
    wheel.standing = Standing("canary", 120, 30, Interval(0.08, -0.09, 0.25, 120, 120), {"complaints": zero})
    looks = [looked(number, people, gain) for number, people, gain in ((3, 120, 0.08), (2, 80, 0.05), (1, 40, -0.1))]
    wheel.decisions = [*looks, decided("trying"), *wheel_history]


@pytest.fixture
def wheel_history() -> list[Decision]:
    """A refused drill, after a promotion, after the first model; newest first."""
    return [decided("refused", drill=True), decided("promoted"), decided("installed", **INSTALLED)]
