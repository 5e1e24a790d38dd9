"""Which upstream answers: names to targets, and targets that failed a moment ago to the back of the queue."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidTag

from ikkan.cloud.directory import Snapshot, UpstreamRecord, read_quirks, unseal_key
from ikkan.cloud.freshness import Freshness
from ikkan.cloud.tuning.values import PREFIX, TUNED, TunedModel
from ikkan.cloud.upstreams import Health, Upstream
from ikkan.cloud.upstreams.adapted import Loader
from ikkan.cloud.upstreams.mannered import Failures, Mannered
from ikkan.cloud.upstreams.openai_wire import HttpPool, OpenAIWire, Timeouts
from ikkan.cloud.values import Manner
from ikkan.ground.errors import IkkanError, RateLimited, SetupNeeded, UnknownModel, UpstreamFailed
from ikkan.ground.eventlog import Keys
from ikkan.ground.ids import TenantId
from ikkan.ground.money import FREE, Price

log = logging.getLogger(__name__)

FIRST_COOL_DOWN_S = 1.0
LONGEST_COOL_DOWN_S = 30.0
CATALOGUE_S = 30.0
"""How long a list of an upstream's models is believed."""


@dataclass(frozen=True, slots=True)
class Target:
    """Somewhere a request can go."""

    upstream_name: str
    upstream: Upstream
    model: str
    """The upstream's own name for it."""
    price: Price | None
    """None where nobody has said; the answer is then free, and marked as unpriced."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A model that clients may ask for."""

    id: str
    owned_by: str
    created: int | None = None
    """Seconds since 1970, where that is known."""


@dataclass
class _Standing:
    """How an upstream has been doing."""

    failures: int = 0
    rests_until: float = 0.0


@dataclass(frozen=True, slots=True)
class _Registered:
    upstream: Upstream
    models: Sequence[str]
    price: Price | None


@dataclass
class _Built:
    record: UpstreamRecord
    sealed: bytes | None
    upstream: OpenAIWire
    models: Sequence[str] = ()
    listed_at: float = field(default=float("-inf"))


