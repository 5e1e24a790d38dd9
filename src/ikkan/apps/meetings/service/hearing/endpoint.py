"""A server that speaks OpenAI's wire: `POST …/audio/transcriptions`. vLLM, speaches, whisper.cpp, or a vendor.

Its key stays in an environment variable; settings hold only that variable's name.
"""

from __future__ import annotations

import asyncio
import io
import math
import wave
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import aiohttp
import msgspec
import numpy as np

from ikkan.apps.meetings.rules.hearing import RATE, Window
from ikkan.apps.meetings.service.hearing.contract import Heard
from ikkan.ground.errors import (
    SetupNeeded,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_TIMEOUT_S = 120.0
_MOST_BYTES = 4 << 20


class Endpoint:
    """Somebody's recogniser behind an address.

    Args:
        url: the base that `/audio/transcriptions` is added to: `http://127.0.0.1:8000/v1`.
        model: what to ask for.
        key_env: the variable with the key; empty: none is sent.
        secret_of: looks a variable up.
    """

    name = "endpoint"
    languages: frozenset[str] = frozenset()

    def __init__(self, url: str, model: str, key_env: str, secret_of: Callable[[str], str | None]) -> None:
        self._url = f"{url.rstrip('/')}/audio/transcriptions"
        self._model = model
        self._key_env = key_env
        self._secret_of = secret_of

    def transcribe(self, windows: Iterable[Window], language: str | None) -> Iterator[Heard]:
        headers = self._headers()
        for window in windows:
            # We are in a thread of our own; a loop lives as long as one question.
            told = asyncio.run(self._ask(window, language, headers))
            yield from _heard(told, window)

    def _headers(self) -> dict[str, str]:
        if not self._key_env:
            return {}
        key = self._secret_of(self._key_env)
        if not key:
            raise SetupNeeded(
                f"the recogniser's key is wanted in ${self._key_env}, which is not set",
                hint=f"export {self._key_env}=… before starting",
            )
        return {"authorization": f"Bearer {key}"}

    async def _ask(self, window: Window, language: str | None, headers: dict[str, str]) -> dict[str, Any]:
        form = aiohttp.FormData()
        form.add_field("file", _wav(window), filename="window.wav", content_type="audio/wav")
        form.add_field("model", self._model)
        form.add_field("response_format", "verbose_json")
        form.add_field("temperature", "0")
        if language:
            form.add_field("language", language)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self._url, data=form, headers=headers) as reply,
            ):
                body = await reply.content.read(_MOST_BYTES)
                if reply.status != 200:
                    # Its words may quote the sound or the key; the status says enough.
                    raise UpstreamRejected(
                        f"the recogniser at {self._url} answered {reply.status}",
                        hint="is the model's name right, and the key's variable?",
                        status=reply.status,
                    )
        except TimeoutError as exc:
            raise UpstreamTimeout(
                f"the recogniser at {self._url} took more than {_TIMEOUT_S:.0f} s", hint="try again in a moment"
            ) from exc
        except aiohttp.ClientConnectionError as exc:
            raise UpstreamUnreachable(
                f"no recogniser answers at {self._url}", hint="is it running? see IKKAN_HEARING_URL"
            ) from exc
        except aiohttp.ClientError as exc:
            raise UpstreamFailed(f"the recogniser at {self._url} broke off", hint="try again") from exc
        try:
            told = msgspec.json.decode(body)
        except msgspec.DecodeError:
            told = None
        if not isinstance(told, dict):
            raise UpstreamFailed(f"the recogniser at {self._url} sent no JSON", hint="does it speak OpenAI's wire?")
        return told


def _heard(told: dict[str, Any], window: Window) -> Iterator[Heard]:
    segments = told.get("segments")
    if not isinstance(segments, list) or not segments:
        segments = [{"text": told.get("text")}]
    for segment in segments:
        text = segment.get("text") if isinstance(segment, dict) else None
        if not isinstance(text, str) or not text.strip():
            continue
        length_s = window.end_s - window.start_s
        start_s, end_s = _number(segment.get("start"), 0.0), _number(segment.get("end"), length_s)
        log_prob = _number(segment.get("avg_logprob"), math.nan)
        yield Heard(
            window.start_s + min(max(start_s, 0.0), length_s),
            window.start_s + min(max(end_s, start_s, 0.0), length_s),
            text.strip(),
            None if math.isnan(log_prob) else math.exp(min(0.0, log_prob)),
            window.speaker,
            window.above_db,
        )


def _number(value: Any, otherwise: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else otherwise


def _wav(window: Window) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(window.samples, -1.0, 1.0) * 32_767).astype("<i2").tobytes())
    return held.getvalue()
