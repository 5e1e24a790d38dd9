"""What the floors above may know of a model: its measurements, and what it can be asked to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ikkan.models.adapters import Adapter, LowRank

Float32: TypeAlias = NDArray[np.float32]
Int32: TypeAlias = NDArray[np.int32]
Bytes: TypeAlias = NDArray[np.uint8]
Bool: TypeAlias = NDArray[np.bool_]

KVBits: TypeAlias = Literal[8, 16]
"""How keys and values are kept: bfloat16, or eight bits and a scale for each position of a head."""

RopeStyle: TypeAlias = Literal["interleaved", "half_split"]
"""Where the two coordinates of one rotated pair stand in a row of q or k: side by side, or half a head apart."""


@dataclass(frozen=True, slots=True)
class RawTensor:
    """One matrix or vector exactly as the file has it: a view on the mapped file, nothing is copied."""

    name: str
    """The canonical name (see `models/checkpoint.py`)."""
    shape: tuple[int, ...]
    """Rows first: `(out, in)` for a matrix, whatever order the file writes."""
    format: str
    """`F32`, `F16`, `BF16`, or a GGUF block format such as `Q4_0`, `Q4_1`, `Q8_0`."""
    raw: Bytes
    """Read-only bytes, one dimension."""


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """The measurements of a decoder: a network that continues text."""

    family: str
    """`llama`, `qwen2` or `qwen3`."""
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    """Rows of the embedding; may exceed the tokenizer's tokens, never the other way round."""
    context: int
    """Positions the model was trained for."""
    rope_theta: float
    rms_eps: float
    tied_embeddings: bool
    """The embedding is also the output matrix; there is no `output.weight`."""
    qkv_bias: bool
    rope_style: RopeStyle = "half_split"
    """How *this file* orders the rows of q and k: `interleaved` for llama in GGUF, `half_split` everywhere else."""
    qk_norm: bool = False
    """Every head of q and k goes through an RMS norm of its own before it is turned (qwen3)."""


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """The measurements of an encoder: a network that turns a text into one vector."""

    family: str
    """`bert`."""
    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocab: int
    context: int
    """Positions the model has embeddings for, special tokens included."""
    types: int
    norm_eps: float

    def shape(self, module: EncoderModule) -> tuple[int, int]:
        """Outputs and inputs of one of a block's matrices."""
        return {
            "qkv": (3 * self.hidden, self.hidden),
            "out": (self.hidden, self.hidden),
            "up": (self.intermediate, self.hidden),
            "down": (self.hidden, self.intermediate),
        }[module]


EncoderModule: TypeAlias = Literal["qkv", "out", "up", "down"]
ENCODER_MODULES: tuple[EncoderModule, ...] = ("qkv", "out", "up", "down")
"""An encoder block's matrices: query, key and value are one of `3 * hidden` rows, since they read the same input."""

EncoderPairs: TypeAlias = "Mapping[tuple[int, EncoderModule], LowRank]"
"""What is added to an encoder's matrices, by layer and module; those that are absent stay as they are."""


class KVCache(Protocol):
    """The keys and values of up to `slots` conversations at once, in pages that several of them may share."""

    @property
    def bytes(self) -> int:
        """What it takes when every page is written."""
        ...

    @property
    def slots(self) -> int: ...

    @property
    def context_tokens(self) -> int:
        """The longest conversation."""
        ...

    @property
    def page_tokens(self) -> int:
        """Positions of one page."""
        ...

    @property
    def pages(self) -> int: ...

    @property
    def tables(self) -> Int32:
        """`(slots, ceil(context_tokens / page_tokens))`: `tables[slot, position // page_tokens]` is the page of that
        position. Whoever shares pages writes it before `forward`; a page that several slots name is never written.
        """
        ...

    def copy_page(self, source: int, target: int) -> None:
        """Have one page hold what another holds."""
        ...


class Decoder(Protocol):
    """A network that continues text. Results do not depend on who shares a call, nor on which pages hold a text."""

    @property
    def config(self) -> DecoderConfig: ...

    @property
    def reads_prompts_apart(self) -> bool:
        """Whether it makes a difference which tokens are said to be part of a prompt."""
        ...

    def new_cache(self, slots: int, context_tokens: int, pages: int | None = None) -> KVCache:
        """Room for `slots` conversations.

        Args:
            pages: how many pages there are; None for so many that every slot has its own, and `tables` says so.

        Raises:
            PromptTooLong: `context_tokens` exceeds `config.context`.
        """
        ...

    def forward(
        self,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: KVCache,
        logit_rows: Int32,
        adapters: Int32 | None = None,
        prompt: Bool | None = None,
    ) -> Float32:
        """Read tokens into their slots; return logits `(m, vocab)` for the rows asked for.

        Args:
            tokens: `(n,)`; each writes its key and value at (slot, position) and attends to that slot's positions
                0 to its own. Any mix of slots may share a call; tokens of one slot come in increasing position. What
                was written at a position before is written over.
            slots: `(n,)`.
            positions: `(n,)`.
            logit_rows: `(m,)` indices into `tokens`, in the order the rows are wanted; may be empty.
            adapters: `(n,)` the number of the adapter that reads each token, 0 for none; None where nobody has one.
            prompt: `(n,)` which tokens are part of a prompt; None for none. They may be read faster and a little less
                exactly; in each slot they come before all others.

        Returns:
            float32 `(m, vocab)`; each row's bits are the same whatever else is in the call, and however
                a text is cut into calls.

        Raises:
            BadInput: a token is outside the vocabulary.
            PromptTooLong: a position is outside the cache.
        """
        ...

    def hidden(
        self,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: KVCache,
        rows: Int32,
        adapters: Int32 | None = None,
        prompt: Bool | None = None,
    ) -> Float32:
        """Like `forward`, but the normalised hidden states `(m, hidden)` from which logits would be computed."""
        ...

    def highest(
        self,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: KVCache,
        rows: Int32,
        count: int,
        adapters: Int32 | None = None,
        prompt: Bool | None = None,
    ) -> tuple[Int32, Float32]:
        """Like `forward`, but `(m, count)` tokens of the highest logits and those logits; others are nowhere written.

        Highest first, of equal ones the first token; tokens are -1 where any logit of the row is no finite number.

        Args:
            count: at least 1, at most the vocabulary. Meant for a few dozen: keeping hundreds costs time.
        """
        ...

    def load_adapter(self, adapter: Adapter) -> int:
        """Make an adapter ready; returns its number, at least 1."""
        ...

    def unload_adapter(self, number: int) -> None:
        """Forget an adapter that nobody uses."""
        ...


class Encoder(Protocol):
    """A network that turns texts into vectors."""

    @property
    def config(self) -> EncoderConfig: ...

    @property
    def context(self) -> int: ...

    def embed(self, ids: Sequence[Sequence[int]]) -> Float32:
        """One vector `(hidden,)` a text: the mean over its tokens, scaled to length one.

        Raises:
            BadInput: a text has no tokens, or a token outside the vocabulary.
            PromptTooLong: a text has more than `context` tokens.
        """
        ...

    def adapted(self, pairs: EncoderPairs) -> Encoder:
        """This network with low-rank pairs added to its matrices. Both stay in use and share what did not change.

        Raises:
            HostileFile: a pair does not fit these measurements.
        """
        ...
