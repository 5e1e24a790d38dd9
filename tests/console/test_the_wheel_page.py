"""The wheel's page: the arithmetic of its drawing, what its buttons start, and how a turn is followed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ikkan.console.wheel.drawing import (
    HEIGHT,
    LEFT,
    NARROW,
    RIGHT,
    WIDE,
    Measured,
    Point,
    curve,
    curves,
    intervals,
    shade,
)
from ikkan.console.wheel.telling import over_time, stations
from ikkan.console.words import WORDS
from ikkan.flywheel.values import OwnCorrection
from ikkan.ground.errors import LeakFound

from .conftest import CANDIDATE, CHAMPION, decided, on_people


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


def test_six_stations_fit_the_drawing(house: Any, wheel_history: list[Any]) -> None:
    drawn = stations(house.wheel.status("assistant.answer"), wheel_history[1], say)
    assert [station["x"] for station in drawn] == [0, 170, 340, 510, 680, 850]
    assert [station["state"] for station in drawn] == ["done", "done", "done", "done", "", "champion"]
    assert all(len(station["lines"]) <= 3 for station in drawn)
    assert drawn[0]["lines"][0] == "1,234 answers"
    assert drawn[3]["lines"] == ["promoted", "[+0.100, +0.300]"]


def test_a_wheel_that_never_turned_has_stations_too(house: Any) -> None:
    drawn = stations(house.wheel.status("assistant.answer"), None, say)
    assert [station["lines"] for station in drawn[1:4]] == [["none yet"]] * 3


def test_the_drawing_says_where_the_wheel_stands_now(house: Any, canary: None) -> None:
    def here(**how: Any) -> list[str]:
        drawn = stations(house.wheel.status("assistant.answer"), None, say, **how)
        return [station["title"] for station in drawn if station["here"]]

    assert here() == ["Tried on people"] and here(turning=True) == ["Candidate"]
    house.wheel.trial = on_people("promoted", 0.95)
    assert here() == ["Daily use"]


def test_the_station_of_people_says_how_many_and_what_is_known(house: Any, canary: None) -> None:
    drawn = stations(house.wheel.status("assistant.answer"), None, say)[4]
    assert (drawn["state"], drawn["lines"]) == ("going", ["25 % of people", "120 people counted", "[−0.090, +0.250]"])


def test_a_curve_stays_in_its_drawing_and_higher_is_better() -> None:
    points = [
        Point(at, gain, gain - 0.4, gain + 0.3, f"{at}", "told") for at, gain in ((10, -0.2), (90, 0.1), (200, 0.3))
    ]
    for size, width in (("wide", WIDE), ("narrow", NARROW)):
        drawn = curve(points, size, spread=False)  # type: ignore[arg-type]
        xs = [point["x"] for point in drawn["points"]]
        assert drawn["left"] <= xs[0] < xs[1] < xs[2] <= drawn["right"] <= width
        for point in drawn["points"]:
            assert 0 <= point["y1"] <= point["y"] <= point["y2"] <= drawn["bottom"] < HEIGHT
        assert drawn["points"][0]["y"] > drawn["zero_y"] > drawn["points"][2]["y"]
        assert 0 in [float(tick["text"].replace("−", "-")) for tick in drawn["ticks"]]


@pytest.mark.parametrize("gain", [0.0, 1e-9, -1.0])
def test_a_single_flat_point_can_be_drawn(gain: float) -> None:
    drawn = curve([Point(0, gain, gain, gain, "", "")], "wide", spread=True)
    assert 0 <= drawn["points"][0]["y"] <= HEIGHT and len(drawn["ticks"]) >= 2


def test_labels_that_would_stand_over_one_another_are_left_out() -> None:
    points = [Point(0, 0.1, 0.0, 0.2, f"06-01 12:{at:02}", "") for at in range(12)]
    wide, narrow = curves(points, spread=True)
    for drawn in (wide, narrow):
        xs = [point["x"] for point in drawn["points"] if point["label"]]
        assert len(xs) >= 3 and min(b - a for a, b in itertools.pairwise(xs)) >= 78
    assert len(narrow["points"]) == 6, "the latest only"


def test_the_curve_over_time_has_turns_only(house: Any, canary: None) -> None:
    house.wheel.decisions.append(decided("refused", id="decision-early"))
    (wide, _) = over_time(house.wheel.decisions)
    assert [point["href"].rpartition("/")[2] for point in wide["points"]] == [
        "decision-early",
        "decision-promoted-False",
        "decision-trying-False",
    ]
    assert over_time([]) == []


def test_a_drill_is_good_when_it_is_refused(wheel_history: list[Any]) -> None:
    assert [shade(decision) for decision in wheel_history] == ["good", "good", "note"]
    assert shade(decided("refused", drill=True, code="disk_full")) == "bad"


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
    asked = {"learnable": "assistant.answer", "shuffle": shuffled, "thorough": not shuffled}
    assert house.jobs.started == [("flywheel.run", asked)]
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


def test_a_trial_is_drawn_with_what_must_not_get_worse(house: Any, canary: None) -> None:
    text = house.visitor().get("/wheel", headers={"accept-language": "en"}).text
    assert "Trial 2 on people" in text and 'id="look"' in text and "answers that were turned down" in text
    assert text.count('class="band"') == 2 and text.count('href="/wheel/decisions/look-2"') >= 2
    assert "End the trial" in text and "Roll back" not in text
    page, token = signed(house)
    assert page.post("/wheel/look", data={"csrf": token}).status_code == 303
    assert house.wheel.looked == ["assistant.answer"]


@pytest.mark.parametrize(("answer", "accepted"), [("yes", True), ("no", False)])
def test_whoever_waits_for_a_signature_is_signed_for_or_sent_away(
    house: Any, canary: None, answer: str, accepted: bool
) -> None:
    house.wheel.trial = on_people("awaiting_signature")
    house.wheel.decisions[0] = decided("awaiting", id="look-3", numbers={"trial": "decision-trying-False"})
    page, token = signed(house)
    assert 'id="sign"' in page.get("/wheel").text
    form = {"csrf": token, "learnable": "assistant.answer", "decision": "look-3", "note": "read it"}
    assert page.post("/wheel/sign", data=form).status_code == 400
    assert page.post("/wheel/sign", data=form | {"accepted": answer}).status_code == 303
    assert house.wheel.signed == [("assistant.answer", "local", accepted, "read it", "look-3")]


def test_a_person_may_promote_without_the_gate_and_must_say_why(house: Any, wheel_history: list[Any]) -> None:
    house.wheel.decisions = wheel_history
    page, token = signed(house)
    text = page.get("/wheel").text
    assert f'<option value="{CANDIDATE}">' in text and f'<option value="{CHAMPION}">' not in text
    form = {"csrf": token, "learnable": "assistant.answer", "artifact": CANDIDATE, "reason": " "}
    assert page.post("/wheel/promote", data=form).status_code == 400
    assert page.post("/wheel/promote", data=form | {"reason": "the audit"}).status_code == 303
    assert house.wheel.promoted == [("assistant.answer", CANDIDATE, "the audit", "local")]


@pytest.mark.parametrize("button", ["sign", "promote", "look", "rollback", "decisions/decision-promoted-False/replay"])
def test_only_an_administrator_with_a_token_decides(house: Any, canary: None, button: str) -> None:
    form = {"learnable": "assistant.answer", "accepted": "yes", "artifact": CANDIDATE, "reason": "x"}
    assert house.visitor("user").post(f"/wheel/{button}", data=form).status_code == 403
    page, _ = signed(house)
    assert page.post(f"/wheel/{button}", data=form).status_code == 403, "without a token"
    assert house.visitor("stranger").post(f"/wheel/{button}", data=form).status_code in (303, 401)
    assert (house.wheel.signed, house.wheel.promoted, house.wheel.looked, house.wheel.rolled_back) == ([], [], [], [])


def test_who_only_uses_it_sees_everything_but_the_buttons(house: Any, canary: None) -> None:
    house.wheel.trial = on_people("awaiting_signature")
    text = house.visitor("user").get("/wheel").text
    for button in ("sign", "reject", "turn", "rollback", "shuffle", "look", "promote"):
        assert f'id="{button}"' not in text
    assert 'id="waiting"' in text and 'id="trial"' in text


def test_a_decision_has_a_page_with_everything_on_record(house: Any, wheel_history: list[Any]) -> None:
    house.wheel.decisions = wheel_history
    text = house.visitor().get("/wheel/decisions/decision-promoted-False", headers={"accept-language": "en"}).text
    assert (
        "better on later questions" in text and CANDIDATE in text and "f" * 64 in text and "few people judged" in text
    )
    assert house.visitor().get("/wheel/decisions/nothing").status_code == 404


@pytest.mark.parametrize(
    ("same", "says"), [(True, "It comes out the same."), (False, "It comes out differently: gain")]
)
def test_a_decision_can_be_computed_again(house: Any, wheel_history: list[Any], same: bool, says: str) -> None:
    house.wheel.decisions, house.wheel.same = wheel_history, same
    page, token = signed(house)
    headers = {"accept-language": "en"}
    reply = page.post("/wheel/decisions/decision-promoted-False/replay", data={"csrf": token}, headers=headers)
    assert says in reply.text
    reply = page.post("/wheel/decisions/decision-installed-False/replay", data={"csrf": token}, headers=headers)
    assert reply.status_code == 200 and "judged nobody" in reply.text


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_state_of_the_wheel_has_a_page_in_both_languages(house: Any, canary: None, language: str) -> None:
    for state, share in (("shadow", 0.0), ("canary", 0.05), ("awaiting_signature", 0.5), ("promoted", 0.95)):
        house.wheel.trial = on_people(state, share)
        house.wheel.more = {"next_look": house.desk.clock.now(), "yen_per_success": 0.02, "policy": "regulated"}
        house.wheel.more |= {"drift": decided("drifted", reasons={"en": "it moved", "ja": "ずれました"})}
        text = house.visitor().get("/wheel", headers={"accept-language": language}).text
        assert {"ja": "ずれました", "en": "it moved"}[language] in text and "0.02 JPY" in text
        for one in house.wheel.decisions:
            page = house.visitor().get(f"/wheel/decisions/{one.id}", headers={"accept-language": language})
            assert page.status_code == 200


def test_an_unknown_learnable_is_no_page(house: Any) -> None:
    assert house.visitor().get("/wheel?learnable=nothing.here").status_code == 404


def signed(house: Any) -> tuple[Any, str]:
    page = house.visitor()
    return page, page.get("/wheel").text.split('data-csrf="')[1].split('"')[0]
