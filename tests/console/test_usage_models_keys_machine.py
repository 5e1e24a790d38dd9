"""The operator's other pages: what they show, what their forms do, and a file that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any, get_args

import pytest

from ikkan.cloud.service import UsageLine
from ikkan.cloud.values import ChatRequest, Principal
from ikkan.console.bench import last_race, race_points
from ikkan.console.machine import marks_view, resident, roofline_view, running
from ikkan.console.usage import as_csv
from ikkan.console.words import WORDS
from ikkan.ground.errors import BadInput
from ikkan.ground.ids import KeyId, TenantId
from ikkan.ground.money import parse_micros
from ikkan.ground.processes import ProcessPhase


def say(key: str, **values: object) -> str:
    return WORDS[key]["en"].format(**values)


def token_of(page: Any) -> str:
    return str(page.get("/keys").text.split('data-csrf="')[1].split('"')[0])


def line(**more: Any) -> UsageLine:
    fields: dict[str, Any] = dict.fromkeys(UsageLine.__slots__, None) | dict.fromkeys(
        ("requests", "failed", "input_tokens", "cached_tokens", "output_tokens", "estimated", "unpriced"), 1
    )
    return UsageLine(**{**fields, "day": "2026-06-01", "cost_micros": 1_500_000, "currency": "JPY", **more})


# ---- usage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "＝1", "  =1"])
def test_no_name_becomes_a_formula(name: str) -> None:
    rows = list(csv.reader(io.StringIO(as_csv([line(model=name, key_name=name)]).decode("utf-8-sig"))))
    assert [cell[0] for cell in rows[1][1:3]] == ["'", "'"]


def test_numbers_stay_numbers_and_letters_survive() -> None:
    raw = as_csv([line(model='日本語,"x"', cost_micros=-2)])
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    assert (rows[0]["model"], rows[0]["cost"], rows[0]["requests"]) == ('日本語,"x"', "-0.000002", "1")


async def test_a_plain_user_sees_only_their_own_keys_use(house: Any) -> None:
    service = house.desk.cloud.service
    for name in ("mine", "theirs"):
        made = service.create_key(name)
        who = Principal(TenantId("local"), KeyId(made.key.id), None, frozenset({"user"}))
        assert [piece async for piece in house.desk.cloud.pipeline.chat(who, ChatRequest("local/fake", []))]
    await house.desk.cloud.pipeline.close()
    mine = house.visitor("stranger")
    every = service.keys()
    secret = next(key.id for key in every if key.name == "mine")
    mine.post("/sign-in", data={"key": secret})
    assert "theirs" not in mine.get("/usage").text and "theirs" not in mine.get("/usage.csv").text
    assert "theirs" in house.visitor().get("/usage").text
    assert "mine" in mine.get("/usage.csv").text


# ---- keys ----------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once(house: Any) -> None:
    page = house.visitor()
    made = page.post("/keys", data={"csrf": token_of(page), "name": "batch", "scope": "admin", "budget": "12.5"}).text
    assert made.count("sk-ik-") == 1 and "sk-ik-" not in page.get("/keys").text
    (key,) = house.desk.cloud.service.keys()
    assert (key.name, key.limit_micros, key.scopes) == ("batch", 12_500_000, {"user", "admin"})


def test_a_key_that_cannot_be_keeps_the_form(house: Any) -> None:
    page = house.visitor()
    reply = page.post("/keys", data={"csrf": token_of(page), "name": "batch", "budget": "much"})
    assert (reply.status_code, 'value="batch"' in reply.text, house.desk.cloud.service.keys()) == (400, True, [])


def test_a_revoked_key_is_marked(house: Any) -> None:
    made = house.desk.cloud.service.create_key("old")
    page = house.visitor()
    assert page.post(f"/keys/{made.key.id}/revoke", data={"csrf": token_of(page)}).status_code == 303
    assert house.desk.cloud.service.key(made.key.id).is_revoked
    assert page.post("/keys/none/revoke", data={"csrf": token_of(page)}).status_code == 404


@pytest.mark.parametrize("text", ["much", "-1", "NaN", "1e99", "infinity", "1,000"])
def test_an_amount_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_micros(text)


# ---- models --------------------------------------------------------------------------------------------------------


def test_an_alias_is_changed_and_a_wrong_target_is_told(house: Any) -> None:
    page = house.visitor()
    form = {"csrf": token_of(page), "alias": "default"}
    assert page.post("/models/alias", data=form | {"target": "vendor/a, local/b"}).status_code == 303
    assert "vendor/a, local/b" in page.get("/models").text
    assert page.post("/models/alias", data=form | {"target": "nonsense"}).status_code == 400


def test_a_pull_shows_its_progress_and_is_found_again(house: Any) -> None:
    page = house.visitor()
    header = {"x-csrf-token": token_of(page), "hx-request": "true"}
    assert page.post("/models/pull", data={"reference": ""}, headers=header).json()["error"]["code"] == "bad_input"
    reply = page.post("/models/pull", data={"reference": "hf:a/b"}, headers=header)
    assert house.jobs.started == [("models.pull", {"reference": "hf:a/b", "use": False})]
    assert 'hx-get="/models/jobs/job-1"' in reply.text
    assert 'hx-get="/models/jobs/job-1"' in page.get("/models").text
    house.jobs.put("job-1", "models.pull", "done")
    assert page.get("/models/jobs/job-1").headers["hx-refresh"] == "true"


def test_a_model_nobody_stored_cannot_be_used(house: Any) -> None:
    page = house.visitor()
    assert page.post("/models/use", data={"csrf": token_of(page), "name": "nothing"}).status_code == 404
    assert house.served == []


# ---- machine -------------------------------------------------------------------------------------------------------


def test_work_lies_on_the_roof_and_the_roof_bends_once(house: Any) -> None:
    roofline = house.desk.look_at_machine().roofline
    drawn = roofline_view(roofline, say)
    assert drawn["x"] == sorted(drawn["x"]) and drawn["roof"] == sorted(drawn["roof"])
    assert drawn["roof"][-1] == drawn["roof"][-2] == pytest.approx(400.0)
    on_the_roof = dict(zip(drawn["x"], drawn["roof"], strict=True))
    assert all(on_the_roof[point["x"]] == pytest.approx(point["y"], abs=0.01) for point in drawn["points"])
    assert len(marks_view(roofline, say)) == len(drawn["points"])


def test_what_runs_is_shown_with_the_memory_it_holds(tmp_path: Path) -> None:
    assert running(tmp_path) == []
    pid = os.getpid()
    (tmp_path / "state.json").write_text(
        json.dumps(
            {
                "supervisor": {"pid": pid},
                "processes": {
                    "gateway": {"pid": pid, "restarts": 2, "phase": "ready"},
                    "engine": {"pid": None, "restarts": 0, "phase": "waiting"},
                },
            }
        )
    )
    found = {process["name"]: process for process in running(tmp_path)}
    assert found["gateway"]["resident"].endswith(" MB") and found["gateway"]["restarts"] == 2
    assert found["engine"]["resident"] == "–"


def test_a_process_that_is_gone_has_no_memory() -> None:
    assert resident(2**22 + 1) == "–"


def test_measuring_starts_the_job(house: Any) -> None:
    page = house.visitor()
    assert page.post("/machine/measure", headers={"x-csrf-token": token_of(page)}).status_code == 200
    assert house.jobs.started == [("silicon.measure", {})]


def test_the_page_says_how_each_process_is(house: Any) -> None:
    pid, run_dir = os.getpid(), house.desk.settings.run_dir
    run_dir.mkdir(parents=True)
    phases = get_args(ProcessPhase)
    processes = {f"process-{phase}": {"pid": pid, "restarts": 0, "phase": phase} for phase in phases}
    (run_dir / "state.json").write_text(json.dumps({"supervisor": {"pid": pid}, "processes": processes}))
    text = house.visitor().get("/machine", headers={"accept-language": "ja"}).text
    assert all(WORDS[f"machine.phase_{phase}"]["ja"] in text for phase in phases)


# ---- the race beside other engines ---------------------------------------------------------------------------------


def raced(home: Path, *cells: dict[str, Any]) -> None:
    (home / "bench").mkdir(exist_ok=True)
    (home / "bench" / "engine.json").write_text(json.dumps(cells))


DECODE = {
    "cell": "0.5b-q4_0.decode-0", "ikkan": 80.0, "peers": {"openvino": 40.0, "llama.cpp": 50.0, "gone": None},
    "unit": "tokens/s", "ratio_to_best": 1.6, "share_of_bound": 0.875, "better": "more", "rounds": {"ikkan": [80]},
    "roofline": {"operations_per_byte": 7.0, "gops": 120.0},
    "facts": {"machine": "Fast <2>", "at": "2026-06-01T03:00:00+00:00"},
}  # fmt: skip
WAIT = {
    "cell": "0.5b-q4_0.streams-8.ttft-p50", "ikkan": 1500.0, "peers": {"openvino": 900.0, "llama.cpp": 2000.0},
    "unit": "ms", "ratio_to_best": 0.6, "share_of_bound": None, "better": "less", "roofline": None,
}  # fmt: skip


@pytest.mark.parametrize(("language", "times"), [("en", "1.60×"), ("ja", "1.60 倍")])
def test_the_last_race_stands_on_the_page_and_under_the_roof(house: Any, language: str, times: str) -> None:
    raced(house.desk.settings.home, DECODE, WAIT)
    text = house.visitor().get("/machine", headers={"accept-language": language}).text
    assert "llama.cpp 50" in text and times in text and "88 %" in text
    assert "openvino 900" in text  # the shortest wait is the best
    assert "Fast &lt;2&gt;" in text and "2026-06-01 12:00" in text
    drawn = roofline_view(house.desk.look_at_machine().roofline, say, last_race(house.desk.settings.home))
    (point,) = drawn["measured"]
    assert (point["letter"], point["x"] in drawn["x"], point["y"]) == ("a", True, 120.0)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[1]", b'[{"cell": 1}]', b'[{"cell": "a", "unit": "s", "roofline": {"gops": "x"}}]'],
)
def test_a_race_that_cannot_be_read_is_none(house: Any, content: bytes) -> None:
    home = house.desk.settings.home
    raced(home)
    (home / "bench" / "engine.json").write_bytes(content)
    assert last_race(home) == []
    assert "ikkan bench engine" in house.visitor().get("/machine").text


def test_a_point_that_no_logarithm_has_is_not_drawn(tmp_path: Path) -> None:
    raced(tmp_path, {**DECODE, "roofline": {"operations_per_byte": 0.0, "gops": 1.0}})
    assert race_points(last_race(tmp_path)) == [] and len(last_race(tmp_path)) == 1
