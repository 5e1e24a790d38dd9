"""Errors answer "what now?", travel between processes, and their drawing is true."""

from __future__ import annotations

import pickle

import pytest

from ikkan.ground import errors
from ikkan.ground.errors import IkkanError


def family(kind: type[IkkanError]) -> list[type[IkkanError]]:
    return [
        kind,
        *(later for child in kind.__subclasses__() if child.__module__ == errors.__name__ for later in family(child)),
    ]


def drawing_of(kind: type[IkkanError], prefix: str = "") -> list[str]:
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    lines = []
    for place, child in enumerate(children, start=1):
        elbow, stem = {True: ("└── ", "    "), False: ("├── ", "│   ")}[place == len(children)]
        lines += [f"{prefix}{elbow}{child.__name__}", *drawing_of(child, prefix + stem)]
    return lines


EVERY = family(IkkanError)


def test_the_drawing_is_the_tree_of_classes() -> None:
    drawn = (errors.__doc__ or "").partition("IkkanError\n")[2].rstrip().splitlines()
    assert drawn == drawing_of(IkkanError)


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in EVERY]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_error_says_what_it_is_and_sets_its_own_three_words(kind: type[IkkanError]) -> None:
    assert kind.__doc__ and {"code", "status", "retryable"} <= set(vars(kind))
    assert 400 <= kind.status < 600
    assert kind is IkkanError or "__init__" not in vars(kind)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_error_survives_the_way_to_a_worker(kind: type[IkkanError]) -> None:
    back = pickle.loads(pickle.dumps(kind("went wrong", hint="do this", n=1)))
    assert (type(back), back.message, back.hint, back.facts) == (kind, "went wrong", "do this", {"n": 1})
    assert str(back) == "went wrong\n  what now: do this"


def test_without_a_hint_only_the_message_is_shown() -> None:
    assert str(IkkanError("went wrong")) == "went wrong"
