"""Language: the query, then the cookie, then the operator, then the browser."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from ikkan.kit import Words, negotiate


def request(*, query: str = "", cookie: str = "", accept: str = "") -> Request:
    headers = [(b"cookie", cookie.encode()), (b"accept-language", accept.encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": query.encode(), "headers": headers})


@pytest.mark.parametrize(
    ("seen", "default", "language"),
    [
        (request(query="lang=ja", cookie="ikkan_lang=en", accept="en"), "en", "ja"),
        (request(cookie="ikkan_lang=en", accept="ja"), "ja", "en"),
        (request(accept="en"), "ja", "ja"),
        (request(accept="ja,en;q=0.8"), "auto", "ja"),
        (request(accept="fr,en;q=0.3,ja;q=0.9"), "auto", "ja"),
        (request(accept="zh-TW"), "auto", "en"),
        (request(accept="en;q=rubbish,ja"), "auto", "ja"),
        (request(query="lang=<script>"), "auto", "en"),
    ],
)
def test_the_nearest_wish_wins(seen: Request, default: str, language: str) -> None:
    assert negotiate(seen, default) == language


def test_a_string_without_a_language_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="lacks a language"):
        Words({"hello": {"en": "Hello"}})
