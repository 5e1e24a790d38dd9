"""Further routes: adapters (vLLM's), likelihoods of given texts, and ranking (Jina's, Cohere's and vLLM's wire).

Handlers take a request and its body and return what to answer: an object, or a line of text.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import msgspec
from starlette.requests import Request

from ikkan.engine import wire
from ikkan.engine.adapters import AdapterShelf
from ikkan.engine.embedder import Embeds
from ikkan.engine.engine import Engine
from ikkan.engine.scoring import Scorer
from ikkan.engine.values import HeldAdapter, TokenLogprob
from ikkan.ground.errors import NotAllowed, PromptTooLong, UnknownModel
from ikkan.ground.ids import new_id
from ikkan.models.template import encode_chat
from ikkan.models.tokenizer import Tokenizer

Answer: TypeAlias = Callable[[Request, bytes], Awaitable["dict[str, Any] | str"]]

MAX_DOCUMENTS: Final = 1024
MAX_CONTINUATIONS: Final = 1024

_YES: Final = ("yes", "Yes", " yes", " Yes")
_NO: Final = ("no", "No", " no", " No")
_JUDGE: Final = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)
"""The words Qwen3's rerankers were trained with; others understand them as well."""
_INSTRUCTION: Final = "Given a search query, retrieve passages that answer the query"


class LoadBody(msgspec.Struct):
    lora_name: str
    lora_path: str
    load_inplace: bool | None = None


class UnloadBody(msgspec.Struct):
    lora_name: str


class Document(msgspec.Struct):
    text: str


class RerankBody(msgspec.Struct):
    query: str
    documents: list[str | Document]
    model: str | None = None
    top_n: int | None = None
    return_documents: bool | None = None
    instruction: str | None = None
    max_tokens_per_doc: int | None = None
    truncate_prompt_tokens: int | None = None


class ScoreBody(msgspec.Struct):
    model: str
    prompt: str | list[int]
    continuations: list[str | list[int]]


