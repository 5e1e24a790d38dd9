"""The pages of the KV cache: who holds them, what lies in them, and who is filling one that others wait for."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice

from ikkan.models.values import Int32

_LOOKED_AT = 16
"""Pages with one beginning that are compared with a text, the newest."""


class Chain:
    """The names of a text's pages. A name stands for the tokens of its page and for everything before them.

    Texts of different salts or adapters have no name in common. Tokens may be added to the text, never changed. Nor
    have texts of which a different part is a prompt, where that makes a difference: the same tokens give other keys and
    values if they were an answer.

    >>> ours, same, theirs = Chain("a", "", 2), Chain("a", "", 2), Chain("b", "", 2)
    >>> ours.name([1, 2, 3, 4], 1) == same.name([1, 2, 3, 4, 5], 1), ours.name([1, 2], 0) == theirs.name([1, 2], 0)
    (True, False)
    >>> asked, answered = Chain("", "", 2, 4), Chain("", "", 2, 1)
    >>> [asked.name([1, 2, 3, 4], n) == Chain("", "", 2).name([1, 2, 3, 4], n) for n in range(2)]
    [True, True]
    >>> asked.name([1, 2], 0) == answered.name([1, 2], 0)
    False
    """

    def __init__(self, salt: str, adapter: str, page_tokens: int, prompt_tokens: int | None = None) -> None:
        # The length of the first part is said, so that no two pairs read alike.
        self._root = blake2b(f"{len(salt)}:{salt}{adapter}".encode(errors="surrogatepass"), digest_size=16).digest()
        self._page_tokens = page_tokens
        self._prompt_tokens = prompt_tokens
        self._names: list[bytes] = []

    def before(self, tokens: Sequence[int], number: int) -> bytes:
        """What stands for everything before the text's page of this number."""
        return self.name(tokens, number - 1) if number else self._root

    def asked(self, number: int) -> int:
        """How many tokens of a page are part of the prompt, where that makes a difference; else all."""
        size = self._page_tokens
        return size if self._prompt_tokens is None else min(max(self._prompt_tokens - number * size, 0), size)

    def name(self, tokens: Sequence[int], number: int) -> bytes:
        """The name of the text's page of this number. All of its tokens are known."""
        names, size = self._names, self._page_tokens
        while len(names) <= number:
            place = len(names) * size
            part = array("i", tokens[place : place + size])
            if (asked := self.asked(len(names))) < size:
                part.append(asked)  # a page of a prompt alone has the name it always had
            names.append(blake2b(part.tobytes(), key=names[-1] if names else self._root, digest_size=16).digest())
        return names[number]


@dataclass(frozen=True, slots=True)
class _Known:
    """What lies in a page that has a name."""

    name: bytes
    before: bytes
    tokens: tuple[int, ...]
    asked: int
    """Tokens of it that were read as part of a prompt."""


class Seat:
    """One answer's place in the cache: a slot, and the pages that the slot's table names."""

    __slots__ = ("chain", "filling", "kept", "pages", "slot")

    def __init__(self, slot: int, chain: Chain) -> None:
        self.slot = slot
        self.chain = chain
        self.pages: list[int] = []
        self.kept = 0
        """How many of `pages`, from the first, are full and known by name."""
        self.filling: bytes | None = None
        """The page that others leave to this answer."""


