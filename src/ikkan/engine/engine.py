"""Computes many answers at once with one model; one turn of its loop is `Engine.step`."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from queue import Queue
from typing import Any, Final, TypeVar

import numpy as np

from ikkan.engine import scheduler
from ikkan.engine.answer import Answer
from ikkan.engine.metrics import Metrics
from ikkan.engine.slots import Slots
from ikkan.engine.values import Generation, Lease, Piece, Sampling, Sink, Status
from ikkan.ground.errors import BadInput, IkkanError, Internal, PromptTooLong, RateLimited, UpstreamUnreachable
from ikkan.models.template import ChatTemplate
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Decoder, Float32, Int32

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_WARM_UP_PROMPT_TOKENS: Final = 48


class Ticket:
    """A caller's hold on the answers it asked for."""

    def __init__(self, answers: Sequence[Answer], wake: Callable[[], None]) -> None:
        self._answers = answers
        self._wake = wake

    def cancel(self) -> None:
        """Nobody waits any more: the slots are free after the step that is being computed. Safe to repeat."""
        for answer in self._answers:
            answer.abandoned = True
        self._wake()


class Engine:
    """Continues texts with one decoder.

    Requests may come from any thread; `step` and everything it calls belong to one compute thread, which sleeps while
    there is nothing to do.

    Args:
        decoder: computes scores; its calls are made from the compute thread only.
        tokenizer: the decoder's.
        template: how the model wants a conversation written; None if it was not made for conversations.
        max_batch: answers computed at the same time.
        context_tokens: longest text, prompt and answer together; at most what the model was trained for.
        lease: held while answers are computed, so that training makes room.
        max_waiting: texts that may wait for a slot; more are refused with `RateLimited`.
        metrics: where to count.
    """

    def __init__(
        self,
        decoder: Decoder,
        tokenizer: Tokenizer,
        template: ChatTemplate | None,
        *,
        max_batch: int = 8,
        context_tokens: int = 2048,
        lease: Lease | None = None,
        max_waiting: int = 64,
        metrics: Metrics | None = None,
    ) -> None:
        assert max_batch >= 1 and max_waiting >= 0, "an engine answers somebody"
        self.tokenizer = tokenizer
        self.template = template
        self.context_tokens = min(context_tokens, decoder.config.context)
        self.max_batch = max_batch
        self.max_waiting = max_waiting
        self.vocab = decoder.config.vocab
        self.metrics = metrics or Metrics()
        self._decoder = decoder
        self._cache = decoder.new_cache(max_batch, self.context_tokens)
        self._lease = lease
        self._slots = Slots(max_batch)
        self._seated: list[Answer] = []  # the compute thread's own
        # Everything below is shared between threads and guarded by `_news`.
        self._news = threading.Condition()
        self._waiting: deque[Answer] = deque()
        self._errands: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._stopping = False
        self._answer_s = 1.0  # how long an answer took lately
        self._thread: threading.Thread | None = None
        self._on_death: Callable[[], None] | None = None
        self.died = False
        """Whether the compute thread ended without being asked to."""

    # --- for any thread ----------------------------------------------------------------------------------------------

    def submit(self, requests: Sequence[Generation], sink: Sink) -> Ticket:
        """Have these texts continued; all of them are accepted, or none.

        Args:
            requests: texts that fit the context.
            sink: told every piece, with the number of its text, on the compute thread.

        Raises:
            RateLimited: too many are waiting; `facts["retry_after_s"]` says when to try again.
            BadInput: more texts than could ever wait at once.
            UpstreamUnreachable: the engine is being stopped.
        """
        answers = [Answer(number, request, self.tokenizer, sink) for number, request in enumerate(requests)]
        room = self.max_waiting + self.max_batch
        if len(answers) > room:
            raise BadInput(f"{len(answers)} answers in one request; at most {room} fit", hint="ask for fewer")
        with self._news:
            if self._stopping:
                raise UpstreamUnreachable("the engine is stopping", hint="ask again in a moment")
            waiting = sum(not one.abandoned for one in self._waiting)
            free = self.max_batch - self._slots.in_use
            if waiting + len(answers) > self.max_waiting + free:
                wait_s = self._answer_s * (1 + waiting) / self.max_batch
                raise RateLimited(
                    f"{waiting} answers are waiting already; at most {self.max_waiting} may",
                    hint="try again in a moment",
                    retry_after_s=min(max(wait_s, 0.1), 20.0),
                )
            self._waiting.extend(answers)
            self._news.notify()
        return Ticket(answers, self._wake)

    def call(self, errand: Callable[[], Result]) -> Future[Result]:
        """Have something else computed between two steps, such as embeddings. Keep it short: answers wait for it."""
        future: Future[Result] = Future()
        with self._news:
            if self._stopping:
                raise UpstreamUnreachable("the engine is stopping", hint="ask again in a moment")
            self._errands.append((errand, future))
            self._news.notify()
        return future

    def check(self, prompt_tokens: int, max_tokens: int | None) -> int:
        """How many tokens an answer to such a prompt may have.

        Args:
            max_tokens: what the caller asked for; None for as many as fit.

        Raises:
            PromptTooLong: it does not fit.
        """
        asked = 1 if max_tokens is None else max_tokens
        if prompt_tokens + asked > self.context_tokens:
            answer = "" if max_tokens is None else f" and {max_tokens:,} for the answer"
            raise PromptTooLong(
                f"this model's context is {self.context_tokens:,} tokens; the prompt has {prompt_tokens:,}{answer}",
                hint="shorten the conversation or ask for fewer tokens",
                context_tokens=self.context_tokens,
                prompt_tokens=prompt_tokens,
            )
        return self.context_tokens - prompt_tokens if max_tokens is None else max_tokens

    def status(self) -> Status:
        """How busy it is now."""
        with self._news:
            waiting = sum(not one.abandoned for one in self._waiting)
        alive = self._thread is not None and self._thread.is_alive()
        return Status(
            alive,
            self.max_batch,
            self._slots.in_use,
            waiting,
            self.max_waiting,
            self.context_tokens,
            self._cache.bytes,
            self._cache.page_tokens,
            self._cache.pages,
            pages_in_use=self._slots.in_use,
            pages_cached=0,
            preemptions=0,
        )

    def start(self, on_death: Callable[[], None] | None = None) -> None:
        """Begin to compute, in a thread of its own.

        Args:
            on_death: called in that thread should it end without being asked to.
        """
        assert self._thread is None, "an engine is started once"
        self._on_death = on_death
        self._thread = threading.Thread(target=self._run, name="ikkan-engine", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End every answer with an error, and the compute thread. Safe to repeat."""
        with self._news:
            self._stopping = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def warm_up(self) -> None:
        """Compute a little of everything once, so that the first answer need not wait for kernels to compile.

        Raises:
            IkkanError: the model cannot compute.
        """
        ended: Queue[Piece] = Queue()
        prompt = tuple(number % self.vocab for number in range(min(_WARM_UP_PROMPT_TOKENS, self.context_tokens - 3)))
        request = Generation(prompt, max_tokens=3, sampling=Sampling(temperature=0.7, seed=1), ignore_eos=True)
        asked = min(2, self.max_batch)
        self.submit([request] * asked, lambda number, piece: ended.put(piece) if piece.is_last else None)
        for _ in range(asked):
            if failure := ended.get().failure:
                raise failure
        self.call(self._slots.forget).result()

    def _wake(self) -> None:
        with self._news:
            self._news.notify()

    # --- the compute thread ------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """One turn of the loop: let people leave and come, read some tokens of everybody, draw what follows.

        Returns whether there was anything to do.
        """
        errands = self._run_errands()
        self._let_leave()
        self._let_come()
        takes = scheduler.shares([answer.unread for answer in self._seated])
        turn = [(answer, take) for answer, take in zip(self._seated, takes, strict=True) if take]
        if not turn:
            return errands
        try:
            scores, heard = self._forward(turn)
        except Exception as exc:  # this loop must outlive a batch that cannot be computed
            self._give_up(turn, exc)
            return True
        for answer, take in turn:
            answer.read += take
        for answer, row in zip(heard, scores, strict=True):
            self._continue(answer, row)
        return True

    def _run(self) -> None:
        try:
            while self._sleep_until_needed():
                with self._lease.interactive() if self._lease else nullcontext():
                    while not self._stopping and self.step():
                        pass
        except Exception as exc:  # nobody else would notice that this thread is gone
            self.died = True
            log.critical("the compute thread died", extra=told(exc))
        self._say_goodbye()
        if self.died and self._on_death is not None:
            self._on_death()

    def _sleep_until_needed(self) -> bool:
        with self._news:
            while not (self._stopping or self._waiting or self._errands or self._seated):
                self._news.wait()
            return not self._stopping

    def _run_errands(self) -> bool:
        with self._news:
            # One a step: whoever sends hundreds of texts to embed must not stop all answers.
            errand, future = self._errands.popleft() if self._errands else (None, None)
        if errand is None or future is None:
            return False
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(errand())
            except Exception as exc:  # goes to whoever waits for the errand
                future.set_exception(exc)
        return True

    def _let_leave(self) -> None:
        for answer in [one for one in self._seated if one.abandoned]:
            self._free(answer, "abandoned")

    def _let_come(self) -> None:
        with self._news:
            while self._waiting:
                answer = self._waiting[0]
                if not answer.abandoned:
                    seat = self._slots.take(answer.request.prompt, salt=answer.request.cache_salt)
                    if seat is None:
                        return
                    answer.sit(seat)
                    self._seated.append(answer)
                    self.metrics.prompt_tokens.inc(len(answer.request.prompt))
                    self.metrics.cached_tokens.inc(seat.cached_tokens)
                self._waiting.popleft()

    def _forward(self, turn: Sequence[tuple[Answer, int]]) -> tuple[Float32, list[Answer]]:
        """The scores after the last token of everyone who now has read all of theirs, and who that is."""
        tokens: list[int] = []
        slots: list[int] = []
        positions: list[int] = []
        rows: list[int] = []
        heard: list[Answer] = []
        for answer, take in turn:
            assert answer.seat is not None, "whoever takes part sits"
            tokens += answer.tokens[answer.read : answer.read + take]
            slots += [answer.seat.slot] * take
            positions += range(answer.read, answer.read + take)
            if take == answer.unread:
                rows.append(len(tokens) - 1)
                heard.append(answer)
        started_s = time.monotonic()
        scores = self._decoder.forward(_int32(tokens), _int32(slots), _int32(positions), self._cache, _int32(rows))
        self.metrics.steps.inc()
        self.metrics.step_seconds.observe(time.monotonic() - started_s)
        return scores, heard

    def _continue(self, answer: Answer, scores: Float32) -> None:
        first = answer.first_token_s is None
        try:
            finish = answer.accept(scores)
        except Exception as exc:  # one bad answer must not end the others
            self._give_up([(answer, 0)], exc)
            return
        self.metrics.completion_tokens.inc()
        if first and answer.first_token_s is not None:
            self.metrics.first_token_seconds.observe(answer.first_token_s - answer.arrived_s)
        if finish:
            self._free(answer, finish)

    def _free(self, answer: Answer, how: str) -> None:
        assert answer.seat is not None, "only who sits can stand up"
        self._seated.remove(answer)
        known = [] if how == "failed" else answer.tokens[: answer.read]
        self._slots.leave(answer.seat.slot, known, salt=answer.request.cache_salt)
        self._answer_s += 0.2 * (time.monotonic() - answer.arrived_s - self._answer_s)
        self.metrics.answers.labels(how).inc()

    def _give_up(self, turn: Sequence[tuple[Answer, int]], exc: Exception) -> None:
        log.error("answers could not be computed", extra={"answers": len(turn), **told(exc)})
        error = exc if isinstance(exc, IkkanError) else Internal("the answer could not be computed", hint="ask again")
        error.__cause__ = None if error is exc else exc  # shown where nobody's words are in it: while warming up
        for answer, _ in turn:
            self._free(answer, "failed")
            _fail(answer, error)

    def _say_goodbye(self) -> None:
        with self._news:
            self._stopping = True
            unanswered, errands = [*self._seated, *self._waiting], list(self._errands)
            self._waiting.clear()
            self._errands.clear()
        error = UpstreamUnreachable("the engine is stopping", hint="ask again in a moment")
        for answer in list(self._seated):
            self._free(answer, "failed")
        for answer in unanswered:
            _fail(answer, error)
        for _, future in errands:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)


def _fail(answer: Answer, error: IkkanError) -> None:
    try:
        answer.fail(error)
    except Exception as exc:  # nobody is there to be told; the loop goes on
        log.info("an answer's receiver is gone", extra=told(exc))


def told(exc: Exception) -> dict[str, str]:
    """What a log may say of an exception: its kind and place. Its words may quote what a person wrote."""
    frames = traceback.extract_tb(exc.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return {"error": type(exc).__name__, "raised_at": place}


def _int32(values: Sequence[int]) -> Int32:
    return np.array(values, dtype=np.int32)
