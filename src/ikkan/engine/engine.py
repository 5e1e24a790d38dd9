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
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from queue import Queue
from typing import Any, Final, TypeVar

import numpy as np

from ikkan.engine import scheduler
from ikkan.engine.answer import Answer, Rows
from ikkan.engine.guessing import Experience
from ikkan.engine.metrics import Metrics
from ikkan.engine.pages import Chain, Pages
from ikkan.engine.scheduler import Costs, Line
from ikkan.engine.values import Adapters, Generation, HeldAdapter, Lease, Piece, Sampling, Sink, Status
from ikkan.ground.errors import (
    BadInput,
    DeadlineMissed,
    IkkanError,
    Internal,
    PromptTooLong,
    RateLimited,
    UnknownModel,
    UpstreamUnreachable,
)
from ikkan.models.template import ChatTemplate
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Decoder, Int32

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_WARM_UP_PROMPT_TOKENS: Final = 48
_STOPPING: Final = ("the engine is stopping", "ask again in a moment")


@dataclass(slots=True)
class _Part:
    """What one answer has in a forward call."""

    answer: Answer
    take: int
    """Its tokens that are read."""
    draft: list[int] = field(default_factory=list)
    """Guessed tokens read behind them."""

    @property
    def rows(self) -> int:
        """How many rows of scores it needs: none while some of its tokens are still unread."""
        return 1 + len(self.draft) if self.take == self.answer.unread else 0


