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
        (request(accept="zh"), "auto", "zh"),
        (request(accept="zh-CN,zh;q=0.9,en;q=0.8"), "auto", "zh"),
        (request(accept="zh-TW"), "auto", "zh"),
        (request(accept="ko,fr"), "auto", "en"),
        (request(query="lang=zh", accept="ja"), "auto", "zh"),
        (request(accept="ja"), "zh", "zh"),
        (request(accept="en;q=rubbish,ja"), "auto", "ja"),
        (request(query="lang=<script>"), "auto", "en"),
    ],
)
def test_the_nearest_wish_wins(seen: Request, default: str, language: str) -> None:
    assert negotiate(seen, default) == language


def test_english_stands_in_and_is_noticed() -> None:
    words = Words({"hello": {"ja": "こんにちは", "en": "Hello"}, "bye": {"ja": "では", "en": "Bye", "zh": "再见"}})
    say = words.say("zh")
    assert (say("bye"), say.fell_back) == ("再见", False)
    assert (say("hello"), say.fell_back) == ("Hello", True)


def test_a_string_without_a_language_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="lacks a language"):
        Words({"hello": {"en": "Hello"}})
