"""The OpenAI wire, outwards: what an answer looks like, whole or in chunks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ikkan.engine.values import Piece, TokenLogprob, Usage
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Float32

_LOWEST: Final = -9999.0
"""JSON has no minus infinity."""


class Choice:
    """One of the answers of a reply, as it grows.

    Args:
        index: its number in the reply.
        is_chat: a chat's message, or a completion's text.
        tokenizer: spells the tokens of log-probabilities.
        echo: put in front of a completion's text.
    """

    def __init__(self, index: int, is_chat: bool, tokenizer: Tokenizer, echo: str = "") -> None:
        self.finish: str | None = None
        self.usage = Usage(0, 0, 0)
        self._index = index
        self._is_chat = is_chat
        self._tokenizer = tokenizer
        self._echo = echo
        self._texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._offset = len(echo)
        self._begun = False

    def add(self, piece: Piece) -> None:
        """Take the next piece."""
        self._texts.append(piece.text)
        self._logprobs += piece.logprobs
        self.finish, self.usage = piece.finish, piece.usage

    def whole(self, with_logprobs: bool) -> dict[str, Any]:
        """This answer in a reply that is not streamed."""
        text = self._echo + "".join(self._texts)
        logprobs = self._probable(self._logprobs) if with_logprobs else None
        if not self._is_chat:
            return {"index": self._index, "text": text, "logprobs": logprobs, "finish_reason": self.finish}
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": self._index, "message": message, "logprobs": logprobs, "finish_reason": self.finish}

    def chunks(self, piece: Piece, with_logprobs: bool) -> list[dict[str, Any]]:
        """What a stream says of the next piece."""
        self.finish, self.usage = piece.finish, piece.usage
        logprobs = self._probable(piece.logprobs) if with_logprobs and piece.logprobs else None
        index = self._index
        if not self._is_chat:
            text = piece.text if self._begun else self._echo + piece.text
            self._begun = True
            return [{"index": index, "text": text, "logprobs": logprobs, "finish_reason": piece.finish}]
        said: list[dict[str, Any]] = []
        if not self._begun:
            self._begun = True
            said.append({"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})
        if piece.text or logprobs:
            delta = {"content": piece.text}
            said.append({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None})
        if piece.finish:
            said.append({"index": index, "delta": {}, "logprobs": None, "finish_reason": piece.finish})
        return said

    def _probable(self, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        if self._is_chat:
            content = [
                {
                    **self._token(one.token_id, one.logprob),
                    "top_logprobs": [self._token(*pair) for pair in one.alternatives],
                }
                for one in logprobs
            ]
            return {"content": content, "refusal": None}
        spelled = [self._tokenizer.spelling_of(one.token_id) for one in logprobs]
        offsets: list[int] = []
        for token in spelled:
            offsets.append(self._offset)
            self._offset += len(token)
        return {
            "tokens": spelled,
            "token_logprobs": [_finite(one.logprob) for one in logprobs],
            "top_logprobs": [
                {self._tokenizer.spelling_of(number): _finite(value) for number, value in one.alternatives}
                for one in logprobs
            ],
            "text_offset": offsets,
        }

    def _token(self, token_id: int, logprob: float) -> dict[str, Any]:
        data = self._tokenizer.bytes_of(token_id)
        return {
            "token": self._tokenizer.spelling_of(token_id),
            "logprob": _finite(logprob),
            "bytes": list(data) if data else None,  # a control token adds none to the text
        }


def usage(choices_of_prompts: Sequence[Sequence[Usage]]) -> dict[str, Any]:
    """The tokens of a reply: each prompt counts once, however many answers it has.

    >>> usage([[Usage(5, 2, 7), Usage(5, 4, 1)]])["prompt_tokens"]
    5
    """
    firsts = [prompt[0] for prompt in choices_of_prompts]
    read = sum(one.prompt_tokens for one in firsts)
    written = sum(one.completion_tokens for prompt in choices_of_prompts for one in prompt)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": sum(one.cached_tokens for one in firsts)},
    }


def embeddings(vectors: Float32, *, model: str, as_base64: bool, tokens: int) -> dict[str, Any]:
    """A reply of vectors; base64 holds little-endian float32."""
    rows = vectors.astype(np.dtype("<f4"), copy=False)
    written = [base64.b64encode(row.tobytes()).decode() if as_base64 else row.tolist() for row in rows]
    data = [{"object": "embedding", "index": number, "embedding": one} for number, one in enumerate(written)]
    spent = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": spent}


def _finite(logprob: float) -> float:
    return max(logprob, _LOWEST)
