"""Full collections look at what is new, and now and then at everything."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from ikkan.ground.garbage import short_pauses


class Knot:
    """In a cycle with itself."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def pauses() -> Iterator[None]:
    with short_pauses(everything_every=5):
        yield


def test_what_was_looked_at_is_not_looked_at_again(pauses: None) -> None:
    kept = [[each] for each in range(10_000)]
    gc.collect()
    assert len(gc.get_objects()) < 5_000
    assert len(kept) == 10_000


def test_new_cycles_are_freed_as_before(pauses: None) -> None:
    gone = weakref.ref(Knot())
    gc.collect()
    assert gone() is None


def test_old_cycles_are_freed_when_everything_is_looked_through(pauses: None) -> None:
    knot = Knot()
    gone = weakref.ref(knot)
    gc.collect()  # the second look, after that of the beginning: the knot is in use, and frozen
    del knot
    gc.collect()
    assert gone() is not None
    gc.collect()
    gc.collect()  # the fifth
    assert gone() is None


def test_what_is_not_in_a_cycle_is_freed_at_once_also_when_it_was_looked_at(pauses: None) -> None:
    class Plain:
        pass

    plain = Plain()
    gone = weakref.ref(plain)
    gc.collect()
    del plain
    assert gone() is None
