"""Every page renders, in every language and in every state it can be in, and nothing is said that has no words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import pytest

import ikkan.kit
from ikkan import console
from ikkan.console.words import WORDS
from ikkan.flywheel import POLICIES
from ikkan.flywheel.values import Outcome
from ikkan.ground.errors import IkkanError, UnknownModel
from ikkan.ground.processes import ProcessPhase
from ikkan.kit.language import LANGUAGES, TAGS

PAGES = ["/", "/?choose=1", "/wheel", "/usage", "/models", "/keys", "/machine", "/events", "/sign-in"]
in_each_language = pytest.mark.parametrize("language", list(LANGUAGES))


@in_each_language
@pytest.mark.parametrize("path", PAGES)
def test_an_empty_house_has_pages(house: Any, path: str, language: str) -> None:
    reply = house.visitor().get(path, headers={"accept-language": language})
    assert reply.status_code == 200
    assert f'<html lang="{TAGS[language]}"' in reply.text
    assert "script-src 'self'" in reply.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", reply.text)


@in_each_language
@pytest.mark.parametrize("path", PAGES)
def test_a_busy_house_has_pages(house: Any, path: str, language: str, busy: None) -> None:
    reply = house.visitor().get(path, headers={"accept-language": language})
    assert reply.status_code == 200


@pytest.mark.parametrize("path", [page for page in PAGES if page != "/sign-in"])
def test_a_stranger_is_sent_to_sign_in_and_back(house: Any, path: str) -> None:
    reply = house.visitor("stranger").get(path)
    assert (reply.status_code, unquote(reply.headers["location"])) == (303, f"/sign-in?next={path}")


@pytest.mark.parametrize("path", ["/models", "/keys", "/machine", "/events"])
def test_what_is_for_administrators_is_refused_in_words(house: Any, path: str) -> None:
    reply = house.visitor("user").get(path, headers={"accept-language": "ja"})
    assert (reply.status_code, WORDS["error.not_allowed"]["ja"] in reply.text) == (403, True)


@pytest.mark.parametrize("path", ["/", "/wheel", "/usage"])
def test_everyone_signed_in_sees_how_things_stand(house: Any, path: str) -> None:
    reply = house.visitor("user").get(path)
    assert reply.status_code == 200
    assert 'href="/keys"' not in reply.text


def test_templates_say_only_what_has_words_and_every_word_is_said() -> None:
    sources = [*Path(console.__path__[0]).rglob("*"), *Path(ikkan.kit.__path__[0]).rglob("*")]
    texts = {path: path.read_text(encoding="utf-8") for path in sources if path.suffix in {".html", ".py"}}
    said = "\n".join(text for path, text in texts.items() if path.name != "words.py")
    asked = set(re.findall(r"""\bt\(["']([\w.]+)["'][,)]""", said))
    assert asked <= set(WORDS), "templates ask for words nobody wrote"
    stations = ("events", "dataset", "candidate", "gate", "people", "champion")
    built = {f"wheel.{name}" for name in (*get_args(Outcome), *stations)} | {
        "wheel.drill_promoted",
        "wheel.drill_refused",
    }
    built |= {f"wheel.state_{state}" for state in ("shadow", "canary", "awaiting_signature", "promoted")}
    built |= {f"wheel.policy_{policy}" for policy in POLICIES}
    built |= {"machine.limit_memory", "machine.limit_arithmetic"}
    built |= {f"machine.phase_{phase}" for phase in get_args(ProcessPhase)}
    built |= {f"error.{error.code}" for error in every_error(IkkanError)}
    built |= {key for key in WORDS if key.startswith("nav.")}  # bootstrap names the places
    assert {key for key in WORDS if f'"{key}"' not in said and f"'{key}'" not in said} <= built


def every_error(kind: type[IkkanError]) -> list[type[IkkanError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in every_error(child))]


@pytest.fixture
def busy(house: Any, wheel_history: list[Any]) -> None:
    house.wheel.decisions = wheel_history
    service = house.desk.cloud.service
    service.create_key("batch <jobs>", scopes=("user", "admin"), budget_micros=5_000_000)
    service.add_upstream("vendor", "http://127.0.0.1:9/v1", key_env="VENDOR_KEY")
    house.jobs.put("job-a", "models.pull", "failed", error=UnknownModel("no such model", hint="look again"))
    house.jobs.put("job-b", "flywheel.run", "running", 0.4, "training")
    house.jobs.put("job-c", "silicon.measure", "queued", 0.0)
