"""The engine: one model, many answers at the same time.

One compute thread turns the loop. A turn is `Engine.step`: admit who waits, plan one batch (one token for every answer
under way, and a chunk of the prompts that are still being read), run the model once, and hand out what came of it.
Nothing here knows of HTTP, tenants or prices.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from ikkan.engine.sampling import Sampler, logprobs
from ikkan.engine.stream import TextStream
from ikkan.engine.values import Lease, Piece, Work
from ikkan.ground.errors import PromptTooLong, RateLimited
from ikkan.models.values import Decoder, Float32, Int32

log = logging.getLogger(__name__)

T = TypeVar("T")

CHUNK_TOKENS = 128
"""Most tokens of one step: a running answer never waits for more of a prompt than this."""


class Vocabulary(Protocol):
    """The part of a tokenizer the loop needs."""

    @property
    def eos_ids(self) -> frozenset[int]: ...

    def bytes_of(self, token_id: int) -> bytes: ...


@dataclass(eq=False)
class Sequence:
    """One answer under way."""

    work: Work
    sampler: Sampler
    stream: TextStream
    tokens: list[int]
    """Prompt and answer so far."""
    slot: int = -1
    filled: int = 0
    """How many of `tokens` are in the cache."""
    made: int = 0
    cancelled: bool = False


@dataclass
class Slot:
    """One conversation's place in the cache, and what is still in it from the last one."""

    tokens: list[int] = field(default_factory=list)
    salt: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of the model."""

    tokens: Int32
    slots: Int32
    positions: Int32
    logit_rows: Int32
    sequences: tuple[Sequence, ...]
    """Whose next token each logit row decides."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """How busy the engine is."""

    running: int
    waiting: int
    slots: int
    generated: int
    """Output tokens since the start."""
    read: int
    """Prompt tokens since the start, without those found in the cache."""
    steps: int


class Engine:
    """Serves one decoder. Start it with `start`, ask with `submit`, stop it with `close`.

    Args:
        decoder: the model.
        vocabulary: its tokenizer.
        max_batch: answers computed at the same time; more wait.
        context_tokens: longest prompt and answer together.
        max_waiting: more than these are refused with `RateLimited`.
        lease: the processor, asked for while there is work.
    """

    def __init__(
        self,
        decoder: Decoder,
        vocabulary: Vocabulary,
        *,
        max_batch: int = 8,
        context_tokens: int = 2048,
        max_waiting: int = 64,
        lease: Lease | None = None,
    ) -> None:
        self._decoder = decoder
        self._vocabulary = vocabulary
        self.context_tokens = min(context_tokens, decoder.config.context)
        self._cache = decoder.new_cache(max_batch, self.context_tokens)
        self._slots = [Slot() for _ in range(max_batch)]
        self._free = list(range(max_batch))
        self._running: list[Sequence] = []
        self._waiting: deque[Sequence] = deque()
        self._errands: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._max_waiting = max_waiting
        self._lease = lease
        self._wake = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._generated = self._read = self._steps = 0

    @property
    def cache_bytes(self) -> int:
        return self._cache.bytes

    @property
    def state(self) -> EngineState:
        return EngineState(
            len(self._running), len(self._waiting), len(self._slots), self._generated, self._read, self._steps
        )

    def submit(self, work: Work, *, index: int = 0) -> Sequence:
        """Queue one answer; its pieces arrive at `work.deliver`. From any thread.

        Raises:
            PromptTooLong: prompt and answer do not fit the context.
            RateLimited: too many wait already.
        """
        room = self.context_tokens - len(work.prompt)
        if room < 1 or not work.prompt:
            raise PromptTooLong(
                f"the prompt has {len(work.prompt):,} tokens; this model reads {self.context_tokens:,}, answer included",
                hint="shorten the conversation, or serve the model with a longer --context",
                prompt_tokens=len(work.prompt),
                context_tokens=self.context_tokens,
            )
        sequence = Sequence(
            work, Sampler(work.sampling, work.prompt, index=index), TextStream(work.sampling.stop), list(work.prompt)
        )
        with self._wake:
            if len(self._waiting) >= self._max_waiting:
                raise RateLimited(
                    f"{len(self._waiting)} answers wait already", hint="try again in a moment", retry_after_ms=1000
                )
            self._waiting.append(sequence)
            self._wake.notify()
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """Its asker left: the slot is free again before the next step."""
        with self._wake:
            sequence.cancelled = True
            self._wake.notify()

    def call(self, errand: Callable[[], T]) -> Future[T]:
        """Run something else on the compute thread (an embedding), between two steps."""
        future: Future[T] = Future()
        with self._wake:
            self._errands.append((errand, future))
            self._wake.notify()
        return future

    def start(self) -> None:
        self._thread = threading.Thread(target=self._turn, name="engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the step under way; answers that are not finished end with `error`."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        for sequence in [*self._running, *self._waiting]:
            sequence.work.deliver(Piece("", finish_reason="error", tokens=sequence.made))

    def step(self) -> None:
        """One turn of the loop."""
        self._drop_cancelled()
        self._admit()
        batch = self._plan()
        if batch is None:
            return
        logits = self._decoder.forward(batch.tokens, batch.slots, batch.positions, self._cache, batch.logit_rows)
        self._steps += 1
        for sequence, row in zip(batch.sequences, logits, strict=True):
            self._advance(sequence, row)

    # ---- the parts of a turn, in the order they happen ------------------------------------------------------------------

    def _drop_cancelled(self) -> None:
        for sequence in [sequence for sequence in self._running if sequence.cancelled]:
            self._release(sequence)
        with self._wake:
            self._waiting = deque(sequence for sequence in self._waiting if not sequence.cancelled)

    def _admit(self) -> None:
        while self._free and self._waiting:
            with self._wake:
                sequence = self._waiting.popleft()
            shared = {slot: self._shared_prefix(slot, sequence) for slot in self._free}
            # The slot that knows most of this prompt; else the one whose memory is worth least.
            slot = max(self._free, key=lambda free: (shared[free], -len(self._slots[free].tokens), -free))
            self._free.remove(slot)
            sequence.slot = slot
            # The last prompt token is always read: its logits are the first answer.
            sequence.filled = min(shared[slot], len(sequence.tokens) - 1)
            sequence.work.facts["cached_tokens"] = sequence.filled
            self._slots[slot] = Slot(sequence.tokens[: sequence.filled], sequence.work.salt)
            self._running.append(sequence)

    def _plan(self) -> Batch | None:
        tokens: list[int] = []
        slots: list[int] = []
        positions: list[int] = []
        rows: list[int] = []
        deciding: list[Sequence] = []
        budget = max(CHUNK_TOKENS, len(self._running))
        # Answers under way come first: one token each; what is left of the budget reads prompts.
        for sequence in sorted(self._running, key=lambda running: len(running.tokens) - running.filled > 1):
            todo = sequence.tokens[sequence.filled : sequence.filled + budget - len(tokens)]
            if not todo:
                continue
            tokens += todo
            slots += [sequence.slot] * len(todo)
            positions += range(sequence.filled, sequence.filled + len(todo))
            self._slots[sequence.slot].tokens += todo
            sequence.filled += len(todo)
            if sequence.filled == len(sequence.tokens):
                rows.append(len(tokens) - 1)
                deciding.append(sequence)
        if not tokens:
            return None
        self._read += len(tokens) - len(deciding)
        return Batch(
            np.array(tokens, dtype=np.int32),
            np.array(slots, dtype=np.int32),
            np.array(positions, dtype=np.int32),
            np.array(rows, dtype=np.int32),
            tuple(deciding),
        )

    def _advance(self, sequence: Sequence, logits: Float32) -> None:
        sampling = sequence.work.sampling
        ends = (frozenset() if sampling.ignore_eos else self._vocabulary.eos_ids) | sampling.stop_ids
        token = sequence.sampler.choose(logits, forbidden=ends)
        sequence.made += 1
        self._generated += 1
        sequence.tokens.append(token)
        likely, best = logprobs(logits, token, sampling.top_logprobs) if sampling.top_logprobs is not None else (0.0, ())
        finish: str | None = None
        if token in ends:
            text, finish = sequence.stream.end(), "stop"
        else:
            text = sequence.stream.push(self._vocabulary.bytes_of(token))
            if sequence.stream.stopped:
                finish = "stop"
            elif sequence.made >= sampling.max_tokens or len(sequence.tokens) >= self.context_tokens:
                text, finish = text + sequence.stream.end(), "length"
        sequence.work.deliver(Piece(text, token, likely, best, finish, sequence.made))
        if finish is not None:
            self._release(sequence)

    def _release(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        self._free.append(sequence.slot)

    def _shared_prefix(self, slot: int, sequence: Sequence) -> int:
        known = self._slots[slot]
        if known.salt != sequence.work.salt:
            return 0
        length = min(len(known.tokens), len(sequence.tokens))
        return next((i for i in range(length) if known.tokens[i] != sequence.tokens[i]), length)

    # ---- the thread -----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        while self._wait_for_work():
            with ExitStack() as stack:
                if self._lease is not None:
                    stack.enter_context(self._lease.interactive())
                while self._has_work() and not self._closing:
                    self._run_errands()
                    try:
                        self.step()
                    except Exception:  # one failing step must not take the others' engine down
                        log.exception("a step failed; the answers in it end with an error")
                        self._fail_running()

    def _wait_for_work(self) -> bool:
        with self._wake:
            while not self._closing and not self._has_work():
                self._wake.wait()
            return not self._closing

    def _has_work(self) -> bool:
        return bool(self._running or self._waiting or self._errands)

    def _run_errands(self) -> None:
        while self._errands:
            errand, future = self._errands.popleft()
            try:
                future.set_result(errand())
            except Exception as error:  # handed to whoever asked
                future.set_exception(error)

    def _fail_running(self) -> None:
        for sequence in list(self._running):
            sequence.work.deliver(Piece("", finish_reason="error", tokens=sequence.made))
            self._slots[sequence.slot] = Slot()
            self._release(sequence)
        # A failing step may fail again at once; breathe, so that a broken model does not burn a core.
        time.sleep(0.05)
