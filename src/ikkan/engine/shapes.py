"""The OpenAI wire, outwards: what an answer looks like, whole or in chunks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ikkan.engine.calls import Argued, Called, Calls, Heard, Said
from ikkan.engine.reasoning import Thinking, ThoughtTokens
from ikkan.engine.turns import PLAIN, Reading
from ikkan.engine.values import Piece, TokenLogprob, Usage
from ikkan.ground.ids import new_id
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
        reading: which of a chat's text is reasoning, which are calls.
    """

    def __init__(
        self, index: int, is_chat: bool, tokenizer: Tokenizer, echo: str = "", reading: Reading = PLAIN
    ) -> None:
        self.usage = Usage(0, 0, 0)
        self._index = index
        self._is_chat = is_chat
        self._tokenizer = tokenizer
        self._echo = echo
        self._finish: str | None = None
        self._message = _Message(reading, tokenizer)
        self._logprobs: list[TokenLogprob] = []
        self._offset = len(echo)
        self._begun = False

    @property
    def thought_tokens(self) -> int | None:
        """Tokens of reasoning so far; None where the model does none."""
        return self._message.thought_tokens

    def add(self, piece: Piece) -> None:
        """Take the next piece."""
        self._message.add(piece)
        self._logprobs += piece.logprobs
        self._finish, self.usage = piece.finish, piece.usage

    def whole(self, with_logprobs: bool) -> dict[str, Any]:
        """This answer in a reply that is not streamed."""
        logprobs = self._probable(self._logprobs) if with_logprobs else None
        about = {"index": self._index, "logprobs": logprobs, "finish_reason": self._reason(self._finish)}
        if not self._is_chat:
            return {**about, "text": self._echo + self._message.content}
        return {**about, "message": self._message.whole()}

    def chunks(self, piece: Piece, with_logprobs: bool) -> list[dict[str, Any]]:
        """What a stream says of the next piece."""
        deltas = self._message.add(piece)
        self.usage = piece.usage
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
        for delta in deltas or ([{"content": ""}] if logprobs else []):
            said.append({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None})
            logprobs = None
        if piece.finish:
            said.append({"index": index, "delta": {}, "logprobs": None, "finish_reason": self._reason(piece.finish)})
        return said

    def _reason(self, finish: str | None) -> str | None:
        return "tool_calls" if finish == "stop" and self._message.calls else finish

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


class _Message:
    """What an answer says: reasoning, words and calls, told apart."""

    def __init__(self, reading: Reading, tokenizer: Tokenizer) -> None:
        opened = reading.thought == "opened"
        self._thinking = None if reading.thought == "never" else Thinking(opened=opened)
        self._tokens = ThoughtTokens(opened=opened)
        self._spelling_of = tokenizer.bytes_of
        self._reader = Calls(reading.style) if reading.style else None
        self._thoughts: list[str] = []
        self._words: list[str] = []
        self.calls: list[dict[str, Any]] = []

    @property
    def content(self) -> str:
        """The words."""
        return "".join(self._words)

    @property
    def thought_tokens(self) -> int | None:
        """See `Choice.thought_tokens`."""
        return self._tokens.count if self._thinking else None

    def whole(self) -> dict[str, Any]:
        """The message, as far as it has come."""
        content = self.content
        message: dict[str, Any] = {"role": "assistant"}
        message |= {"content": content if content or not self.calls else None, "refusal": None}
        if thought := "".join(self._thoughts):
            message["reasoning_content"] = thought
        if self.calls:
            message["tool_calls"] = self.calls
        return message

    def add(self, piece: Piece) -> list[dict[str, Any]]:
        """What the next piece adds, as a stream's deltas."""
        if self._thinking is None:
            return self._hear(self._read(piece.text, bool(piece.finish)))
        for token_id in piece.token_ids:
            self._tokens.add(self._spelling_of(token_id))
        thought, words = self._thinking.add(piece.text)
        if piece.finish:
            rest, more = self._thinking.end()
            thought, words = thought + rest, words + more
        deltas = [{"reasoning_content": thought}] if thought else []
        self._thoughts.append(thought)
        return deltas + self._hear(self._read(words, bool(piece.finish)))

    def _read(self, words: str, is_last: bool) -> list[Heard]:
        if self._reader is None:
            return [Said(words)] if words else []
        return self._reader.add(words) + (self._reader.end() if is_last else [])

    def _hear(self, heard: Sequence[Heard]) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = []
        for one in heard:
            match one:
                case Said(text):
                    self._words.append(text)
                    deltas.append({"content": text})
                case Called(index, name):
                    call_id = "call_" + new_id().replace("-", "")
                    about = {"id": call_id, "type": "function"}
                    self.calls.append({**about, "function": {"name": name, "arguments": ""}})
                    function = {"name": name, "arguments": ""}
                    deltas.append({"tool_calls": [{"index": index, **about, "function": function}]})
                case Argued(index, text):
                    self.calls[index]["function"]["arguments"] += text
                    deltas.append({"tool_calls": [{"index": index, "function": {"arguments": text}}]})
        return deltas


def usage(choices_of_prompts: Sequence[Sequence[Usage]], thought_tokens: int | None = None) -> dict[str, Any]:
    """The tokens of a reply: each prompt counts once, however many answers it has.

    Args:
        thought_tokens: of the answers', those of reasoning; None where the model does none.

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
        **({} if thought_tokens is None else {"completion_tokens_details": {"reasoning_tokens": thought_tokens}}),
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
