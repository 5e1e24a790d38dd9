"""Level 1 with a scripted model: what is believed of it, what is not, and what happens where it fails."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from ikkan.apps.meetings.rules import level0, level1
from ikkan.apps.meetings.rules.level1.checking import owner_of
from ikkan.apps.meetings.rules.level1.measured import MEASURED, Measured, level_of
from ikkan.apps.meetings.rules.minutes.forms import FORMS
from ikkan.apps.meetings.service.writing import ALIASES, Writer, Written, level_for, writer_target
from ikkan.apps.meetings.values import Extraction, Kind, Policy, Segment, Transcript
from ikkan.cloud.directory import Alias
from ikkan.cloud.values import ChatRequest, Principal
from ikkan.ground.errors import BadInput, UnknownModel, UpstreamFailed
from ikkan.ground.ids import KeyId, SubjectId, TenantId

from .scripted import Scripted, notes

MONDAY = date(2026, 6, 1)
SAID = Transcript(
    (
        Segment("s1", "Ann Lee", "The launch of the tea shop is the first topic today."),
        Segment("s2", "Bob", "We agreed to open the shop in Kyoto with 12 tables."),
        Segment("s3", "Ann Lee", "I'll send the final floor plan to the builder by Friday."),
        Segment("s4", "Bob", "Who pays the rent of the second month?"),
        Segment("s5", "Ann Lee", "I don't know, ask Carla about the rent."),
    ),
    "en",
    MONDAY,
)
PEOPLE = Principal(TenantId("acme"), KeyId("k1"), SubjectId("ann"), frozenset({"user"}))
POINT = {"text": "The launch of the tea shop was discussed.", "lines": [1]}
ACTION = {"text": "Send the floor plan to the builder", "owner": "Ann", "due": "Friday", "lines": [3]}


async def written(model: Scripted, said: Transcript = SAID, *, form: str = "standard", **more: Any) -> Written:
    writer = Writer(model, context_tokens=2048, part_s=more.pop("part_s", 30.0))
    return await writer.write(PEOPLE, said, level0.extract(said), form=form, **more)


def own(made: Written) -> list[Extraction]:
    return [one for one in made.extractions if one.made_by == "level1:scripted-1b"]


async def test_what_holds_is_kept_with_its_words_and_the_callers_bill() -> None:
    model = Scripted(notes(key_points=[POINT], actions=[ACTION]))
    made = await written(model)
    assert (made.level, made.model, made.remarks) == (1, "scripted-1b", ())
    point, action = own(made)
    assert (point.kind, point.text, point.evidence) == (Kind.KEY_POINT, POINT["text"], ("s1",))
    assert (action.owner, action.due, action.due_words, action.evidence) == (
        "Ann Lee",
        date(2026, 6, 5),
        "Friday",
        ("s3",),
    )
    assert model.principals == [PEOPLE]
    assert [request.model for request in model.asked] == [ALIASES[0]]


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ({"text": "The shop opens in Kyoto", "lines": []}, "uncited"),
        ({"text": "The shop opens in Kyoto", "lines": [99]}, "uncited"),
        ({"text": "Marketing doubled its annual budget", "lines": [2]}, "unsupported"),
        ({"text": "Open the shop in Kyoto with 15 tables", "lines": [2]}, "unsupported"),
        ({"text": "The tea shop", "lines": [3]}, "unsupported"),
    ],
)
async def test_what_the_cited_words_do_not_hold_is_dropped(note: dict[str, Any], reason: str) -> None:
    made = await written(Scripted(notes(key_points=[POINT], decisions=[note])))
    assert made.dropped == {reason: 1} and [one.kind for one in own(made)] == [Kind.KEY_POINT]
    assert "1 note(s)" in made.remarks[0]


@pytest.mark.parametrize(
    ("owner", "lines", "kept"),
    [
        ("Ann", [3], "Ann Lee"),
        ("I", [3], "Ann Lee"),
        ("Carla", [5], "Carla"),
        ("Dave", [3], None),
        ("Carla", [3], None),
        ("everyone", [3], None),
        ("the", [3], None),
    ],
)
def test_an_owner_takes_part_or_is_named_in_the_cited_words(owner: str, lines: list[int], kept: str | None) -> None:
    assert owner_of(owner, [SAID.segments[line - 1] for line in lines], SAID) == kept


async def test_a_made_up_owner_and_day_are_taken_off_and_the_action_stays() -> None:
    note = {"text": "Ask Carla about the rent", "owner": "Dave", "due": "next Tuesday", "lines": [5]}
    made = await written(Scripted(notes(actions=[note])))
    (action,) = own(made)
    assert (action.owner, action.due, action.due_words) == (None, None, None)
    assert made.dropped == {"owner": 1, "due": 1}


def test_japanese_and_chinese_are_checked_by_pairs_of_characters() -> None:
    ja = Transcript((Segment("s1", "鈴木 花子", "見積もりは金曜までに山田さんへ送ります。"),), "ja", MONDAY)
    zh = Transcript((Segment("s1", "王芳", "我周五之前把报价单发给客户。"),), "zh", MONDAY)
    drafts = [
        level1.Draft(Kind.ACTION, "見積もりを金曜までに送る", (1,), "鈴木", "金曜"),
        level1.Draft(Kind.ACTION, "新製品の広告費を倍増する", (1,)),
    ]
    kept = level1.checked(drafts, ja, made_by="m").extractions
    assert [(one.text, one.owner, one.due) for one in kept] == [
        ("見積もりを金曜までに送る", "鈴木 花子", date(2026, 6, 5))
    ]
    (sent,) = level1.checked(
        [level1.Draft(Kind.ACTION, "把报价单发给客户", (1,), "我", "周五")], zh, made_by="m"
    ).extractions
    assert (sent.owner, sent.due) == ("王芳", date(2026, 6, 5))


async def test_an_answer_nobody_can_read_is_asked_for_again() -> None:
    model = Scripted('{"key_points": [{"te', notes(key_points=[POINT]))
    made = await written(model)
    assert (made.level, made.questions) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "questions", "told"),
    [
        ("Sure! Here are the minutes.", 2, "could not be read"),
        (UnknownModel("none"), 2, "no language model"),
        (UpstreamFailed("down"), 1, "upstream_failed"),
        (notes(decisions=[{"text": "Marketing doubled", "lines": [1]}]), 1, "nothing that scripted-1b wrote held"),
    ],
)
async def test_where_the_model_fails_level_0_stands_and_says_so(answer: Any, questions: int, told: str) -> None:
    model = Scripted(answer)
    made = await written(model)
    assert (made.level, made.extractions, made.questions) == (0, level0.extract(SAID), questions)
    assert told in made.remarks[0] and "Level 0" in made.remarks[0]


async def test_a_model_that_is_not_there_is_asked_for_by_both_names() -> None:
    model = Scripted(UnknownModel("none"))
    await written(model)
    assert [request.model for request in model.asked] == list(ALIASES)


async def test_a_model_that_takes_too_long_is_left() -> None:
    model = Scripted(notes(key_points=[POINT]), pause_s=5.0)
    made = await written(model, part_s=0.05)
    assert made.level == 0 and "did not answer within" in made.remarks[0]
    assert model.closed == 1


async def test_a_server_that_knows_no_schemas_is_asked_for_plain_json() -> None:
    model = Scripted(BadInput("json_schema is not supported"), notes(key_points=[POINT]))
    assert (await written(model)).level == 1
    assert [request.body["response_format"]["type"] for request in model.asked] == ["json_schema", "json_object"]


def long_meeting(count: int = 400) -> Transcript:
    segments = [
        Segment(f"s{n}", ("Ann", "Bob")[n % 2], f"Topic {n} is the supplier contract of warehouse {n}.")
        for n in range(1, count + 1)
    ]
    return Transcript(tuple(segments), "en")


def points_of(request: ChatRequest) -> str:
    """Four points of a part, and of a question that joins parts as many as it may have."""
    schema = request.body["response_format"]["json_schema"]["schema"]["properties"]["key_points"]
    lines = schema["items"]["properties"]["lines"]["items"]["enum"]
    chosen = lines[:: max(1, len(lines) // schema["maxItems"])][: schema["maxItems"]]
    return notes(key_points=[{"text": f"Supplier contract of warehouse {n}", "lines": [n]} for n in chosen])


async def test_a_long_meeting_is_read_in_parts_that_share_their_beginning() -> None:
    model = Scripted(points_of)
    said = long_meeting()
    made = await written(model, said)
    assert made.parts > 5 and made.questions > made.parts, "parts, and a question that joins them"
    assert len({request.messages[0]["content"] for request in model.asked}) == 1
    assert {tuple(turn["role"] for turn in request.messages) for request in model.asked} == {
        ("system", "user", "assistant", "user")
    }
    read = [request.messages[1]["content"] for request in model.asked[: made.parts]]
    assert all(sum(f"] {one.speaker}: {one.text}" in part for part in read) == 1 for one in said)
    points = own(made)
    assert len(points) > level1.MOST_POINTS
    # The first dozen are those the joining question chose; no point is told twice.
    assert len({one.evidence for one in points}) == len(points)


async def test_what_the_house_records_of_a_request_holds_no_words_of_the_meeting() -> None:
    model = Scripted(notes(key_points=[POINT]))
    await written(model)
    (request,) = model.asked
    assert request.question.startswith("Write the notes of these lines.")
    assert "Kyoto" not in request.question and "Kyoto" in request.messages[1]["content"]


async def test_one_part_that_cannot_be_read_is_left_to_level_0() -> None:
    broken = iter([True, True])
    model = Scripted(lambda request: "no" if next(broken, False) else points_of(request))
    made = await written(model, long_meeting())
    assert made.level == 1 and f"1 of {made.parts} parts" in made.remarks[-1]


class Stopped(Exception):
    """Somebody pressed the button."""


async def test_whoever_stops_waits_for_no_answer() -> None:
    model = Scripted(points_of)
    told: list[float] = []

    def tell(share: float) -> None:
        told.append(share)
        stop = len(model.asked) == 3 and share > told[-2]
        raise_if(stop)

    with pytest.raises(Stopped):
        await written(model, long_meeting(), tell=tell)
    assert (len(model.asked), model.closed) == (3, 3)
    assert told == sorted(told) and 0 < told[-1] < 1


def raise_if(stop: bool) -> None:
    for _ in range(stop):
        raise Stopped


@pytest.mark.parametrize("form", list(FORMS))
async def test_the_form_decides_what_is_asked_for(form: str) -> None:
    model = Scripted(notes(key_points=[POINT]))
    await written(model, form=form)
    (request,) = model.asked
    assert FORMS[form].asks_model in request.messages[0]["content"]
    fields = set(request.body["response_format"]["json_schema"]["schema"]["properties"])
    shown = {part.kind for part in FORMS[form].parts}
    assert ("proposals" in fields, "questions" in fields) == (Kind.PROPOSAL in shown, Kind.QUESTION in shown)
    assert "actions" in fields


async def test_only_terms_that_were_heard_are_told() -> None:
    model = Scripted(notes(key_points=[POINT]))
    await written(model, glossary={"Kyoto": "Kyōto", "Nagoya": "Nagōya"})
    (request,) = model.asked
    assert "Kyōto (heard as Kyoto)" in request.messages[0]["content"]
    assert "Nagōya" not in request.messages[0]["content"]


async def test_nothing_level_0_found_is_lost_and_its_lines_keep_their_ids() -> None:
    found = level0.extract(SAID)
    made = await written(Scripted(notes(key_points=[POINT], actions=[ACTION])))
    for kind in (Kind.TOPIC, Kind.DECISION, Kind.ACTION, Kind.QUESTION):
        before, after = ({one.evidence for one in each if one.kind is kind} for each in (found, made.extractions))
        assert before <= after, kind


async def test_suggestions_are_labelled_and_rest_on_words() -> None:
    note = {"text": "Ask Carla who pays the rent", "lines": [4, 5]}
    made = await written(Scripted(notes(proposals=[note])))
    suggested = [one for one in made.extractions if one.kind is Kind.PROPOSAL]
    assert [one.evidence for one in suggested if one.made_by.startswith("level1")] == [("s4", "s5")]
    assert all(one.evidence for one in suggested)


def measured(*, rouge1: tuple[float, float]) -> Measured:
    return Measured(MONDAY, 12, rouge1, (0.3, 0.3), (0.6, 0.6))


@pytest.mark.parametrize(("rouge1", "level"), [((0.35, 0.36), 1), ((0.35, 0.35), 1), ((0.35, 0.349), 0)])
def test_a_model_is_used_unasked_only_if_it_measured_no_worse(
    monkeypatch: pytest.MonkeyPatch, rouge1: tuple[float, float], level: int
) -> None:
    monkeypatch.setitem(MEASURED, "one", measured(rouge1=rouge1))
    assert (level_of("engine/One.gguf"), level_of("another"), level_of(None)) == (level, 0, 0)


def test_what_the_company_set_goes_before_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEASURED, "one", measured(rouge1=(0.35, 0.36)))
    assert [level_for(Policy(level), "one") for level in (None, 0, 1)] == [1, 0, 1]
    assert [level_for(Policy(level), None) for level in (None, 0, 1)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("aliases", "target"),
    [
        ({"default": "engine/small"}, "engine/small"),
        ({"default": "engine/small", "minutes": "vendor/org/large"}, "vendor/org/large"),
        ({"cheap": "engine/small"}, ""),
    ],
)
def test_the_alias_minutes_goes_before_default(aliases: dict[str, str], target: str) -> None:
    assert writer_target(Alias(name, [each]) for name, each in aliases.items()) == target


def test_an_answer_fits_its_room() -> None:
    part = level1.parts(long_meeting(), 1_000)[-1]
    schema = level1.note_question("", part, FORMS["standard"], (), language="en").schema
    longest = {
        name: [
            {
                **{field: "x" * each.get("maxLength", 0) for field, each in one["items"]["properties"].items()},
                "lines": part.numbers[-3:],
            }
        ]
        * one["maxItems"]
        for name, one in schema["properties"].items()
    }
    assert len(json.dumps(longest)) / 4 <= level1.ANSWER_TOKENS
