"""Languages: every string a person sees exists in Japanese and English; the person decides which."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.requests import Request

LANGUAGES = ("ja", "en")
COOKIE = "ikkan_lang"


class Words:
    """Strings by key and language. A missing key is our own mistake and says so loudly.

    >>> words = Words({"hello": {"ja": "こんにちは、{name}さん", "en": "Hello, {name}"}})
    >>> words.say("en")("hello", name="Aya")
    'Hello, Aya'
    """

    def __init__(self, *catalogs: Mapping[str, Mapping[str, str]]) -> None:
        self._texts: dict[str, Mapping[str, str]] = {}
        for catalog in catalogs:
            self.add(catalog)

    def add(self, catalog: Mapping[str, Mapping[str, str]]) -> None:
        for key, texts in catalog.items():
            assert set(LANGUAGES) <= set(texts), f"string {key!r} lacks a language"
            assert key not in self._texts or self._texts[key] == texts, f"string {key!r} is defined twice"
            self._texts[key] = texts

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def say(self, language: str) -> Callable[..., str]:
        def translate(key: str, **values: object) -> str:
            text = self._texts[key][language]
            return text.format(**values) if values else text

        return translate


def negotiate(request: Request, default: str = "auto") -> str:
    """Which language this person wants: `?lang=`, then their cookie, then the operator's setting, then the browser."""
    for choice in (request.query_params.get("lang"), request.cookies.get(COOKIE), default):
        if choice in LANGUAGES:
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
