"""The door for web pages: what a tag may tell, how often, and from where. It never reads anything out.

A tag's key is public, so nothing is believed but that some visitor of an allowed site did something: visitors have the
tag's own ids, never a customer's; the batch and its rate are bounded; a key or origin that is not right learns nothing.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ikkan.apps.shop import store
from ikkan.apps.shop.service.listening import Listens
from ikkan.apps.shop.values import Deed, Happened, Told
from ikkan.apps.shop.values.tag import KEY_PREFIX, VISITOR_PREFIX, Tag
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import (
    BadInput,
    ErasedSubject,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    RateLimited,
    RequestTooLarge,
)
from ikkan.ground.ids import TenantId, new_id

MOST_BYTES = 64 * 1024
MOST_EVENTS = 200
"""In one batch."""
PER_VISITOR_S, VISITOR_BURST = 5.0, 400
"""Events a second from one address with one key, and at once."""
PER_TAG_S, TAG_BURST = 2_000.0, 20_000
"""Events a second with one key from everywhere, and at once."""
_BUCKETS = 50_000
_KNOWN_FOR_S = 5.0
"""So long a key is known without asking the database: a revoked one tells at most so long."""
_OLDEST = timedelta(days=7)
"""A page that was without a connection may tell so much later."""
_SKEW = timedelta(minutes=5)

_Id = Annotated[str, Field(min_length=1, max_length=80)]


class _Told(BaseModel):
    """One thing a visitor did."""

    model_config = ConfigDict(extra="ignore")

    id: Annotated[str, Field(min_length=8, max_length=80, pattern=r"^[\w.:-]+$")]
    deed: Deed
    at: AwareDatetime
    product: _Id | None = None
    session: _Id | None = None
    impression: _Id | None = None
    price: Annotated[float, Field(ge=0, le=1e9)] | None = None
    quantity: Annotated[int, Field(ge=1, le=1_000)] = 1
    rating: Annotated[float, Field(ge=0, le=100)] | None = None
    coupon: bool = False
    dwell: Annotated[float, Field(ge=0, le=86_400)] | None = None
    query: Annotated[str, Field(max_length=500)] = ""


class Batch(BaseModel):
    """What a tag sends."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=8, max_length=80)]
    visitor: Annotated[str, Field(pattern=rf"^{VISITOR_PREFIX}[0-9a-f]{{32}}$")]
    events: Annotated[list[dict[str, object]], Field(max_length=MOST_EVENTS)] = []
    consent: Literal["given", "withdrawn"] = "given"


@dataclass
class _Bucket:
    left: float
    at_s: float


@dataclass
class _Buckets:
    """How much each may still tell; the longest unused are forgotten first."""

    per_s: float
    burst: float
    most: int
    each: OrderedDict[tuple[str, ...], _Bucket] = field(default_factory=OrderedDict)

    def take(self, who: tuple[str, ...], amount: int, now_s: float) -> bool:
        bucket = self.each.pop(who, None) or _Bucket(self.burst, now_s)
        bucket.left = min(self.burst, bucket.left + (now_s - bucket.at_s) * self.per_s)
        bucket.at_s = now_s
        self.each[who] = bucket
        if len(self.each) > self.most:
            self.each.popitem(last=False)
        if bucket.left < amount:
            return False
        bucket.left -= amount
        return True


