"""One answer in the making."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from ikkan.engine.detokenize import TextStream
from ikkan.engine.guessing import Experience, Guesses
from ikkan.engine.pages import Chain, Seat
from ikkan.engine.sampling import GREEDY_BELOW, Sampler, no_numbers
from ikkan.engine.values import FinishReason, Generation, HeldAdapter, Piece, Sampling, Sink, TokenLogprob, Usage
from ikkan.ground.errors import IkkanError
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Float32, Int32

_MOST_WANTED: Final = 256
"""Of so many of the likeliest at most the model keeps account itself; above it writes all its scores."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What the model says of some places in a text, a row each."""

    scores: Float32
    """`(m, vocab)`; or those of `tokens`, highest first."""
    tokens: Int32 | None = None
    """`(m, count)` the likeliest, where all that take part want no more; -1 where the scores are no numbers."""

    def part(self, first: int, count: int) -> Rows:
        """Some of the rows."""
        end = first + count
        return Rows(self.scores[first:end], None if self.tokens is None else self.tokens[first:end])


class Answer:
    """A text that is being continued: its tokens, how many of them the model has read, what was said to the client.

    Reading the prompt and writing the answer are one thing here: there are tokens the model has not read yet. When it
    has read the last, its scores give the next. An answer that lost its seat has everything to read again, and goes on
    where it was.

    Args:
        number: which of a request's texts this is.
        chain: names the text's pages.
        adapter: what reads the text, besides the model.
        experience: what guesses were worth so far; None not to guess what may follow.
    """

    def __init__(
        self,
        number: int,
        request: Generation,
        tokenizer: Tokenizer,
        sink: Sink,
        *,
        chain: Chain,
        adapter: HeldAdapter | None = None,
        experience: Experience | None = None,
    ) -> None:
        assert request.prompt, "a text begins somewhere"
        self.request = request
        self.chain = chain
        self.adapter = adapter
        self.order = 0
        """The larger, the later it came."""
        self.tokens = list(request.prompt)
        self.read = 0
        """How many of `tokens` have their keys and values in the cache."""
        self.cached_tokens = 0
        """How many of the prompt's somebody else had read."""
        self.seat: Seat | None = None
        self.abandoned = False
        """Set from any thread when nobody waits for the answer any more."""
        self.arrived_s = time.monotonic()
        self.first_token_s: float | None = None
        self.guesses = None if experience is None else Guesses(experience)
        self.adapter_number = adapter.number if adapter else 0
        self._number = number
        self._sink = sink
        self._tokenizer = tokenizer
        endings = request.stop_token_ids | (frozenset() if request.ignore_eos else tokenizer.eos_ids)
        self._endings: frozenset[int] = endings
        # A token that must not end the answer must not be drawn either: the model would have nothing left to say.
        self._sampler = Sampler(request.sampling, request.prompt, sorted(endings), request.min_tokens)
        self._text = TextStream(request.stop)
        self._untold: tuple[str, FinishReason | None] = "", None
        self._new_ids: list[int] = []
        self._new_logprobs: list[TokenLogprob] = []
        self.prompt_tokens = len(request.prompt)
        self._with_logprobs = request.sampling.top_logprobs is not None
        self._wanted = _wanted(request.sampling) if request.constraint is None else None

    @property
    def unread(self) -> int:
        """Tokens the model has yet to read; at least one."""
        return len(self.tokens) - self.read

    @property
    def written(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return Usage(self.prompt_tokens, self.cached_tokens, self.written)

    @property
    def wanted(self) -> int | None:
        """How many of the likeliest tokens are all it wants to know of what follows now; None: it must see all."""
        return None if self.written < self.request.min_tokens else self._wanted

    def accept(self, rows: Rows, draft: list[int]) -> FinishReason | None:
        """Draw what follows, to be told by `tell`; whether and why the answer ends here.

        Args:
            rows: what the model says after the last token, and then after each of the draft.
            draft: tokens that were read although nobody had drawn them yet. What is drawn is the same without them;
                those that were right are read already.
        """
        if self.first_token_s is None:
            self.first_token_s = time.monotonic()
        before = len(self.tokens)
        right = 0
        text = ""
        finish: FinishReason | None = None
        while finish is None:
            came = len(self.tokens)
            more, finish = self._draw(rows, right)
            text += more
            right += _agreeing(self.tokens, came, draft, right)
            if before + right < len(self.tokens):
                break  # something came that is not read yet
        self.read += right
        if self.guesses is not None:
            self.guesses.learn(self.tokens, len(self.tokens) - before)
        self._untold = text + (self._text.end() if finish else ""), finish
        return finish

    def tell(self) -> None:
        """Tell the client what was accepted since the last time."""
        text, finish = self._untold
        self._untold = "", None
        if not (text or finish):
            return  # half a character, or what may be a stop text; its tokens come with the text
        piece = Piece(text, self.usage, tuple(self._new_ids), tuple(self._new_logprobs), finish)
        self._new_ids.clear()
        self._new_logprobs.clear()
        self._sink(self._number, piece)

    def fail(self, error: IkkanError) -> None:
        """Tell the client that there will be no more."""
        self._sink(self._number, Piece("", self.usage, failure=error))

    def _draw(self, rows: Rows, row: int) -> tuple[str, FinishReason | None]:
        """Go on by the next token, and by those that must follow it: the model reads them all at once."""
        wanted = self.wanted
        if wanted is not None and rows.tokens is not None:
            tokens, scores = rows.tokens[row, :wanted], rows.scores[row, :wanted]
            if tokens[0] < 0:
                raise no_numbers()
            return self._take(int(tokens[0]) if wanted == 1 else self._sampler.draw_among(tokens, scores))
        constraint = self.request.constraint
        drawn = self._sampler.draw(rows.scores[row], constraint.allowed() if constraint else None)
        text, finish = self._take(drawn.token_id)
        if self._with_logprobs:
            self._new_logprobs.append(drawn)  # and nothing is forced: every token has its own
        elif constraint is not None and finish is None:
            for token_id in constraint.forced():
                self._sampler.note(token_id)
                more, finish = self._take(token_id)
                text += more
                if finish is not None:
                    break
        return text, finish

    def _take(self, token_id: int) -> tuple[str, FinishReason | None]:
        """Go on by a token: the text that may be shown with it, and whether and why the answer ends."""
        self.tokens.append(token_id)
        self._new_ids.append(token_id)
        if token_id in self._endings:
            return "", "stop"
        request = self.request
        written = len(self.tokens) - self.prompt_tokens
        if request.constraint is not None:
            request.constraint.accept(token_id)
        text = self._text.add(self._tokenizer.bytes_of(token_id), may_stop=written >= request.min_tokens)
        if self._text.stopped or (request.constraint is not None and request.constraint.ended()):
            return text, "stop"
        return text, "length" if written >= request.max_tokens else None


def _agreeing(tokens: list[int], place: int, draft: list[int], right: int) -> int:
    """How many tokens from a place on are those of the draft behind the ones that were right."""
    count = 0
    while place + count < len(tokens) and right + count < len(draft) and tokens[place + count] == draft[right + count]:
        count += 1
    return count


def _wanted(sampling: Sampling) -> int | None:
    """How many of the likeliest tokens decide what is drawn; None if any may."""
    if sampling.repetition_penalty != 1.0 or sampling.presence_penalty or sampling.frequency_penalty:
        return None
    if sampling.bias or sampling.top_logprobs is not None:
        return None
    count = 1 if sampling.temperature < GREEDY_BELOW else sampling.top_k
    return count if 0 < count <= _MOST_WANTED else None
