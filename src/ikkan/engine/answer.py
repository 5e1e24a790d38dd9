"""One answer in the making."""

from __future__ import annotations

import time

from ikkan.engine.detokenize import TextStream
from ikkan.engine.sampling import Sampler
from ikkan.engine.slots import Seat
from ikkan.engine.values import FinishReason, Generation, Piece, Sink, TokenLogprob, Usage
from ikkan.ground.errors import IkkanError
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Float32


class Answer:
    """A text that is being continued: its tokens, how many of them the model has read, what was said to the client.

    Reading the prompt and writing the answer are one thing here: there are tokens the model has not read yet. When it
    has read the last, its scores give the next.
    """

    def __init__(self, number: int, request: Generation, tokenizer: Tokenizer, sink: Sink) -> None:
        assert request.prompt, "a text begins somewhere"
        self.request = request
        self.tokens = list(request.prompt)
        self.read = 0
        """How many of `tokens` have their keys and values in the cache."""
        self.seat: Seat | None = None
        self.abandoned = False
        """Set from any thread when nobody waits for the answer any more."""
        self.arrived_s = time.monotonic()
        self.first_token_s: float | None = None
        self._number = number
        self._sink = sink
        self._tokenizer = tokenizer
        endings = request.stop_token_ids | (frozenset() if request.ignore_eos else tokenizer.eos_ids)
        self._endings: frozenset[int] = endings
        # A token that must not end the answer must not be drawn either: the model would have nothing left to say.
        self._sampler = Sampler(request.sampling, request.prompt, sorted(endings), request.min_tokens)
        self._text = TextStream(request.stop)
        self._new_ids: list[int] = []
        self._new_logprobs: list[TokenLogprob] = []

    @property
    def unread(self) -> int:
        """Tokens the model has yet to read; at least one."""
        return len(self.tokens) - self.read

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        prompt = len(self.request.prompt)
        return Usage(prompt, self.seat.cached_tokens if self.seat else 0, len(self.tokens) - prompt)

    def sit(self, seat: Seat) -> None:
        """Begin in this slot, after what it already holds."""
        self.seat, self.read = seat, seat.cached_tokens

    def accept(self, scores: Float32) -> FinishReason | None:
        """Draw the next token and tell the client what it adds; whether and why the answer ends here.

        Tokens that must follow by the answer's constraint are taken with it: the model reads them all at once.
        """
        constraint = self.request.constraint
        drawn = self._sampler.draw(scores, constraint.allowed() if constraint else None)
        if self.first_token_s is None:
            self.first_token_s = time.monotonic()
        text, finish = self._take(drawn.token_id)
        if self.request.sampling.top_logprobs is not None:
            self._new_logprobs.append(drawn)  # and nothing is forced: every token has its own
        elif constraint and not finish:
            for token_id in constraint.forced():
                self._sampler.note(token_id)
                more, finish = self._take(token_id)
                text += more
                if finish:
                    break
        self._tell(text + (self._text.end() if finish else ""), finish)
        return finish

    def _take(self, token_id: int) -> tuple[str, FinishReason | None]:
        """Go on by a token: the text that may be shown with it, and whether and why the answer ends."""
        self.tokens.append(token_id)
        self._new_ids.append(token_id)
        written = len(self.tokens) - len(self.request.prompt)
        if token_id in self._endings:
            return "", "stop"
        constraint = self.request.constraint
        if constraint:
            constraint.accept(token_id)
        text = self._text.add(self._tokenizer.bytes_of(token_id), may_stop=written >= self.request.min_tokens)
        if self._text.stopped or (constraint and constraint.ended()):
            return text, "stop"
        return text, "length" if written >= self.request.max_tokens else None

    def fail(self, error: IkkanError) -> None:
        """Tell the client that there will be no more."""
        self._sink(self._number, Piece("", self.usage, failure=error))

    def _tell(self, text: str, finish: FinishReason | None) -> None:
        if not (text or finish):
            return  # half a character, or what may be a stop text; its tokens come with the text
        piece = Piece(text, self.usage, tuple(self._new_ids), tuple(self._new_logprobs), finish)
        self._new_ids.clear()
        self._new_logprobs.clear()
        self._sink(self._number, piece)
