"""What people who share the engine may and may not notice of one another."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from openai import APIError, BadRequestError, InternalServerError, OpenAI, RateLimitError

from ikkan.engine.fakes import FakeDecoder

from .conftest import Served, eventually, serving

LONG = "word " * 30
ENDLESS = {"ignore_eos": True}


def say(client: OpenAI, text: str, **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="tiny", messages=messages, **{"temperature": 0, **more})


def knock(served: Served, text: str, **more: Any) -> http.client.HTTPConnection:
    """Ask, and do not wait for the answer."""
    return post(served, "/v1/chat/completions", {"messages": [{"role": "user", "content": text}], **more})


def post(served: Served, path: str, body: dict[str, Any]) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    connection.request("POST", path, json.dumps({"model": "tiny", **body}))
    return connection


@dataclass(frozen=True)
class Paced:
    """An engine of two slots that takes a step, of one token an answer, only when it is allowed to; people ask it."""

    served: Served
    pace: threading.Semaphore
    client: OpenAI
    people: ThreadPoolExecutor

    def say(self, text: str, **more: Any) -> Future[Any]:
        return self.people.submit(say, self.client, text, **more)

    def allow(self, steps: int) -> None:
        self.pace.release(steps)

    def have_computed(self, calls: int) -> None:
        self.allow(calls - len(self.served.decoder.calls))
        eventually(lambda: len(self.served.decoder.calls) == calls)

    def wait_for(self, people: int) -> None:
        """Until so many are being answered or wait for it."""
        eventually(lambda: sum(busy(self.served)) == people)


def busy(served: Served) -> tuple[int, int]:
    status = served.engine.status()
    return status.slots_in_use, status.waiting


@pytest.fixture
def paced() -> Iterator[Paced]:
    pace = threading.Semaphore(0)
    with serving(FakeDecoder(pace=pace), max_batch=2, max_waiting=2, guess=False) as served, served.client() as client:
        people = ThreadPoolExecutor(6)
        yield Paced(served, pace, client, people)
        pace.release(1_000_000)
        people.shutdown()


def test_a_greedy_answer_does_not_depend_on_who_shares_the_batch(served: Served) -> None:
    texts = [f"{number}: " + "some words " * number for number in range(8)]
    with served.client() as client, ThreadPoolExecutor(8) as people:
        alone = [client.completions.create(model="tiny", prompt=one, max_tokens=30, temperature=0) for one in texts]
        answers = people.map(
            lambda one: client.completions.create(model="tiny", prompt=one, max_tokens=30, temperature=0), texts
        )
        assert [one.choices[0].text for one in answers] == [one.choices[0].text for one in alone]


def test_the_same_seed_gives_the_same_answer_whoever_shares_the_batch(served: Served) -> None:
    asked: Any = {"model": "tiny", "prompt": "once", "max_tokens": 40, "seed": 11, "temperature": 1.3, "n": 2}
    with served.client() as client, ThreadPoolExecutor(4) as people:
        alone = [choice.text for choice in client.completions.create(**asked).choices]
        others = [
            people.submit(client.completions.create, model="tiny", prompt="x", max_tokens=99, extra_body=ENDLESS)
            for _ in range(3)
        ]
        together = [choice.text for choice in client.completions.create(**asked).choices]
        assert [one.result().usage.completion_tokens for one in others] == [99, 99, 99]
    assert together == alone
    assert alone[0] != alone[1]


def test_without_a_seed_answers_differ(client: OpenAI) -> None:
    found = {client.completions.create(model="tiny", prompt="a", max_tokens=30).choices[0].text for _ in range(3)}
    assert len(found) == 3


def test_somebody_who_joins_late_is_answered_before_a_long_answer_ends(paced: Paced) -> None:
    long = paced.say(LONG, max_tokens=200)
    paced.have_computed(20)
    short = paced.say("hi")
    paced.wait_for(2)
    paced.allow(10)
    assert short.result(20).choices[0].message.content == "hi"
    assert not long.done()
    paced.allow(1_000)
    assert long.result(20).choices[0].message.content == LONG


def test_running_answers_go_on_while_a_long_prompt_is_read(paced: Paced) -> None:
    talking = paced.say(LONG, max_tokens=60)
    paced.have_computed(10)
    reading = paced.say("other " * 25, max_tokens=1)
    paced.wait_for(2)
    paced.allow(1_000)
    assert reading.result(20).choices[0].message.content == "o"
    assert talking.result(20).usage.completion_tokens == 60
    together = [call for call in paced.served.decoder.calls if len({slot for _, slot, _ in call}) == 2]
    assert len(together) >= 2  # the prompt came in pieces
    assert {sum(slot == call[0][1] for _, slot, _ in call) for call in together} == {1}  # and the answer went on


@pytest.mark.parametrize("stream", [True, False])
def test_whoever_leaves_frees_the_slot_within_a_step(paced: Paced, stream: bool) -> None:
    leaving = knock(paced.served, LONG, stream=stream, max_tokens=200)
    paced.have_computed(5)
    answer = paced.served.engine._seated[0]
    leaving.close()
    eventually(lambda: answer.abandoned)
    paced.allow(1)  # the step that is being computed
    paced.wait_for(0)
    assert len(paced.served.decoder.calls) == 6


def test_whoever_leaves_the_queue_is_never_computed(paced: Paced) -> None:
    running = [paced.say(text, max_tokens=5) for text in ("1st one", "2nd one")]
    paced.wait_for(2)
    leaving = knock(paced.served, "3rd one")
    paced.wait_for(3)
    leaving.close()
    paced.wait_for(2)
    paced.allow(1_000)
    assert [one.result(20).choices[0].message.content for one in running] == ["1st o", "2nd o"]
    assert ord("3") not in {token for call in paced.served.decoder.calls for token, _, _ in call}


def test_whoever_leaves_is_embedded_no_further(paced: Paced) -> None:
    talking = paced.say(LONG, max_tokens=100)
    paced.have_computed(5)
    texts = ["x" * 60] * 100  # eight a turn, one turn a step
    leaving = post(paced.served, "/v1/embeddings", {"model": "tiny-embed", "input": texts})
    eventually(lambda: bool(paced.served.engine._errands))
    paced.allow(1)
    eventually(lambda: paced.served.encoder.calls == 1)
    leaving.close()

    def was_noticed() -> bool:
        paced.allow(1)
        return 'route="/v1/embeddings",status="499"' in paced.served.ask("/metrics").text

    eventually(was_noticed)
    assert paced.served.encoder.calls < 100 / 8
    paced.allow(1_000)
    assert talking.result(20).usage.completion_tokens == 100


def test_too_many_at_once_are_told_when_to_come_back(paced: Paced) -> None:
    accepted = [paced.say("hello") for _ in range(4)]
    paced.wait_for(4)
    with pytest.raises(RateLimitError, match="waiting already") as caught:
        say(paced.client, "hello")
    assert 100 <= int(caught.value.response.headers["retry-after-ms"]) <= 20_000
    assert caught.value.code == "rate_limited"
    paced.allow(1_000)
    assert [one.result(20).choices[0].message.content for one in accepted] == ["hello"] * 4


def test_a_client_that_retries_gets_in_when_there_is_room(paced: Paced) -> None:
    accepted = [paced.say("hello") for _ in range(4)]
    paced.wait_for(4)
    with paced.served.client(max_retries=5) as patient:
        late = paced.people.submit(say, patient, "late")
        eventually(lambda: 'status="429"' in paced.served.ask("/metrics").text)
        paced.allow(1_000)
        assert late.result(30).choices[0].message.content == "late"
    assert all(one.result(20) for one in accepted)


def test_more_answers_than_ever_fit_are_refused_for_good(paced: Paced) -> None:
    reply = paced.served.ask("/v1/completions", {"model": "tiny", "prompt": "a", "n": 5})
    assert (reply.status, reply.headers["x-should-retry"]) == (400, "false")


def test_a_shared_beginning_is_read_once_and_only_under_the_same_salt() -> None:
    asked = "A long and shared beginning of a conversation. "
    with serving(FakeDecoder(page_tokens=1)) as served, served.client() as client:

        def cached(end: str, **more: Any) -> int:
            reply = say(client, asked + end, max_tokens=2, **more)
            assert reply.choices[0].message.content == "A "
            return int(reply.usage.prompt_tokens_details.cached_tokens)

        shared = len("user: ") + len(asked)
        ours: Any = {"extra_headers": {"x-ikkan-cache-salt": "tenant-a"}}
        assert cached("one", **ours) == 0
        assert cached("two", **ours) == shared
        assert cached("two") == 0
        assert cached("two", extra_body={"cache_salt": "tenant-a"}) == 0
        assert cached("two", extra_headers={"x-ikkan-cache-salt": "tenant-b"}) == 0
        assert cached("two", **ours) == shared + len("two")


def test_whoever_cannot_wait_so_long_is_told_in_time(paced: Paced) -> None:
    with pytest.raises(InternalServerError) as caught:
        say(paced.client, "hello", extra_headers={"x-ikkan-timeout-ms": "0"})
    assert (caught.value.status_code, caught.value.code) == (504, "deadline_missed")
    with pytest.raises(BadRequestError):
        say(paced.client, "hello", extra_headers={"x-ikkan-timeout-ms": "soon"})


def test_health_and_metrics_count_pages() -> None:
    with serving() as served, served.client() as client:
        say(client, LONG, max_tokens=20)
        health, metrics = served.ask("/health").json, served.ask("/metrics").text
    assert health["pages"] == {"in_use": 0, "cached": health["pages"]["cached"], "total": 400}
    assert health["pages"]["cached"] >= len(LONG) // 4
    assert health["preemptions"] == 0
    assert f"ikkan_engine_pages_cached {health['pages']['cached']}.0" in metrics
    assert "ikkan_engine_pages_in_use 0.0" in metrics


def test_an_answer_is_the_same_whether_its_beginning_was_cached_or_not() -> None:
    asked: Any = {"model": "tiny", "prompt": "tell me more and more", "max_tokens": 30, "temperature": 0}
    with serving() as served, served.client() as client:
        first, second = client.completions.create(**asked), client.completions.create(**asked)
    assert second.usage.prompt_tokens_details.cached_tokens == 20
    assert second.choices[0].text == first.choices[0].text


def test_a_conversation_goes_on_without_being_read_again() -> None:
    with serving(FakeDecoder(page_tokens=1)) as served, served.client() as client:
        messages: Any = [{"role": "user", "content": "good morning"}]
        answer = client.chat.completions.create(model="tiny", messages=messages, temperature=0)
        messages += [{"role": "assistant", "content": answer.choices[0].message.content}]
        messages += [{"role": "user", "content": "how are you?"}]
        again = client.chat.completions.create(model="tiny", messages=messages, temperature=0)
    assert again.usage.prompt_tokens_details.cached_tokens >= answer.usage.prompt_tokens


def fails_at(letter: str) -> FakeDecoder:
    return FakeDecoder(fail_when=lambda text: text[-1] == ord(letter))


def test_a_failure_before_the_first_token_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    with serving(FakeDecoder(fail_when=lambda text: True)) as served, served.client() as client:
        with pytest.raises(InternalServerError) as caught:
            say(client, "a secret", stream=True)
        assert caught.value.code == "internal_error"
    assert "ArithmeticError" in [getattr(record, "error", "") for record in caplog.records]


def test_a_failure_in_the_middle_of_a_stream_is_said_in_the_stream() -> None:
    with serving(fails_at("!"), guess=False) as served, served.client() as client:
        said: list[str] = []
        with pytest.raises(APIError, match="could not be computed"):
            for chunk in say(client, "ab!cd", stream=True):
                said.append(chunk.choices[0].delta.content or "")
        assert "".join(said) == "ab!"


def test_the_engine_goes_on_after_a_failure_and_remembers_nothing_of_it() -> None:
    with serving(fails_at("!")) as served, served.client() as client:
        with pytest.raises(InternalServerError):
            say(client, "ab!cd")
        reply = say(client, "abcd")
        assert reply.choices[0].message.content == "abcd"
        assert reply.usage.prompt_tokens_details.cached_tokens == 0
        assert busy(served) == (0, 0)


def test_stopping_tells_everybody_who_still_waits(paced: Paced) -> None:
    engine = paced.served.engine
    paced.allow(1)
    stream = say(paced.client, LONG, stream=True, max_tokens=200)
    next(iter(stream))
    stopped = paced.people.submit(engine.stop)
    eventually(lambda: engine._stopping)
    paced.allow(1_000)
    with pytest.raises(APIError, match="stopping"):
        list(stream)
    stopped.result(20)
    assert paced.served.ask("/health").status == 503
    assert paced.served.ask("/v1/completions", {"model": "tiny", "prompt": "a"}).status == 503


def test_prompts_and_answers_never_reach_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with serving(fails_at("!")) as served, served.client() as client:
        say(client, "swordfish")
        with pytest.raises(InternalServerError):
            say(client, "swordfish!")
        served.ask("/v1/chat/completions", b'{"model": "swordfish", "messages": 1}')
        served.ask("/v1/completions", {"model": "tiny", "prompt": "swordfish", "n": "swordfish"})
    ours = [record for record in caplog.records if record.name.startswith(("ikkan", "granian"))]
    assert ours
    assert "swordfish" not in "".join(str(vars(record)) for record in ours)
