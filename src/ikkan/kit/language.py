"""Languages: pages speak Japanese, English and Chinese; the person decides, and English stands in for the rest."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

LANGUAGES: Mapping[str, str] = {"ja": "日本語", "en": "English", "zh": "中文"}
"""What a person may read pages in, by the name each has for itself."""
TAGS: Mapping[str, str] = {"ja": "ja", "en": "en", "zh": "zh-Hans"}
"""How a page calls its language: the Chinese of these pages is written in simplified characters."""
_ALWAYS = frozenset({"ja", "en"})
_STANDS_IN = "en"
COOKIE = "ikkan_lang"


def told_in(texts: Mapping[str, str], language: str) -> str:
    """A text in a person's language; in English where it was not written in theirs.

    >>> told_in({"ja": "会議", "en": "Meetings"}, "ja"), told_in({"ja": "会議", "en": "Meetings"}, "zh")
    ('会議', 'Meetings')
    """
    return texts[language] if language in texts else texts[_STANDS_IN]


class Sayer:
    """Says strings in one language, and remembers whether English had to stand in for one."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]], language: str) -> None:
        self._texts, self._language = texts, language
        self.fell_back = False

    def __call__(self, key: str, **values: object) -> str:
        texts = self._texts[key]
        self.fell_back |= self._language not in texts
        text = told_in(texts, self._language)
        return text.format(**values) if values else text


class Words:
    """Strings by key and language. A missing key, or one without Japanese or English, is our own mistake.

    >>> words = Words({"hello": {"ja": "こんにちは、{name}さん", "en": "Hello, {name}"}})
    >>> words.say("ja")("hello", name="Aya"), words.say("zh")("hello", name="Aya")
    ('こんにちは、Ayaさん', 'Hello, Aya')
    """

    def __init__(self, *catalogs: Mapping[str, Mapping[str, str]]) -> None:
        self._texts: dict[str, Mapping[str, str]] = {}
        for catalog in catalogs:
            self.add(catalog)

    def add(self, catalog: Mapping[str, Mapping[str, str]]) -> None:
        for key, texts in catalog.items():
            assert set(texts) >= _ALWAYS, f"string {key!r} lacks a language"
            assert key not in self._texts or self._texts[key] == texts, f"string {key!r} is defined twice"
            self._texts[key] = texts

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def say(self, language: str) -> Sayer:
        return Sayer(self._texts, language)


def negotiate(request: Request, default: str = "auto") -> str:
    """Which language this person wants: `?lang=`, then their cookie, then the operator's setting, then the browser.

    A browser that asks for any Chinese (`zh-CN`, `zh-TW`) reads ours.
    """
    for choice in (request.query_params.get("lang"), request.cookies.get(COOKIE), default):
        if choice is not None and choice in LANGUAGES:
            return choice
    accepted = request.headers.get("accept-language", "").lower().split(",")
    wishes = []
    for place, item in enumerate(accepted):
        tag, _, quality = item.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        wishes.append((-weight, place, tag[:2]))
    return next((tag for _, _, tag in sorted(wishes) if tag in LANGUAGES), "en")