class Router:
    """Finds the upstreams for a model.

    Args:
        freshness: where the directory is read.
        http: connections for upstreams on the wire.
        secret_of: the value of an environment variable, or None; `bootstrap` knows the environment.
        sealer: opens upstream keys that are kept encrypted.
        tuned: lets engines answer with tenants' own adapters; None where there are none.
    """

    def __init__(
        self,
        freshness: Freshness,
        http: HttpPool,
        *,
        secret_of: Callable[[str], str | None] = lambda name: None,
        sealer: Keys | None = None,
        timeouts: Timeouts = Timeouts(),
        monotonic: Callable[[], float] = time.monotonic,
        tuned: Loader | None = None,
    ) -> None:
        self._freshness = freshness
        self._http = http
        self._secret_of = secret_of
        self._sealer = sealer
        self._timeouts = timeouts
        self._monotonic = monotonic
        self._registered: dict[str, _Registered] = {}
        self._built: dict[str, _Built] = {}
        self._standing: dict[str, _Standing] = {}
        self._tuned = tuned
        self._seen: Snapshot | None = None
        self._unloading: set[asyncio.Task[None]] = set()
        self._manners = Failures(monotonic)

    def register(self, name: str, upstream: Upstream, *, models: Sequence[str], price: Price | None = FREE) -> None:
        """Add an upstream that lives in this process. Its models are known by their bare names."""
        assert name not in self._registered, f"two upstreams of this process are called {name}"
        self._registered[name] = _Registered(upstream, tuple(models), price)

    async def resolve(
        self, model: str, tenant_id: TenantId | None = None, manner: Manner | None = None
    ) -> Sequence[Target]:
        """Who can answer for this name, best first. Those resting after a failure come last.

        A model of the tenant's own wins over an alias, that over a registered model, that over `upstream/model`, that
        over a bare name some upstream lists. Other tenants' models are not there; without a tenant, nobody's own.

        Args:
            manner: an adapter to answer with, where an upstream can load it.

        Raises:
            UnknownModel: nobody.
        """
        snapshot = await self._look()
        if model.startswith(TUNED) and model not in snapshot.tuned:
            self._freshness.expire()  # a worker may have made it this moment, and told whoever asks for it now
            snapshot = await self._look()
        alias = snapshot.aliases.get(model)
        found: Sequence[Target]
        own = snapshot.tuned.get(model)
        if own is not None and own.tenant_id == tenant_id:
            found = [self._own(snapshot, own)]
        elif alias is not None:
            found = self._behind(snapshot, alias.targets)
        elif (registered := self._by_registered_model(model)) is not None:
            found = [registered]
        elif "/" in model and (named_one := self._target(snapshot, *_split(model))) is not None:
            found = [named_one]
        else:
            found = await self._by_bare_name(snapshot, model)
        if not found:
            raise UnknownModel(f"there is no model {model!r} here", hint="GET /v1/models lists what there is")
        if manner is not None:
            found = [self._mannered(snapshot, target, manner) for target in found]
        now = self._monotonic()
        return sorted(found, key=lambda target: max(0.0, self._state(target.upstream_name).rests_until - now))

    async def offered(self, tenant_id: TenantId | None = None) -> Sequence[Offered]:
        """Every model this tenant may ask for: aliases, models of this process, the upstreams' lists, and its own."""
        self._freshness.expire()  # whoever was told this moment that a model is made asks for the list next
        snapshot = await self._look()
        found = {name: Offered(name, "ikkan") for name in snapshot.aliases}
        for name, registered in self._registered.items():
            for model in registered.models:
                found.setdefault(model, Offered(model, name))
        lists = await asyncio.gather(*(self._catalogue(snapshot, name) for name in snapshot.upstreams))
        for name, models in zip(snapshot.upstreams, lists, strict=True):
            for model in models:
                found.setdefault(f"{name}/{model}", Offered(f"{name}/{model}", name))
        for own in snapshot.tuned.values():
            if own.tenant_id == tenant_id:
                found[own.name] = Offered(own.name, own.tenant_id, int(own.created_at.timestamp()))
        return list(found.values())

    async def health(self) -> Mapping[str, Health]:
        """Whether each upstream answers now, by name."""
        snapshot = await self._freshness.snapshot()

        async def ask(name: str) -> Health:
            try:
                registered = self._registered.get(name)
                one = registered.upstream if registered else self._wire(snapshot, snapshot.upstreams[name])
                return await one.health()
            except IkkanError as error:
                return Health(False, error.message)

        names = [*self._registered, *snapshot.upstreams]
        return dict(zip(names, await asyncio.gather(*map(ask, names)), strict=True))

    def succeeded(self, target: Target) -> None:
        """An answer began: this upstream is well."""
        self._standing.pop(target.upstream_name, None)

    def failed(self, target: Target, error: IkkanError) -> None:
        """Let an upstream rest: longer each time, or as long as it asked for."""
        if not isinstance(error, UpstreamFailed | RateLimited):
            return  # the request's own fault
        standing = self._standing.setdefault(target.upstream_name, _Standing())
        standing.failures += 1
        rest_s = min(FIRST_COOL_DOWN_S * 2 ** (standing.failures - 1), LONGEST_COOL_DOWN_S)
        asked_s = error.facts.get("retry_after_s")
        if isinstance(asked_s, int | float):
            rest_s = max(rest_s, min(float(asked_s), LONGEST_COOL_DOWN_S))
        standing.rests_until = self._monotonic() + rest_s
        log.warning("an upstream rests", extra={"upstream": target.upstream_name, "code": error.code, "rest_s": rest_s})

    async def close(self) -> None:
        """Let go of what is still on its way."""
        for task in list(self._unloading):
            task.cancel()
        await asyncio.gather(*self._unloading, return_exceptions=True)

    async def _look(self) -> Snapshot:
        """The directory; adapters that are in it no more are unloaded meanwhile."""
        snapshot = await self._freshness.snapshot()
        if snapshot is not self._seen:
            before, self._seen = self._seen, snapshot
            for name in (before.tuned.keys() if before else set()) - snapshot.tuned.keys():
                assert before is not None
                task = asyncio.ensure_future(self._unload(snapshot, before.tuned[name]))
                self._unloading.add(task)
                task.add_done_callback(self._unloading.discard)
        return snapshot

    async def _unload(self, snapshot: Snapshot, model: TunedModel) -> None:
        try:
            if model.upstream in snapshot.upstreams:
                await self._wire(snapshot, snapshot.upstreams[model.upstream]).unload_adapter(model.adapter)
        except IkkanError as error:  # it was not loaded, or the engine is not there: then nothing is
            log.info("an adapter was not unloaded", extra={"upstream": model.upstream, "code": error.code})

    def _own(self, snapshot: Snapshot, model: TunedModel) -> Target:
        record = snapshot.upstreams.get(model.upstream)
        if record is None or self._tuned is None:
            raise SetupNeeded(
                f"{model.name} answers on upstream {model.upstream!r}, which is gone", hint="ikkan upstream list"
            )
        price = snapshot.price_of(model.upstream, model.upstream_model)
        return Target(model.upstream, self._tuned.around(self._wire(snapshot, record), model), model.adapter, price)

    def _mannered(self, snapshot: Snapshot, target: Target, manner: Manner) -> Target:
        """The same target, answering with the adapter if it can."""
        record = snapshot.upstreams.get(target.upstream_name)
        can = record is not None and record.quirks.get("adapters") and not target.model.startswith(PREFIX)
        if not can or self._tuned is None or not isinstance(target.upstream, OpenAIWire):
            return target
        return replace(target, upstream=Mannered(self._tuned, target.upstream, target.model, manner, self._manners))

    def _state(self, name: str) -> _Standing:
        return self._standing.get(name) or _Standing()

    def _behind(self, snapshot: Snapshot, targets: Sequence[str]) -> Sequence[Target]:
        found: list[Target] = []
        missing: SetupNeeded | None = None
        for target in targets:
            try:
                one = self._target(snapshot, *_split(target))
            except SetupNeeded as error:
                missing = missing or error  # the next target may do without
                continue
            if one is not None:
                found.append(one)
        if not found and missing is not None:
            raise missing
        return found

    def _by_registered_model(self, model: str) -> Target | None:
        for name, registered in self._registered.items():
            if model in registered.models:
                return Target(name, registered.upstream, model, registered.price)
        return None

    def _target(self, snapshot: Snapshot, upstream_name: str, model: str) -> Target | None:
        registered = self._registered.get(upstream_name)
        if registered is not None:
            return Target(upstream_name, registered.upstream, model, registered.price)
        record = snapshot.upstreams.get(upstream_name)
        if record is None or model.startswith(PREFIX):
            return None  # adapters of tenants are asked for by their models' names
        price = snapshot.price_of(upstream_name, model)
        return Target(upstream_name, self._wire(snapshot, record), model, price)

    async def _by_bare_name(self, snapshot: Snapshot, model: str) -> Sequence[Target]:
        for name in snapshot.upstreams:
            if model in await self._catalogue(snapshot, name):
                target = self._target(snapshot, name, model)
                return [] if target is None else [target]
        return []

    async def _catalogue(self, snapshot: Snapshot, name: str) -> Sequence[str]:
        try:
            self._wire(snapshot, snapshot.upstreams[name])
            built = self._built[name]
            if self._monotonic() - built.listed_at < CATALOGUE_S:
                return built.models
            # Also a failure is remembered: a name nobody knows must not become a storm of questions.
            built.listed_at = self._monotonic()
            listed = await built.upstream.models()
            built.models = tuple(model for model in listed if not model.startswith(PREFIX))
            return built.models
        except IkkanError as error:
            log.info("an upstream does not list its models", extra={"upstream": name, "code": error.code})
            return self._built[name].models if name in self._built else ()

    def _wire(self, snapshot: Snapshot, record: UpstreamRecord) -> OpenAIWire:
        sealed = snapshot.sealed_keys.get(record.name)
        built = self._built.get(record.name)
        if built is not None and built.record == record and built.sealed == sealed:
            return built.upstream
        upstream = OpenAIWire(
            record.name,
            record.url,
            self._http,
            key=self._key(record, sealed),
            timeouts=self._timeouts,
            quirks=read_quirks(record.quirks),
        )
        self._built[record.name] = _Built(record, sealed, upstream)
        return upstream

    def _key(self, record: UpstreamRecord, sealed: bytes | None) -> str | None:
        if record.key_env is not None:
            key = self._secret_of(record.key_env)
            if not key:
                raise SetupNeeded(
                    f"upstream {record.name!r} wants its key in ${record.key_env}, which is not set",
                    hint=f"export {record.key_env}=… before starting the gateway",
                    upstream=record.name,
                )
            return key
        if sealed is None:
            return None
        assert self._sealer is not None, "whoever keeps keys can open them"
        try:
            return unseal_key(self._sealer, record.name, sealed)
        except InvalidTag:
            raise SetupNeeded(
                f"the key of upstream {record.name!r} was closed with another master key",
                hint="add the upstream again with its key",
                upstream=record.name,
            ) from None


def _split(target: str) -> tuple[str, str]:
    upstream, _, model = target.partition("/")
    return upstream, model