class Pages:
    """Gives answers their slots and pages, and remembers what lies in pages that were filled.

    A full page never changes again, so any number of answers may read it, running ones too. One that nobody reads
    is kept until its room is needed; of those the one that was left longest ago goes first. While somebody fills a
    page, whoever wants the same leaves it to them (`may_fill`). Where texts part within a page, what they share of it
    is copied. The last token of a text is never taken from here: it is read again, for its scores.

    Args:
        tables: the cache's; written here only.
        page_tokens: the cache's.
        count: pages of the cache; enough for one text as long as the context.
        copy: makes one page hold what another holds; without it only whole pages are shared.

    >>> import numpy as np
    >>> pages = Pages(np.zeros((2, 4), dtype=np.int32), page_tokens=2, count=6)
    >>> text = [1, 2, 3, 4, 5]
    >>> first, second = (pages.sit(Chain("", "", 2)) for _ in range(2))
    >>> pages.catch_up(first, text, 0), pages.may_fill(first, text, 0), pages.may_fill(second, text, 0)
    (0, True, False)
    >>> pages.grow(first, 5), pages.keep(first, text, 5)
    (True, None)
    >>> pages.catch_up(second, text, 0), second.pages == first.pages[:2]
    (4, True)
    """

    def __init__(
        self, tables: Int32, page_tokens: int, count: int, copy: Callable[[int, int], None] | None = None
    ) -> None:
        assert count >= tables.shape[1], "one whole text must fit"
        self.page_tokens = page_tokens
        self.count = count
        self._tables = tables
        self._width = int(tables.shape[1])
        self._slots = list(range(len(tables)))[::-1]
        self._free = list(range(count))[::-1]
        self._readers = [0] * count
        self._copy = copy
        self._lying: list[_Known | None] = [None] * count
        self._known: dict[bytes, int] = {}
        self._following: dict[bytes, dict[int, None]] = {}  # pages by what stands before them, the newest last
        self._idle: OrderedDict[int, None] = OrderedDict()  # known and without readers, left longest ago first
        self._fillers: dict[bytes, Seat] = {}

    @property
    def slots_in_use(self) -> int:
        """Slots that are taken."""
        return len(self._tables) - len(self._slots)

    @property
    def in_use(self) -> int:
        """Pages that somebody reads or fills."""
        return self.count - self.available

    @property
    def cached(self) -> int:
        """Pages that nobody uses and whose texts are remembered."""
        return len(self._idle)

    @property
    def available(self) -> int:
        """Pages that can be had without taking them from an answer."""
        return len(self._free) + len(self._idle)

    def remembered(self, chain: Chain, tokens: Sequence[int]) -> list[int]:
        """The pages that hold the beginning of this text already."""
        found: list[int] = []
        for number in range((len(tokens) - 1) // self.page_tokens):
            page = self._known.get(chain.name(tokens, number))
            if page is None:
                break
            found.append(page)
        return found

    def wanted(self, chain: Chain, tokens: Sequence[int]) -> int:
        """How many of the available pages this text and one more token will take."""
        read_by_others = sum(self._readers[page] > 0 for page in self.remembered(chain, tokens))
        return self.pages_of(len(tokens) + 1) - read_by_others

    def pages_of(self, length: int) -> int:
        """How many pages so many tokens take; never more than a whole text."""
        return min(-(-length // self.page_tokens), self._width)

    def sit(self, chain: Chain) -> Seat:
        """A slot without pages yet. One is free."""
        return Seat(self._slots.pop(), chain)

    def catch_up(self, seat: Seat, tokens: Sequence[int], read: int) -> int:
        """Take over the pages that follow and that somebody has filled already; how many tokens are read then."""
        size = self.page_tokens
        while read % size == 0 and read + size < len(tokens):
            number = read // size
            page = self._known.get(seat.chain.name(tokens, number))
            if page is None:
                break
            while number < len(seat.pages):
                self._put_down(seat.pages.pop())  # taken for a guess that was wrong
            assert number == len(seat.pages) == seat.kept
            self._pick_up(page)
            self._append(seat, page)
            seat.kept += 1
            read += size
        return read + self._copied(seat, tokens, read)

    def may_fill(self, seat: Seat, tokens: Sequence[int], read: int) -> bool:
        """Whether to go on reading here; if not, somebody else is filling the next page, and `catch_up` will find it.

        Whoever may has the others leave the page to them until it is full, or until they go.
        """
        number = read // self.page_tokens
        if (number + 1) * self.page_tokens >= len(tokens):
            return True  # a page that is not going to be full helps nobody else
        name = seat.chain.name(tokens, number)
        filler = self._fillers.setdefault(name, seat)
        if filler is seat:
            if seat.filling != name:
                self._stop_filling(seat)
                seat.filling = name
            return True
        return read % self.page_tokens != 0  # half a page cannot be handed over

    def grow(self, seat: Seat, length: int) -> bool:
        """Have pages for so many tokens; whether there were enough. Those that were there are kept."""
        while len(seat.pages) * self.page_tokens < length:
            if self._free:
                page = self._free.pop()
            elif self._idle:
                page = self._idle.popitem(last=False)[0]
                self._forget(page)
            else:
                return False
            self._readers[page] = 1
            self._append(seat, page)
        return True

    def keep(self, seat: Seat, tokens: Sequence[int], read: int) -> None:
        """So many tokens have been read: let others find the pages that are full."""
        while (seat.kept + 1) * self.page_tokens <= read:
            name = seat.chain.name(tokens, seat.kept)
            page = seat.pages[seat.kept]
            if name not in self._known:
                self._remember(seat, tokens, page, name)
            if seat.filling == name:
                self._stop_filling(seat)
            seat.kept += 1

    def leave(self, seat: Seat, *, forget: bool = False) -> None:
        """Give slot and pages back.

        Args:
            forget: nobody may find these pages again; what lies in them is not to be trusted.
        """
        self._stop_filling(seat)
        # The end of a text is of less use than its beginning: it comes first in the row of those to go.
        for page in reversed(seat.pages):
            if forget:
                self._forget(page)
            self._put_down(page)
        seat.pages.clear()
        self._slots.append(seat.slot)

    def forget_all(self) -> None:
        """Forget what lies in pages that nobody uses."""
        while self._idle:
            page = self._idle.popitem()[0]
            self._forget(page)
            self._free.append(page)

    def _append(self, seat: Seat, page: int) -> None:
        self._tables[seat.slot, len(seat.pages)] = page
        seat.pages.append(page)

    def _pick_up(self, page: int) -> None:
        self._readers[page] += 1
        self._idle.pop(page, None)

    def _put_down(self, page: int) -> None:
        self._readers[page] -= 1
        if self._readers[page] == 0:
            if self._lying[page] is None:
                self._free.append(page)
            else:
                self._idle[page] = None

    def _copied(self, seat: Seat, tokens: Sequence[int], read: int) -> int:
        """Have the next page hold what another has of the same text, as far as they agree; how many tokens that are."""
        size, number = self.page_tokens, read // self.page_tokens
        most = min(len(tokens) - 1 - read, size - 1)
        if self._copy is None or read % size or most < size // 4 or len(seat.pages) > number:
            return 0
        following = self._following.get(seat.chain.before(tokens, number), {})
        source, agree = -1, 0
        for page in islice(reversed(following), _LOOKED_AT):
            lying = self._lying[page]
            assert lying is not None
            some = min(most, lying.asked, seat.chain.asked(number))
            count = 0
            while count < some and lying.tokens[count] == tokens[read + count]:
                count += 1
            if count > agree:
                source, agree = page, count
        if agree < max(size // 4, 1):
            return 0
        self._pick_up(source)  # or its room might be the one that is taken
        room = self.grow(seat, read + 1)
        if room:
            self._copy(source, seat.pages[number])
        self._put_down(source)
        return agree if room else 0

    def _remember(self, seat: Seat, tokens: Sequence[int], page: int, name: bytes) -> None:
        number, size = seat.kept, self.page_tokens
        part = tuple(tokens[number * size : (number + 1) * size])
        lying = _Known(name, seat.chain.before(tokens, number), part, seat.chain.asked(number))
        self._known[name], self._lying[page] = page, lying
        self._following.setdefault(lying.before, {})[page] = None

    def _forget(self, page: int) -> None:
        lying = self._lying[page]
        if lying is not None:
            del self._known[lying.name]
            following = self._following[lying.before]
            del following[page]
            if not following:
                del self._following[lying.before]
            self._lying[page] = None

    def _stop_filling(self, seat: Seat) -> None:
        if seat.filling is not None:
            del self._fillers[seat.filling]
            seat.filling = None
