"""Logs tell facts, one line each, and keep secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from ikkan.ground.log import configure


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield io.StringIO()
    root.setLevel(level)
    root.handlers[:] = handlers


def test_a_fact_becomes_a_json_field(stream: io.StringIO) -> None:
    configure("INFO", json=True, stream=stream)
    logging.getLogger("ikkan.cloud.ledger").info("reservation settled", extra={"tokens": 12, "model": "猫"})
    line = json.loads(stream.getvalue())
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "reservation settled",
        "level": "info",
        "logger": "ikkan.cloud.ledger",
        "tokens": 12,
        "model": "猫",
    }


def test_a_person_reads_plain_text(stream: io.StringIO) -> None:
    configure("INFO", stream=stream)
    logging.getLogger("ikkan.x").warning("disk is nearly full", extra={"free_gib": 2})
    assert "disk is nearly full" in stream.getvalue() and "free_gib=2" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_the_level_counts_and_a_second_call_replaces_the_first(stream: io.StringIO) -> None:
    configure("DEBUG", json=True, stream=io.StringIO())
    configure("WARNING", json=True, stream=stream)
    logging.getLogger("ikkan.x").info("quiet")
    logging.getLogger("ikkan.x").error("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_a_traceback_stays_on_one_line(stream: io.StringIO) -> None:
    configure("INFO", json=True, stream=stream)
    try:
        raise RuntimeError("out of luck")
    except RuntimeError:
        logging.getLogger("ikkan.x").exception("a job failed")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "a job failed" and "out of luck" in line


@pytest.mark.parametrize(
    ("message", "extra"),
    [
        ("x", {"api_key": "s3cret"}),
        ("x", {"prompt": "s3cret"}),
        ("x", {"upstream_password": "s3cret"}),
        ("x", {"Authorization": "s3cret"}),
        ("cannot reach postgresql://ada:s3cret@db/ikkan", {}),
        ("sent Bearer s3cret", {}),
        ("x", {"header": "bearer s3cret"}),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_a_secret_does_not_reach_the_log(
    stream: io.StringIO, message: str, extra: dict[str, str], as_json: bool
) -> None:
    configure("INFO", json=as_json, stream=stream)
    logging.getLogger("ikkan.x").info(message, extra=extra)
    assert "s3cret" not in stream.getvalue() and "***" in stream.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_tells_no_local_variables_and_no_password(stream: io.StringIO, as_json: bool) -> None:
    configure("INFO", json=as_json, stream=stream)
    words = ["hidden", "words"]
    try:
        raise RuntimeError("cannot reach postgresql://ada:s3cret@db/ikkan")
    except RuntimeError:
        logging.getLogger("ikkan.x").exception("a job failed", extra={"words": len(words)})
    assert "cannot reach" in stream.getvalue()
    assert "s3cret" not in stream.getvalue() and "['hidden" not in stream.getvalue()


def test_counts_that_sound_like_secrets_stay(stream: io.StringIO) -> None:
    configure("INFO", json=True, stream=stream)
    logging.getLogger("ikkan.x").info("x", extra={"prompt_tokens": 7, "keys": 3})
    assert json.loads(stream.getvalue())["prompt_tokens"] == 7
