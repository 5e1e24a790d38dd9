"""Documents in the order in which they answer a query: by vectors where there are any, else by what the model says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ikkan.engine.fakes import FakeDecoder

from .further import ServedWhole, serving_whole

DOCUMENTS = ["cats sleep all day", "trains run on time", "the train to Kyoto leaves at nine", "nothing"]


def rerank(served: ServedWhole, **body: Any) -> Any:
    return served.ask("/v1/rerank", {"query": "when does the train leave?", "documents": DOCUMENTS, **body})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWhole]:
    with serving_whole(tmp_path_factory.mktemp("adapters")) as one:
        yield one


@pytest.fixture
def judging(tmp_path: Path) -> Iterator[ServedWhole]:
    """A chat model alone that says yes to trains."""

    def judge(turn: str) -> bytes:
        return b"yes" if "train" in turn.rpartition("<Document>:")[2] else b"No"

    with serving_whole(tmp_path, FakeDecoder(answer=judge), with_embedder=False, context_tokens=500) as one:
        yield one


def test_vectors_rank_where_an_embedder_is_served(served: ServedWhole) -> None:
    reply = rerank(served).json
    vectors = served.ask("/v1/embeddings", {"model": "tiny-embed", "input": ["when does the train leave?", *DOCUMENTS]})
    rows = np.array([one["embedding"] for one in vectors.json["data"]])
    wanted = rows[1:] @ rows[0]
    assert reply["model"] == "tiny-embed"
    assert [one["index"] for one in reply["results"]] == np.argsort(-wanted, kind="stable").tolist()
    for one in reply["results"]:
        assert one["document"] == {"text": DOCUMENTS[one["index"]]}
        assert abs(one["relevance_score"] - wanted[one["index"]]) < 1e-5
    assert reply["usage"]["total_tokens"] > 0


def test_only_the_best_are_given_and_texts_only_if_wanted(served: ServedWhole) -> None:
    everything = rerank(served).json["results"]
    reply = rerank(served, top_n=2, return_documents=False).json["results"]
    assert reply == [{key: one[key] for key in ("index", "relevance_score")} for one in everything[:2]]


def test_documents_may_be_objects_and_equals_keep_their_order(served: ServedWhole) -> None:
    reply = rerank(served, documents=[{"text": "same"}, "other things", "same"]).json["results"]
    same = [one["index"] for one in reply if one["document"]["text"] == "same"]
    assert same == [0, 2]


def test_a_chat_model_judges_where_it_is_alone(judging: ServedWhole) -> None:
    reply = rerank(judging, model="tiny", max_tokens_per_doc=40).json
    assert reply["model"] == "tiny"
    scores = {one["index"]: one["relevance_score"] for one in reply["results"]}
    assert {one["index"] for one in reply["results"][:2]} == {1, 2}
    assert min(scores[1], scores[2]) > 0.9 > 0.1 > max(scores[0], scores[3])


def test_the_query_is_read_once_for_all_documents(judging: ServedWhole) -> None:
    judging.decoder.calls.clear()
    rerank(judging, model="tiny")
    read = [position for call in judging.decoder.calls for _, _, position in call]
    common = sum(read.count(position) == 1 for position in range(max(read)))
    assert common > 200


def test_a_document_is_cut_to_what_fits_only_if_asked(judging: ServedWhole) -> None:
    long = ["train " * 100, "cats"]
    assert rerank(judging, model="tiny", documents=long).json["error"]["code"] == "context_length_exceeded"
    reply = rerank(judging, model="tiny", documents=long, truncate_prompt_tokens=-1).json
    assert [one["index"] for one in reply["results"]] == [0, 1]


@pytest.mark.parametrize(
    "body",
    [{"documents": []}, {"query": " "}, {"top_n": 0}, {"documents": ["x"] * 1025}, {"max_tokens_per_doc": 1}],
    ids=str,
)
def test_what_cannot_be_ranked_is_refused(body: dict[str, Any], served: ServedWhole) -> None:
    assert rerank(served, **body).status == 400


def test_an_unknown_model_ranks_nothing(served: ServedWhole) -> None:
    assert rerank(served, model="other").status == 404