class Collecting:
    """Tags, and what they tell.

    Args:
        forget: erases a visitor who took their consent back; told by their id.
        is_forgotten: whether they did: what a page still had on its way is not kept.
        ticks: seconds, for rates.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        listens: Listens,
        forget: Callable[[TenantId, str], object],
        is_forgotten: Callable[[TenantId, str], bool] = lambda tenant_id, visitor: False,
        *,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database = database
        self.clock = clock
        self._listens = listens
        self._forget, self._is_forgotten = forget, is_forgotten
        self._ticks = ticks
        self._lock = threading.Lock()
        self._visitors = _Buckets(PER_VISITOR_S, VISITOR_BURST, _BUCKETS)
        self._tags = _Buckets(PER_TAG_S, TAG_BURST, 1_000)
        self._known: OrderedDict[str, tuple[Tag | None, float]] = OrderedDict()

    # ---- tags --------------------------------------------------------------------------------------------------------

    def make(self, tenant_id: TenantId, name: str, origins: Sequence[str]) -> Tag:
        """A new tag for pages of these sites.

        Raises:
            BadInput: an origin is none; without one a tag would work for everybody's pages.
        """
        if not origins:
            raise BadInput(
                "a tag belongs to a site", hint="name its origin, like https://shop.example", param="origins"
            )
        said = tuple(dict.fromkeys(_origin(each) for each in origins))
        key = KEY_PREFIX + secrets.token_urlsafe(18)
        made = Tag(new_id("tag"), tenant_id, key, name, said, self.clock.now())
        with self.database.transaction() as connection:
            store.tags.add(connection, made)
        return made

    def tags(self, tenant_id: TenantId) -> Sequence[Tag]:
        """The tags of a shop, the newest first."""
        with self.database.read() as connection:
            return store.tags.listed(connection, tenant_id)

    def revoke(self, tenant_id: TenantId, tag_id: str) -> None:
        """Let a key open nothing any more, here at once and in other processes within seconds.

        Raises:
            NotFound: this shop has no such tag in use.
        """
        with self.database.transaction() as connection:
            if not store.tags.revoke(connection, tenant_id, tag_id, self.clock.now()):
                raise NotFound("there is no such tag in use", hint="GET /a/shop/v1/tags")
        with self._lock:
            self._known.clear()

    # ---- what pages tell ---------------------------------------------------------------------------------------------

    def collect(self, body: bytes, origin: str | None, address: str) -> Told:
        """Take a batch from a page.

        Args:
            origin: of the page, as its browser says; a batch without one is from no page.
            address: where it comes from, for its rate.

        Raises:
            RequestTooLarge: it has more than 64 KiB.
            BadInput: it cannot be read; single events that cannot are refused and the others taken.
            NotAuthenticated: the key opens nothing.
            NotAllowed: the key is not for pages of this site.
            RateLimited: too much at once.
            ErasedSubject: the visitor took their consent back before.
        """
        if len(body) > MOST_BYTES:
            raise RequestTooLarge(f"a batch has at most {MOST_BYTES:,} bytes", hint="send smaller ones")
        try:
            batch = Batch.model_validate_json(body)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in first["loc"])
            raise BadInput(f"{place or 'the body'}: {first['msg']}", hint="see docs/shop.md", param=place) from exc
        tag = self._tag(batch.key)
        if origin is None or _normal(origin) not in tag.origins:
            raise NotAllowed("this tag is not for pages of this site", hint="add the site's origin to the tag")
        self._within_rate(tag, address, 1 + len(batch.events))
        if batch.consent == "withdrawn":
            # What came with it is not kept: it is about to be forgotten.
            self._forget(tag.tenant_id, batch.visitor)
            return Told(0, 0)
        if self._is_forgotten(tag.tenant_id, batch.visitor):
            raise ErasedSubject("this visitor is forgotten", hint="with a new consent begins a new visitor")
        events, places, refused = list[Happened](), list[int](), list[tuple[int, str]]()
        for at, given in enumerate(batch.events):
            try:
                events.append(self._event(batch.visitor, _Told.model_validate(given)))
                places.append(at)
            except ValidationError as exc:
                first = exc.errors(include_url=False, include_input=False)[0]
                refused.append((at, f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"))
            except BadInput as exc:
                refused.append((at, exc.message))
        told = self._listens.tell(tag.tenant_id, events) if events else Told(0, 0)
        refused += [(places[at], why) for at, why in told.refused]
        return Told(told.accepted, told.repeated, tuple(sorted(refused)))

    def allows(self, origin: str) -> bool:
        """Whether any tag is for pages of this site: what a browser asks before it sends."""
        with self.database.read() as connection:
            return store.tags.is_any_for(connection, _normal(origin))

    # ---- private -----------------------------------------------------------------------------------------------------

    def _tag(self, key: str) -> Tag:
        now_s = self._ticks()
        with self._lock:
            found, until_s = self._known.get(key, (None, -1.0))
        if until_s <= now_s:
            with self.database.read() as connection:
                found = store.tags.by_key(connection, key) if key.startswith(KEY_PREFIX) else None
            with self._lock:
                self._known[key] = (found, now_s + _KNOWN_FOR_S)
                if len(self._known) > 1_000:
                    self._known.popitem(last=False)
        if found is None:
            raise NotAuthenticated("this is no tag in use", hint="make one: POST /a/shop/v1/tags")
        return found

    def _within_rate(self, tag: Tag, address: str, amount: int) -> None:
        now_s = self._ticks()
        with self._lock:
            is_fine = self._visitors.take((tag.tag_id, address), amount, now_s)
            is_fine = is_fine and self._tags.take((tag.tag_id,), amount, now_s)
        if not is_fine:
            raise RateLimited("too many events at once", hint="the tag sends them again by itself")

    def _event(self, visitor: str, told: _Told) -> Happened:
        now = self.clock.now()
        if told.product is None and told.deed != "searched":
            raise BadInput("product: missing", hint="name the product")
        if told.at < now - _OLDEST or told.at > now + _SKEW:
            raise BadInput("at: too long ago or in the future", hint="check the clock")
        micros = None if told.price is None else round(told.price * 1_000_000)
        return Happened(
            # Two visitors may choose the same id; they are not the same event.
            f"{visitor[2:14]}:{told.id}"[:80], visitor, told.deed, min(told.at, now), told.product, told.session,
            told.impression, micros, told.quantity, told.rating, told.coupon, told.dwell, told.query,
        )  # fmt: skip


def _origin(text: str) -> str:
    said = _normal(text)
    if not re.fullmatch(r"https?://[a-z0-9.\-\[\]:]+", said) or urlsplit(said).netloc == "":
        raise BadInput(
            f"{text!r} is no site's origin", hint="like https://shop.example, without a path", param="origins"
        )
    if said.startswith("http://") and urlsplit(said).hostname not in ("localhost", "127.0.0.1", "::1"):
        raise BadInput(f"{text!r} is not encrypted", hint="https://…; http only for this machine", param="origins")
    return said


def _normal(origin: str) -> str:
    return origin.strip().lower().rstrip("/")