class Ticket:
    """A caller's hold on the answers it asked for."""

    def __init__(self, answers: Sequence[Answer], leave: Callable[[Sequence[Answer]], None]) -> None:
        self._answers = answers
        self._leave = leave

    def cancel(self) -> None:
        """Nobody waits any more: the slots are free after the step that is being computed. Safe to repeat."""
        self._leave(self._answers)


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
        max_waiting: texts that may wait for a slot; more are refused with `RateLimited`. A caller of whom nobody waits
            yet finds a few places more.
        metrics: where to count.
        pages: pages of the KV cache; None for so many that all slots can be full.
        guess: whether to guess what answers copy from their texts (see `guessing.py`); never changes an answer.
        adapters: those that requests may name.
        step_target_s: how long running answers should wait for a step while prompts are read; None for what suits the
            decoder.
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
        pages: int | None = None,
        guess: bool = True,
        adapters: Adapters | None = None,
        step_target_s: float | None = None,
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
        self.adapters = adapters
        self._experience = Experience() if guess else None
        self._lease = lease
        # The compute thread's own:
        self._cache = decoder.new_cache(max_batch, self.context_tokens, pages)
        cache = self._cache
        self._pages = Pages(cache.tables, cache.page_tokens, cache.pages, cache.copy_page)
        apart = decoder.reads_prompts_apart
        target_s = (
            (scheduler.TARGET_APART_S if apart else scheduler.TARGET_S) if step_target_s is None else step_target_s
        )
        self._costs = Costs(target_s, scheduler.LEAST_TOKENS_APART if apart else scheduler.LEAST_TOKENS)
        self._seated: list[Answer] = []  # in the order in which they came to the engine
        self._preemptions = 0
        # Everything below is shared between threads and guarded by `_news`.
        self._news = threading.Condition()
        self._line = Line()
        self._came = 0
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

        What is computed is told to `sink`; so is an error that comes later, such as `DeadlineMissed`.

        Args:
            requests: texts that fit the context.
            sink: told every piece, with the number of its text, on the compute thread.

        Raises:
            RateLimited: too many are waiting; `facts["retry_after_s"]` says when to try again.
            BadInput: more texts than could ever wait at once.
            UnknownModel: no such adapter is loaded.
            DeadlineMissed: it is too late already.
            UpstreamUnreachable: the engine is being stopped.
        """
        room = self.max_waiting + self.max_batch
        if len(requests) > room:
            raise BadInput(f"{len(requests)} answers in one request; at most {room} fit", hint="ask for fewer")
        answers: list[Answer] = []
        try:
            answers += (self._begun(number, request, sink) for number, request in enumerate(requests))
            with self._news:
                self._admit(answers)
        except IkkanError:
            for answer in answers:
                self._release(answer)
            raise
        return Ticket(answers, self._abandon)

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
        pages = self._pages
        alive = self._thread is not None and self._thread.is_alive()
        return Status(
            alive=alive,
            slots=self.max_batch,
            slots_in_use=pages.slots_in_use,
            waiting=len(self._line),
            max_waiting=self.max_waiting,
            context_tokens=self.context_tokens,
            kv_bytes=self._cache.bytes,
            page_tokens=pages.page_tokens,
            pages=pages.count,
            pages_in_use=pages.in_use,
            pages_cached=pages.cached,
            preemptions=self._preemptions,
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
        self.call(self._forget).result()

    def _begun(self, number: int, request: Generation, sink: Sink) -> Answer:
        held: HeldAdapter | None = None
        if request.adapter:
            if self.adapters is None:
                raise UnknownModel(f"no adapter named {request.adapter[:100]!r} here", hint="GET /v1/models")
            held = self.adapters.hold(request.adapter)
        apart = len(request.prompt) if self._decoder.reads_prompts_apart and held is None else None
        chain = Chain(request.cache_salt, held.identity if held else "", self._cache.page_tokens, apart)
        return Answer(number, request, self.tokenizer, sink, chain=chain, adapter=held, experience=self._experience)

    def _admit(self, answers: Sequence[Answer]) -> None:
        """Let them wait, if there is room. Under `_news`."""
        if self._stopping:
            raise UpstreamUnreachable(_STOPPING[0], hint=_STOPPING[1])
        for answer in answers:
            if answer.request.deadline_s is not None and time.monotonic() >= answer.request.deadline_s:
                raise _too_late()
        waiting = len(self._line)
        limit = self.max_waiting + self.max_batch - self._pages.slots_in_use
        if answers and not self._line.of(answers[0].request.caller):
            limit += self.max_waiting // 4  # whoever fills the line does not close the door to the others
        if waiting + len(answers) > limit:
            wait_s = self._answer_s * (1 + waiting) / self.max_batch
            raise RateLimited(
                f"{waiting} answers are waiting already; at most {self.max_waiting} may",
                hint="try again in a moment",
                retry_after_s=min(max(wait_s, 0.1), 20.0),
            )
        for answer in answers:
            self._came += 1
            answer.order = self._came
            self._line.add(answer)
        self._news.notify()

    def _abandon(self, answers: Sequence[Answer]) -> None:
        with self._news:
            for answer in answers:
                answer.abandoned = True
            gone = self._line.remove(lambda one: one.abandoned)
        self._let_go(gone)

    def _let_go(self, answers: Sequence[Answer]) -> None:
        """These left the line, and not for a seat."""
        for answer in answers:
            self._release(answer)
            self.metrics.answers.labels("abandoned" if answer.abandoned else "late").inc()
            if not answer.abandoned:
                _fail(answer, _too_late())

    # --- the compute thread ------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """One turn of the loop: let people leave and come, read some tokens of everybody, draw what follows.

        Returns whether there was anything to do.
        """
        errands = self._run_errands()
        self._let_leave()
        self._let_come()
        turn = self._plan()
        if not turn:
            return errands
        try:
            rows = self._forward(turn)
        except Exception as exc:  # this loop must outlive a batch that cannot be computed
            self._give_up([part.answer for part in turn], exc)
            return True
        self._draw(turn, rows)
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
            while not (self._stopping or len(self._line) or self._errands or self._seated):
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
        now_s = time.monotonic()
        for answer in [one for one in self._seated if one.abandoned or _is_late(one, now_s)]:
            if answer.abandoned:
                self._end(answer, "abandoned")
            else:
                self._end(answer, "late")
                _fail(answer, _too_late())

    def _let_come(self) -> None:
        """Seat those whose turn it is, while there are slots and pages; those who came too late need not wait."""
        if not len(self._line):
            return
        now_s = time.monotonic()
        with self._news:
            gone = self._line.remove(lambda one: one.abandoned or self._will_be_late(one, now_s))
            while self._pages.slots_in_use < self.max_batch:
                answer = self._line.next(self._seated)
                if answer is None or not self._has_room_for(answer):
                    break
                self._line.take(answer)
                answer.seat, answer.read = self._pages.sit(answer.chain), 0
                self._seated.append(answer)
        self._seated.sort(key=attrgetter("order"))
        self._let_go(gone)

    def _will_be_late(self, answer: Answer, now_s: float) -> bool:
        """Whether its time is over before its prompt could be read."""
        if answer.request.deadline_s is None:
            return False
        known = len(self._pages.remembered(answer.chain, answer.tokens)) * self._pages.page_tokens
        return now_s + self._costs.reading_s(answer.unread - known) >= answer.request.deadline_s

    def _has_room_for(self, answer: Answer) -> bool:
        """Whether its text fits beside those that are not read to their end yet."""
        if not self._seated:
            return True
        pages = self._pages
        promised = 0
        for one in self._seated:
            assert one.seat is not None
            promised += max(pages.pages_of(len(one.tokens) + 1) - len(one.seat.pages), 0)
        return pages.wanted(answer.chain, answer.tokens) + promised <= pages.available

    def _plan(self) -> list[_Part]:
        """Who takes part in the next call and with which tokens; their pages are there."""
        ready = [answer for answer in self._seated if self._may_read(answer)]
        unread = [answer.unread for answer in ready]
        talking = sum(waiting <= scheduler.FEW for waiting in unread)
        takes = scheduler.shares(unread, self._costs.budget(talking))
        turn: list[_Part] = []
        for answer, take in zip(ready, takes, strict=True):
            # The oldest first, so that whoever loses a seat for them has no part in this call yet.
            if take and answer.seat is not None and self._has_pages(answer, answer.read + take):
                turn.append(_Part(answer, take))
        if self._experience is not None:
            self._add_guesses(turn)
        return turn

    def _may_read(self, answer: Answer) -> bool:
        """Take over what others have read of this text; whether the next page is this answer's to read."""
        pages, seat = self._pages, answer.seat
        assert seat is not None, "only who sits takes part"
        if answer.unread <= 1:
            return True
        read = pages.catch_up(seat, answer.tokens, answer.read)
        if answer.first_token_s is None:
            answer.cached_tokens += read - answer.read
        answer.read = read
        return pages.may_fill(seat, answer.tokens, read)

    def _has_pages(self, answer: Answer, length: int) -> bool:
        """Find pages for so many tokens. Where none is left the youngest answer gives its own back."""
        while answer.seat is not None:
            if self._pages.grow(answer.seat, length):
                return True
            self._preempt(self._seated[-1])
        return False

    def _preempt(self, answer: Answer) -> None:
        """Back to the line: what was read is read again later, as far as it is not remembered by then."""
        assert answer.seat is not None, "only who sits can stand up"
        self._seated.remove(answer)
        self._pages.leave(answer.seat)
        answer.seat, answer.read = None, 0
        answer.cached_tokens = 0 if answer.first_token_s is None else answer.cached_tokens
        self._preemptions += 1
        self.metrics.preemptions.inc()
        with self._news:
            self._line.add_first(answer)

    def _add_guesses(self, turn: Sequence[_Part]) -> None:
        """Let answers that copy from their texts read ahead, where that is worth its rows."""
        parts = [part for part in turn if part.rows and part.answer.first_token_s is not None]
        if not parts:
            return
        rows = sum(part.rows for part in turn)
        reading = sum(part.take for part in turn if not part.rows)
        tokens = float(rows)
        for part in parts:
            answer = part.answer
            assert answer.guesses is not None and answer.seat is not None
            most = min(
                answer.request.max_tokens - answer.written - 1,
                self.context_tokens - len(answer.tokens),
            )
            if most < 1 or not answer.guesses.look(answer.tokens):
                continue
            chances = answer.guesses.chances()[:most]
            count = self._costs.worth_guessing(rows, tokens, reading, chances) if chances else 0
            if not count:
                continue
            if not self._pages.grow(answer.seat, len(answer.tokens) + count):
                count = min(count, len(answer.seat.pages) * self._pages.page_tokens - len(answer.tokens))
            part.draft = answer.guesses.first(answer.tokens, count)
            rows += len(part.draft)
            tokens += sum(chances[:count])

    def _forward(self, turn: Sequence[_Part]) -> Rows:
        """What the model says to everyone who now has read all of theirs, in order: no more than somebody wants."""
        tokens: list[int] = []
        slots: list[int] = []
        positions: list[int] = []
        adapters: list[int] = []
        prompt: list[bool] = []
        rows: list[int] = []
        for part in turn:
            answer, heard = part.answer, part.rows
            assert answer.seat is not None, "whoever takes part sits"
            tokens += answer.tokens[answer.read : answer.read + part.take]
            tokens += part.draft
            count = part.take + len(part.draft)
            slots += [answer.seat.slot] * count
            positions += range(answer.read, answer.read + count)
            adapters += [answer.adapter_number] * count
            asked = min(max(answer.prompt_tokens - answer.read, 0), count)
            prompt += [True] * asked + [False] * (count - asked)
            rows += range(len(tokens) - heard, len(tokens))
        numbers = _int32(adapters) if any(adapters) else None
        of_prompts = np.array(prompt, np.bool_) if any(prompt) else None
        arrays = (_int32(tokens), _int32(slots), _int32(positions))
        started_s = time.perf_counter()
        wanted = [part.answer.wanted for part in turn if part.rows]
        if None in wanted:
            said = Rows(self._decoder.forward(*arrays, self._cache, _int32(rows), numbers, of_prompts))
        else:
            count = min(max(filter(None, wanted), default=1), self._decoder.config.vocab)
            found = self._decoder.highest(*arrays, self._cache, _int32(rows), count, numbers, of_prompts)
            said = Rows(found[1], found[0])
        seconds = time.perf_counter() - started_s
        self._costs.note(len(rows), sum(part.take for part in turn if not part.rows), seconds)
        self.metrics.steps.inc()
        self.metrics.step_seconds.observe(seconds)
        return said

    def _draw(self, turn: Sequence[_Part], rows: Rows) -> None:
        """Let everybody who was heard go on, and others find the pages that are full now."""
        row = written = drafted = accepted = 0
        for part in turn:
            answer, heard, seat = part.answer, part.rows, part.answer.seat
            assert seat is not None, "whoever takes part sits"
            answer.read += part.take
            if not heard:
                self._pages.keep(seat, answer.tokens, answer.read)
                self._pages.may_fill(seat, answer.tokens, answer.read)  # a page half full stays this answer's
                continue
            first, before = answer.first_token_s is None, answer.read
            length = len(answer.tokens)
            try:
                finish = answer.accept(rows.part(row, heard), part.draft)
            except Exception as exc:  # one bad answer must not end the others
                self._give_up([answer], exc)
                continue
            finally:
                row += heard
            written += len(answer.tokens) - length
            drafted += len(part.draft)
            accepted += answer.read - before
            self._pages.keep(seat, answer.tokens, answer.read)
            if first:
                self._note_first(answer)
            if finish:
                self._end(answer, finish)  # before the client hears of it: who asks next finds the seat free
            self._tell(answer)
        self.metrics.completion_tokens.inc(written)
        if drafted:
            self.metrics.drafted_tokens.inc(drafted)
            self.metrics.accepted_tokens.inc(accepted)

    def _tell(self, answer: Answer) -> None:
        try:
            answer.tell()
        except Exception as exc:  # its receiver is gone; the others go on
            if answer.seat is not None:
                self._give_up([answer], exc)

    def _note_first(self, answer: Answer) -> None:
        assert answer.first_token_s is not None
        self.metrics.prompt_tokens.inc(len(answer.request.prompt))
        self.metrics.cached_tokens.inc(answer.cached_tokens)
        self.metrics.first_token_seconds.observe(answer.first_token_s - answer.arrived_s)

    def _end(self, answer: Answer, how: str) -> None:
        """Its seat is free, its adapter may go."""
        assert answer.seat is not None, "only who sits can stand up"
        self._seated.remove(answer)
        self._pages.leave(answer.seat, forget=how == "failed")
        answer.seat = None
        self._release(answer)
        self._answer_s += 0.2 * (time.monotonic() - answer.arrived_s - self._answer_s)
        self.metrics.answers.labels(how).inc()

    def _release(self, answer: Answer) -> None:
        held, answer.adapter = answer.adapter, None
        if held is not None and self.adapters is not None:
            self.adapters.let_go(held)

    def _give_up(self, answers: Sequence[Answer], exc: Exception) -> None:
        log.error("answers could not be computed", extra={"answers": len(answers), **told(exc)})
        error = exc if isinstance(exc, IkkanError) else Internal("the answer could not be computed", hint="ask again")
        error.__cause__ = None if error is exc else exc  # shown where nobody's words are in it: while warming up
        for answer in answers:
            self._end(answer, "failed")
            _fail(answer, error)

    def _forget(self) -> None:
        """Forget what warming up left behind."""
        self._pages.forget_all()
        self._costs = Costs(self._costs.target_s, self._costs.least)

    def _say_goodbye(self) -> None:
        with self._news:
            self._stopping = True
            waiting, errands = self._line.remove(lambda one: True), list(self._errands)
            self._errands.clear()
        error = UpstreamUnreachable(_STOPPING[0], hint=_STOPPING[1])
        for answer in list(self._seated):
            self._end(answer, "failed")
            _fail(answer, error)
        for answer in waiting:
            self._release(answer)
            _fail(answer, error)
        for _, future in errands:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)


def _is_late(answer: Answer, now_s: float) -> bool:
    return answer.request.deadline_s is not None and now_s >= answer.request.deadline_s


def _too_late() -> DeadlineMissed:
    return DeadlineMissed("the answer was not complete in time", hint="allow more time, or ask for a shorter answer")


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
