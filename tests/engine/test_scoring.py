"""How likely given texts are: computed from one reading of the prompt, beside running answers, never all at once."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ikkan.engine import scoring
from ikkan.engine.fakes import END, VOCAB, FakeDecoder, fake_tokenizer

from .conftest import eventually
from .further import ServedWhole, serving_whole, write_adapter


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWhole]:
    folder = tmp_path_factory.mktemp("adapters")
    with serving_whole(folder) as one:
        one.shelf.load("desk", write_adapter(folder / "desk"))
        yield one


def logprobs(ids: list[int], number: int = 0) -> Any:
    """After each token, the log-probabilities of all: read in one piece by a decoder of its own."""
    decoder, n = FakeDecoder(), np.arange(len(ids), dtype=np.int32)
    which = np.full(len(ids), number, np.int32) if number else None
    rows = decoder.forward(np.array(ids, np.int32), n * 0, n, decoder.new_cache(1, len(ids)), n, which)
    rows = rows.astype(np.float64)
    return rows - np.log(np.exp(rows - rows.max(1, keepdims=True)).sum(1, keepdims=True)) - rows.max(1, keepdims=True)


def expected(prompt: str, continuation: str, number: int = 0) -> list[float]:
    ids = [*prompt.encode(), *continuation.encode()]
    after = logprobs(ids, number)
    return [float(after[place - 1, ids[place]]) for place in range(len(prompt.encode()), len(ids))]


def score(served: ServedWhole, prompt: Any, continuations: Any, model: str = "tiny") -> Any:
    return served.ask("/v1/score", {"model": model, "prompt": prompt, "continuations": continuations})


@pytest.mark.parametrize(("model", "number"), [("tiny", 0), ("desk", 1)])
def test_a_continuation_is_as_likely_as_the_model_says(model: str, number: int, served: ServedWhole) -> None:
    prompt, continuations = "The sky is " * 9, ["b", "blue", "green and rather long, longer than a row of logits", "g"]
    reply = score(served, prompt, continuations, model).json
    assert reply["model"] == model
    for found, continuation in zip(reply["data"], continuations, strict=True):
        wanted = expected(prompt, continuation, number)
        assert np.allclose(found["token_logprobs"], wanted, atol=1e-4)
        assert math.isclose(found["logprob"], sum(wanted), abs_tol=1e-3)
        assert math.isclose(found["mean_logprob"], sum(wanted) / len(wanted), abs_tol=1e-3)
        assert "".join(found["tokens"]) == continuation
    assert reply["usage"]["total_tokens"] == len(prompt) + sum(map(len, continuations))


def test_what_the_model_would_write_itself_is_marked(served: ServedWhole) -> None:
    prompt = [*b"user: hi", END]
    reply = score(served, prompt, ["hi", "ho"]).json
    assert [one["is_greedy"] for one in reply["data"]] == [True, False]


def test_a_shared_prompt_is_read_once(served: ServedWhole) -> None:
    served.decoder.calls.clear()
    score(served, "p" * 100, ["one", "two", "three"])
    read = [position for call in served.decoder.calls for _, _, position in call]
    assert sum(position < 100 for position in read) == 100
    assert len(read) == 100 + 2 + 2 + 4


def test_nothing_is_remembered_from_one_request_to_the_next(served: ServedWhole) -> None:
    for _ in range(2):
        served.decoder.calls.clear()
        score(served, "secret " * 10, ["a"])
        assert sum(map(len, served.decoder.calls)) == 70


def test_logits_are_asked_for_a_few_rows_at_a_time(served: ServedWhole, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    forward = served.decoder.forward

    def counting(*arguments: Any) -> Any:
        rows.append(len(arguments[4]))
        return forward(*arguments)

    monkeypatch.setattr(served.decoder, "forward", counting)
    text = "x" * 300
    assert score(served, text[:10], [text[10:]]).status == 200
    body = {"model": "tiny", "prompt": text, "max_tokens": 0, "echo": True, "logprobs": 0}
    assert served.ask("/v1/completions", body).status == 200
    assert max(rows) <= scoring.SCORED_ROWS


def test_answers_go_on_while_a_long_text_is_scored(tmp_path: Path) -> None:
    decoder = FakeDecoder(pace=threading.Semaphore(0))
    assert decoder.pace is not None
    with serving_whole(tmp_path, decoder, guess=False) as served:
        body = {"model": "tiny", "prompt": "Go", "max_tokens": 390, "ignore_eos": True, "temperature": 0}
        asking = [
            threading.Thread(target=served.ask, args=("/v1/completions", body)),
            threading.Thread(target=score, args=(served, "w" * 300, ["x" * 60])),
        ]
        asking[0].start()
        decoder.pace.release()
        eventually(lambda: len(decoder.calls) >= 1)
        asking[1].start()
        eventually(lambda: bool(served.engine._errands))
        decoder.pace.release(1_000)
        for one in asking:
            one.join()
    lengths = [len(call) for call in decoder.calls]
    together = lengths[1 : len(lengths) - lengths[::-1].index(1)]  # until the answer's last token
    texts = [place for place, length in enumerate(together) if length > 2]
    assert texts and max(together) <= scoring.SHARED_TOKENS
    assert all(later - earlier > 1 for earlier, later in pairwise(texts))  # a step of the answer between any two


def test_prompts_are_echoed_with_their_likelihoods(served: ServedWhole) -> None:
    with served.client() as client:
        reply = client.completions.create(model="tiny", prompt=["Once é", "hi"], max_tokens=0, echo=True, logprobs=2)
    assert [choice.text for choice in reply.choices] == ["Once é", "hi"]
    said = reply.choices[0].logprobs
    assert said is not None and said.token_logprobs is not None and said.top_logprobs is not None
    ids = [*"Once é".encode()]
    after = logprobs(ids)
    assert said.token_logprobs[0] is None
    assert np.allclose(said.token_logprobs[1:], [after[n, ids[n + 1]] for n in range(len(ids) - 1)], atol=1e-4)  # type: ignore[arg-type]
    assert [len(one) for one in said.top_logprobs[1:4]] == [2, 2, 2]
    best = max(said.top_logprobs[1].values())
    assert math.isclose(best, after[0].max(), abs_tol=1e-4)
    assert reply.usage is not None and reply.usage.completion_tokens == 0


@pytest.mark.parametrize(
    ("prompt", "continuations", "status"),
    [
        ("", ["a"], 400),
        ("a", [], 400),
        ("a", [""], 400),
        ("a", ["b" * 400], 400),
        ([VOCAB], ["b"], 400),
        ("a", [[-1]], 400),
        ("a", ["b"] * 1025, 400),
        (7, ["b"], 400),
    ],
    ids=["no prompt", "none", "an empty one", "too long", "no token", "no token either", "too many", "no text"],
)
def test_what_cannot_be_scored_is_refused(prompt: Any, continuations: Any, status: int, served: ServedWhole) -> None:
    assert score(served, prompt, continuations).status == status


def test_an_unknown_model_scores_nothing(served: ServedWhole) -> None:
    assert score(served, "a", ["b"], model="other").status == 404


def test_a_crowd_is_told_to_come_back(served: ServedWhole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "MOST_WAITING", 0)
    reply = score(served, "a", ["b"])
    assert reply.status == 429 and "retry-after-ms" in reply.headers


@pytest.mark.parametrize("pooling", ["last", "mean", None])
def test_a_chat_model_embeds_texts(pooling: str | None, served: ServedWhole) -> None:
    texts = ["hello", "w" * 290]
    reply = served.ask("/v1/embeddings", {"model": "tiny", "input": texts, "pooling": pooling}).json
    for found, text in zip(reply["data"], texts, strict=True):
        ids = np.array([*text.encode()])
        states = np.cumsum(np.eye(8)[ids % 8], axis=0)  # what the fake's hidden states are
        wanted = states.mean(0) if pooling == "mean" else states[-1]
        assert np.allclose(found["embedding"], wanted / np.linalg.norm(wanted), atol=1e-6)
    assert reply["model"] == "tiny"


def test_an_encoder_has_one_way_to_embed(served: ServedWhole) -> None:
    ask = {"model": "tiny-embed", "input": "hello"}
    assert served.ask("/v1/embeddings", {**ask, "pooling": "mean"}).status == 200
    assert served.ask("/v1/embeddings", {**ask, "pooling": "last"}).status == 400
    assert served.ask("/v1/embeddings", {**ask, "model": "tiny", "pooling": "max"}).status == 400
    assert served.ask("/v1/embeddings", {**ask, "model": "tiny", "input": "w" * 500}).status == 400


def test_the_scorer_is_free_again_after_whatever_went_wrong(served: ServedWhole) -> None:
    assert fake_tokenizer().encode("a") == [97]
    served.decoder.fail_when = lambda text: text[:3] == [*b"bad"]
    assert score(served, "bad one", ["x"]).status == 500
    served.decoder.fail_when = None
    assert score(served, "good one", ["x"]).status == 200