class Further:
    """One method a route.

    Args:
        scorer: the engine's; None where texts cannot be scored.
        shelf: the engine's adapters; None where none can be loaded.
        names: what the chat model answers to.
        embedders: what turns texts into vectors, by name.
    """

    def __init__(
        self,
        engine: Engine,
        scorer: Scorer | None,
        shelf: AdapterShelf | None,
        names: Sequence[str],
        embedders: Mapping[str, Embeds],
    ) -> None:
        self._engine = engine
        self._scorer = scorer
        self._shelf = shelf
        self._names = names
        self._embedders = embedders

    @property
    def routes(self) -> list[tuple[str, str, Answer]]:
        """Method, path and handler of each."""
        scored: list[tuple[str, str, Answer]] = [("POST", "/v1/score", self.score)] if self._scorer else []
        held: list[tuple[str, str, Answer]] = [
            ("POST", "/v1/load_lora_adapter", self.load),
            ("POST", "/v1/unload_lora_adapter", self.unload),
        ]
        ranked: list[tuple[str, str, Answer]] = [("POST", "/v1/rerank", self.rerank)]
        return [*scored, *(held if self._shelf else []), *(ranked if self._scorer or self._embedders else [])]

    def adapter(self, model: str) -> str:
        """The adapter that a model's name in a request means; empty for the model itself.

        Raises:
            UnknownModel: it is neither.
        """
        if model in self._names:
            return ""
        if self._shelf is not None and self._shelf.find(model) is not None:
            return model
        loaded = [one.name for one in self._shelf.list()] if self._shelf else []
        raise UnknownModel(
            f"no model named {model[:100]!r} here; served: {', '.join([*self._names, *loaded])}",
            hint="GET /v1/models",
            param="model",
        )

    def described(self, *, created: int) -> list[dict[str, Any]]:
        """The adapters as `/v1/models` lists them."""
        common = {"object": "model", "created": created, "owned_by": "ikkan"}
        return [
            {
                **common,
                "id": one.name,
                "created": int(one.loaded_at),
                "root": str(one.folder),
                "parent": self._names[0],
                "max_model_len": self._engine.context_tokens,
            }
            for one in (self._shelf.list() if self._shelf else [])
        ]

    async def load(self, request: Request, data: bytes) -> str:
        """vLLM's way to load an adapter; only for callers on this machine."""
        assert self._shelf is not None
        _require_local(request)
        body = wire.read(data, LoadBody)
        in_place = bool(body.load_inplace)
        await asyncio.to_thread(self._shelf.load, body.lora_name, body.lora_path, in_place=in_place)
        return f"Success: LoRA adapter '{body.lora_name}' added successfully."

    async def unload(self, request: Request, data: bytes) -> str:
        """vLLM's way to unload one."""
        assert self._shelf is not None
        _require_local(request)
        name = wire.read(data, UnloadBody).lora_name
        self._shelf.unload(name)
        return f"Success: LoRA adapter '{name}' removed successfully."

    async def score(self, request: Request, data: bytes) -> dict[str, Any]:
        """How likely given continuations of one prompt are; the prompt is read once."""
        assert self._scorer is not None
        body = wire.read(data, ScoreBody)
        name = self.adapter(body.model)
        if not 1 <= len(body.continuations) <= MAX_CONTINUATIONS:
            wire.refuse("continuations", f"between 1 and {MAX_CONTINUATIONS:,} of them")
        tokenizer, vocab = self._engine.tokenizer, self._engine.vocab

        def encode() -> tuple[list[int], list[list[int]]]:
            given = [
                wire.tokens("continuations", one, vocab) if isinstance(one, list) else tokenizer.encode(one)
                for one in body.continuations
            ]
            if isinstance(body.prompt, list):
                return wire.tokens("prompt", body.prompt, vocab), given
            return text_ids(tokenizer, body.prompt), given

        prompt, continuations = await asyncio.to_thread(encode)
        if not prompt:
            wire.refuse("prompt", "an empty text says nothing about what follows")
        if not all(continuations):
            wire.refuse("continuations", "an empty text is as likely as none")
        async with self._holding(name) as held:
            found = await self._scorer.continuations(prompt, continuations, request.is_disconnected, adapter=held)
        data_of = [
            {
                "index": number,
                "object": "score",
                "logprob": one.total,
                "mean_logprob": one.mean,
                "is_greedy": one.is_greedy,
                "tokens": [tokenizer.spelling_of(token_id) for token_id in continuations[number]],
                "token_logprobs": list(one.logprobs),
            }
            for number, one in enumerate(found)
        ]
        read = len(prompt) + sum(map(len, continuations))
        return {**_head("score", name or self._names[0]), "object": "list", "data": data_of, "usage": _usage(read)}

    async def rerank(self, request: Request, data: bytes) -> dict[str, Any]:
        """Documents by how well they answer a query: by their vectors, or by what a chat model says of each."""
        body = wire.read(data, RerankBody)
        documents = [one.text if isinstance(one, Document) else one for one in body.documents]
        if not 1 <= len(documents) <= MAX_DOCUMENTS:
            wire.refuse("documents", f"between 1 and {MAX_DOCUMENTS:,} of them")
        if not body.query.strip():
            wire.refuse("query", "an empty query ranks nothing")
        if body.top_n is not None and body.top_n < 1:
            wire.refuse("top_n", "at least 1")
        cut = body.max_tokens_per_doc if body.max_tokens_per_doc is not None else body.truncate_prompt_tokens
        if cut is not None and cut != -1 and cut < 4:
            wire.refuse("max_tokens_per_doc", "-1 for as many as fit, or at least 4")
        name, embedder = self._ranker(body.model)
        if embedder is not None:
            scores, read = await self._by_vectors(request, embedder, body.query, documents, cut)
        else:
            wanted = body.instruction or _INSTRUCTION
            scores, read = await self._by_judgement(request, body.query, documents, wanted, cut)
        order = sorted(range(len(documents)), key=lambda number: (-scores[number], number))
        results = [
            {
                "index": number,
                **({"document": {"text": documents[number]}} if body.return_documents is not False else {}),
                "relevance_score": scores[number],
            }
            for number in order[: body.top_n]
        ]
        return {**_head("rerank", name), "results": results, "usage": _usage(read)}

    async def echo(
        self, request: Request, given: Sequence[str | list[int]], alternatives: int, model: str
    ) -> dict[str, Any]:
        """`/v1/completions` with `echo`, `logprobs` and `max_tokens: 0`: how likely the prompts themselves are."""
        assert self._scorer is not None
        tokenizer, name = self._engine.tokenizer, self.adapter(model)
        prompts = [text_ids(tokenizer, one) if isinstance(one, str) else one for one in given]
        if not all(prompts):
            wire.refuse("prompt", "an empty text has nothing to be judged")
        choices = []
        async with self._holding(name) as held:
            for number, ids in enumerate(prompts):
                said = await self._scorer.given(ids, alternatives, request.is_disconnected, adapter=held)
                choices.append(_echoed(number, tokenizer, ids, said))
        head = _head("cmpl", name or self._names[0])
        return {**head, "object": "text_completion", "choices": choices, "usage": _usage(sum(map(len, prompts)))}

    # --- ranking -----------------------------------------------------------------------------------------------------

    def _ranker(self, model: str | None) -> tuple[str, Embeds | None]:
        if model is None:
            first = next(iter(self._embedders.items()), None)
            return first or (self._names[0], None)
        if model in self._embedders:
            return model, self._embedders[model]
        if model not in self._names or self._scorer is None:
            served = ", ".join([*self._embedders, *self._names])
            raise UnknownModel(
                f"no model named {model[:100]!r} ranks here; served: {served}", hint="GET /v1/models", param="model"
            )
        return model, None

    async def _by_vectors(
        self, request: Request, embedder: Embeds, query: str, documents: Sequence[str], cut: int | None
    ) -> tuple[list[float], int]:
        limit = embedder.context_tokens if cut == -1 else min(cut, embedder.context_tokens) if cut else None
        texts = [query, *(one or " " for one in documents)]
        ids = await asyncio.to_thread(lambda: [embedder.ids(one, limit=limit) for one in texts])
        vectors = await embedder.embed(self._engine, ids, request.is_disconnected)
        return [float(one) for one in vectors[1:] @ vectors[0]], sum(map(len, ids))

    async def _by_judgement(
        self, request: Request, query: str, documents: Sequence[str], instruction: str, cut: int | None
    ) -> tuple[list[float], int]:
        assert self._scorer is not None
        engine, scorer = self._engine, self._scorer

        def write(document: str) -> list[int]:
            asked = f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
            if engine.template is None:
                return text_ids(engine.tokenizer, f"{_JUDGE}\n\n{asked}\n\nAnswer:")
            messages = [{"role": "system", "content": _JUDGE}, {"role": "user", "content": asked}]
            # The answer has one token; a model that would think first is told not to.
            return encode_chat(engine.tokenizer, engine.template, messages, enable_thinking=False)

        def written() -> list[list[int]]:
            room = engine.context_tokens - len(write("")) - 4  # a cut may fall inside a word and change its tokens
            if room < 4:
                raise PromptTooLong("the query leaves no room for a document", hint="shorten it", param="query")
            most = room if cut == -1 else min(cut, room) if cut else None
            return [write(_shortened(engine.tokenizer, one, most)) for one in documents]

        ids = await asyncio.to_thread(written)
        yes, no = _answers(engine.tokenizer)
        said = await scorer.ends(ids, [*yes, *no], request.is_disconnected)
        return [_share(one[: len(yes)], one[len(yes) :]) for one in said], sum(map(len, ids))

    @asynccontextmanager
    async def _holding(self, name: str) -> AsyncIterator[HeldAdapter | None]:
        if not name:
            yield None
            return
        assert self._shelf is not None
        held = self._shelf.hold(name)
        try:
            yield held
        finally:
            self._shelf.let_go(held)


