"""The glossary: one company's, known to what is drawn out from then on, and to search at once."""

from __future__ import annotations

import pytest

from ikkan.apps.meetings.rules import level0
from ikkan.apps.meetings.service import MeetingsService, drawing
from ikkan.apps.meetings.values import Audience, Kind
from ikkan.ground.errors import BadInput

from .conftest import ADA, BO, EVE

SAID = """Ann: The queue shoe office is too small for the tea team.
Bob: Action item: Bob will call the landlord of the queue shoe office by Friday.
"""


@pytest.fixture
def really(monkeypatch: pytest.MonkeyPatch) -> None:
    """Level 0 itself, not what other tests put in its place."""
    monkeypatch.setattr(drawing, "level0", level0)


def test_words_are_written_as_the_company_writes_them(service: MeetingsService, really: None) -> None:
    service.glossary.put(ADA, {"queue shoe": "Kyushu"})
    kept = service.get(ADA, service.bring(ADA, SAID.encode(), "office.txt").id)
    texts = [item.extraction.text for item in kept.items if item.extraction.kind is Kind.ACTION]
    assert any("Kyushu office" in text for text in texts)
    assert "queue shoe" in kept.transcript.segments[0].text, "what was said stays as it was heard"


def test_search_finds_either_spelling_at_once(service: MeetingsService, really: None) -> None:
    meeting = service.bring(ADA, SAID.encode(), "office.txt")
    assert service.searching.search(ADA, "Kyushu").quotes == ()
    service.glossary.put(ADA, {"queue shoe": "Kyushu"})
    for words in ("Kyushu", "queue shoe"):
        assert [quote.meeting_id for quote in service.searching.search(ADA, words).quotes] == [meeting.id]


def test_a_glossary_is_one_companys(service: MeetingsService, really: None) -> None:
    service.glossary.put(ADA, {"queue shoe": "Kyushu"})
    assert service.glossary.terms(BO) == {"queue shoe": "Kyushu"} and service.glossary.terms(EVE) == {}
    service.bring(EVE, SAID.encode(), "office.txt", audience=Audience.TENANT)
    assert service.searching.search(EVE, "Kyushu").quotes == ()
    assert not service.glossary.remove(EVE, "queue shoe") and service.glossary.remove(ADA, "queue shoe")
    assert service.glossary.terms(ADA) == {}


def test_a_term_may_change(service: MeetingsService) -> None:
    service.glossary.put(ADA, {"サトー": "佐藤", "tea": "Tea"})
    assert service.glossary.put(ADA, {" サトー ": "佐東"}) == {"tea": "Tea", "サトー": "佐東"}


@pytest.mark.parametrize("terms", [{"": "x"}, {"x": " "}, {"x": "y" * 201}, {str(n): "x" for n in range(5_001)}])
def test_what_is_no_term_is_refused_whole(service: MeetingsService, terms: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        service.glossary.put(ADA, {"good": "Good", **terms})
    assert service.glossary.terms(ADA) == {}
