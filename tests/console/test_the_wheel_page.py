"""The wheel's page: the arithmetic of its drawing, what its buttons start, and how a turn is followed."""

from __future__ import annotations

from typing import Any

import pytest

from ikkan.console.wheel import LEFT, RIGHT, Measured, intervals, shade, stations
from ikkan.console.words import WORDS
from ikkan.flywheel.values import OwnCorrection
from ikkan.ground.errors import LeakFound


def say(key: str, **values: object) -> str:
    return WORDS[key]["en"].format(**values)


@pytest.mark.parametrize(
    ("rows", "states"),
    [
        ([Measured("all", 9, 0.2, 0.1, 0.3)], ["above"]),
        ([Measured("all", 9, -0.2, -0.3, -0.1)], ["below"]),
        ([Measured("all", 9, 0.0, -0.1, 0.1), Measured("ja", 4, 0.4, 0.0, 0.9)], ["", ""]),
        ([Measured("all", 9, 0.0, 0.0, 0.0)], [""]),
        ([Measured("all", 0, None, None, None)], []),
    ],
)
def test_intervals_share_one_scale_that_shows_zero(rows: list[Measured], states: list[str]) -> None:
    drawn = intervals(rows)
    assert LEFT <= drawn["zero_x"] <= RIGHT
    assert [bar["state"] for bar in drawn["intervals"]] == states
    for bar in drawn["intervals"]:
        assert LEFT <= bar["x1"] <= bar["x"] <= bar["x2"] <= RIGHT
    scale = [(row.gain, bar["x"]) for row, bar in zip(rows, drawn["intervals"], strict=False)]
    assert sorted(scale) == sorted(scale, key=lambda pair: pair[1])


def test_an_interval_above_zero_is_drawn_right_of_zero() -> None:
    drawn = intervals([Measured("all", 9, 0.2, 0.001, 0.3), Measured("ja", 9, -0.2, -0.3, -0.001)])
    above, below = drawn["intervals"]
    assert below["x2"] <= drawn["zero_x"] <= above["x1"]


def test_five_stations_fit_the_drawing(house: Any, wheel_history: list[Any]) -> None:
    drawn = stations(house.wheel.status("assistant.answer"), wheel_history[1], say)
    assert [station["x"] for station in drawn] == [0, 199, 398, 597, 796]
    assert [station["state"] for station in drawn] == ["done", "done", "done", "done", "champion"]
    assert all(len(station["lines"]) <= 3 for station in drawn)
    assert drawn[0]["lines"][0] == "1,234 answers"
    assert drawn[3]["lines"] == ["promoted", "[+0.100, +0.300]"]


def test_a_wheel_that_never_turned_has_stations_too(house: Any) -> None:
    drawn = stations(house.wheel.status("assistant.answer"), None, say)
    assert [station["lines"] for station in drawn[1:4]] == [["none yet"]] * 3


def test_a_drill_is_good_when_it_is_refused(wheel_history: list[Any]) -> None:
    assert [shade(decision) for decision in wheel_history] == ["good", "good", "note"]


def test_corrections_are_shown_before_and_after_but_not_what_was_let_pass(house: Any, wheel_history: list[Any]) -> None:
    house.wheel.decisions = wheel_history
    house.wheel.own = (
        OwnCorrection("1", "Where is <b>the</b> key?", None, "At the desk.", "At the desk.", 0.25, 1.0),
        OwnCorrection("2", "Nobody said anything about this", None, "Something", None, 1.0, 0.0),
    )
    text = house.visitor().get("/wheel").text
    assert "Where is &lt;b&gt;the&lt;/b&gt; key?" in text and "Nobody said anything" not in text
    assert house.visitor("user").get("/wheel").text.count("At the desk.") == 0


@pytest.mark.parametrize(("button", "shuffled"), [("/wheel/run", False), ("/wheel/shuffle", True)])
def test_a_button_starts_a_job_and_shows_how_it_goes(house: Any, button: str, shuffled: bool) -> None:
    page, token = signed(house)
    reply = page.post(button, headers={"x-csrf-token": token}, data={"learnable": "assistant.answer"})
    assert house.jobs.started == [("flywheel.run", {"learnable": "assistant.answer", "shuffle": shuffled})]
    assert 'hx-get="/wheel/jobs/job-1"' in reply.text and 'value="25"' in reply.text
    assert "hx-refresh" not in reply.headers


def test_what_a_turn_says_of_itself_is_said_in_the_persons_language(house: Any) -> None:
    house.jobs.put("job-1", "flywheel.run", "running", 0.2, "training and judging")
    reply = house.visitor().get("/wheel/jobs/job-1", headers={"accept-language": "ja"})
    assert WORDS["job.judging"]["ja"] in reply.text


def test_a_turn_that_is_done_loads_the_page_anew(house: Any) -> None:
    house.jobs.put("job-1", "flywheel.run", "done")
    assert house.visitor().get("/wheel/jobs/job-1").headers["hx-refresh"] == "true"


def test_a_turn_that_failed_says_why_and_stays(house: Any) -> None:
    house.jobs.put(
        "job-1", "flywheel.run", "failed", error=LeakFound("the same question on both sides", hint="tell us")
    )
    reply = house.visitor().get("/wheel/jobs/job-1")
    assert "the same question on both sides – tell us" in reply.text
    assert "hx-refresh" not in reply.headers and "hx-get" not in reply.text


def test_a_job_nobody_knows_is_told_to_the_page(house: Any) -> None:
    reply = house.visitor(**{"hx-request": "true"}).get("/wheel/jobs/job-9")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_job")


def test_rolling_back_needs_someone_to_go_back_to(house: Any, wheel_history: list[Any]) -> None:
    page, token = signed(house)
    assert page.post("/wheel/rollback", data={"csrf": token}).status_code == 409
    house.wheel.decisions = wheel_history[1:]
    assert page.post("/wheel/rollback", data={"csrf": token}).status_code == 303
    assert house.wheel.rolled_back == ["assistant.answer"]


def test_an_unknown_learnable_is_no_page(house: Any) -> None:
    assert house.visitor().get("/wheel?learnable=nothing.here").status_code == 404


def signed(house: Any) -> tuple[Any, str]:
    page = house.visitor()
    return page, page.get("/wheel").text.split('data-csrf="')[1].split('"')[0]