def text_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """A bare text as the model expects it: with the token a text begins with, where it wants one."""
    ids = tokenizer.encode(text)
    return [tokenizer.bos_id, *ids] if tokenizer.adds_bos and tokenizer.bos_id is not None else ids


def _answers(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The tokens with which yes and no begin, in every spelling; those with which both begin say nothing."""
    yes, no = ({tokenizer.encode(one)[0] for one in spelled if tokenizer.encode(one)} for spelled in (_YES, _NO))
    if not yes - no or not no - yes:
        wire.refuse("model", "its vocabulary cannot tell yes from no", hint="serve an embedding model beside it")
    return sorted(yes - no), sorted(no - yes)


def _share(yes: Sequence[float], no: Sequence[float]) -> float:
    """The probability of yes, of yes and no together.

    >>> _share([math.log(0.2), math.log(0.1)], [math.log(0.1)])
    0.75
    """
    highest = max(*yes, *no)
    for_it, against = (sum(math.exp(one - highest) for one in some) for some in (yes, no))
    return round(for_it / (for_it + against), 12)


def _shortened(tokenizer: Tokenizer, text: str, most: int | None) -> str:
    if most is None or len(text.encode("utf-8", "replace")) <= most:  # a token has a byte at least
        return text
    ids = tokenizer.encode(text)
    return text if len(ids) <= most else tokenizer.decode(ids[:most]).rstrip("\ufffd")


def _echoed(index: int, tokenizer: Tokenizer, ids: Sequence[int], said: Sequence[TokenLogprob]) -> dict[str, Any]:
    spelled = [tokenizer.spelling_of(one) for one in ids]
    offsets, offset = [], 0
    for token in spelled:
        offsets.append(offset)
        offset += len(token)
    alternatives = [{tokenizer.spelling_of(one): value for one, value in place.alternatives} for place in said]
    logprobs = {
        "tokens": spelled,
        "token_logprobs": [None, *(one.logprob for one in said)],
        "top_logprobs": [None, *alternatives],
        "text_offset": offsets,
    }
    return {"index": index, "text": tokenizer.decode(ids), "logprobs": logprobs, "finish_reason": "length"}


def _require_local(request: Request) -> None:
    host = request.client.host if request.client else "127.0.0.1"  # a Unix socket has no address
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise NotAllowed("adapters are loaded and unloaded from this machine only", hint="ask on loopback")


def _head(kind: str, model: str) -> dict[str, Any]:
    return {"id": new_id(kind), "created": int(time.time()), "model": model}


def _usage(read: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": 0, "total_tokens": read}
