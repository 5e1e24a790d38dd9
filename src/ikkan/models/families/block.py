"""The decoder that llama, qwen2 and qwen3 share: a stack of one kind of block, with biases and norms of heads or
without, tied or untied.

The arithmetic of a block is written once, in `ikkan.silicon.kernels.walk`; here a checkpoint becomes a stack, and
calls are checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ikkan.ground.errors import BadInput, HostileFile, PromptTooLong
from ikkan.models.adapters import MODULES, Adapter, module_shape
from ikkan.models.families.weights import HasTensors, Weights
from ikkan.models.values import Bool, DecoderConfig, Float32, Int32, KVBits, KVCache
from ikkan.silicon.kernels.stack import Block, Cache, Result, Shape, Stack


class BlockDecoder:
    """A `Decoder` (see `models/values.py`). Calls may come from several threads; they run one after the other."""

    def __init__(self, config: DecoderConfig, stack: Stack, kv_bits: KVBits) -> None:
        self.config = config
        self._kv_bits: KVBits = kv_bits
        self._stack = stack
        self._adapters: set[int] = set()

    def new_cache(self, slots: int, context_tokens: int, pages: int | None = None) -> Cache:
        """Room for `slots` conversations; memory is taken only where tokens are written.

        Args:
            pages: how many there are; None for enough, each slot with its own.

        Raises:
            PromptTooLong: `context_tokens` exceeds what the model was trained for.
        """
        assert slots > 0 and context_tokens > 0
        if context_tokens > self.config.context:
            raise PromptTooLong(
                f"the model was trained for {self.config.context:,} tokens, {context_tokens:,} were asked for",
                hint="ask for a shorter context",
                limit=self.config.context,
            )
        return self._stack.new_cache(slots, context_tokens, pages, bits=self._kv_bits)

    @property
    def reads_prompts_apart(self) -> bool:
        """Whether prompts are read in bfloat16; see `Decoder.reads_prompts_apart`."""
        return self._stack.reads_prompts_apart

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
        """Read tokens into their slots; see `Decoder.forward`."""
        scores: Float32 = self._read(tokens, slots, positions, cache, logit_rows, adapters, prompt, "logits")
        return scores

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
        """Read tokens into their slots; see `Decoder.hidden`."""
        states: Float32 = self._read(tokens, slots, positions, cache, rows, adapters, prompt, "hidden")
        return states

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
        """Read tokens into their slots; see `Decoder.highest`."""
        found = self._read(tokens, slots, positions, cache, rows, adapters, prompt, count)
        return found["token"], found["logit"]

    def load_adapter(self, adapter: Adapter) -> int:
        """Keep an adapter ready; see `Decoder.load_adapter`."""
        if adapter.layers != self.config.layers:
            raise HostileFile(
                f"the adapter is for a model of {adapter.layers} layers; this one has {self.config.layers}",
                hint="was it trained on another model?",
            )
        for (_, module), pair in adapter.modules.items():
            if (len(pair.b), pair.a.shape[1]) != module_shape(self.config, module):
                raise HostileFile(
                    f"the adapter's {module} has shape {(len(pair.b), pair.a.shape[1])}",
                    hint="was it trained on another model?",
                )
        layers = [[adapter.modules.get((layer, one)) for one in MODULES] for layer in range(adapter.layers)]
        number = self._stack.load_adapter(layers)
        self._adapters.add(number)
        return number

    def unload_adapter(self, number: int) -> None:
        """Let go of an adapter; see `Decoder.unload_adapter`."""
        self._adapters.remove(number)
        self._stack.unload_adapter(number)

    def _read(
        self,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: KVCache,
        logit_rows: Int32,
        adapters: Int32 | None,
        prompt: Bool | None,
        result: Result,
    ) -> Any:
        config, stack = self.config, self._stack
        n = len(tokens)
        if adapters is not None:
            assert adapters.shape == (n,) and adapters.dtype == np.int32, f"want int32 ({n},), not {adapters.shape}"
            assert self._adapters.issuperset(adapters[adapters != 0].tolist()), "an adapter that is not loaded"
        assert prompt is None or (prompt.shape == (n,) and prompt.dtype == np.bool_), f"want bool ({n},)"
        for given in (tokens, slots, positions, logit_rows):
            assert given.ndim == 1 and given.dtype == np.int32, f"want int32 vectors, not {given.dtype} {given.shape}"
        assert len(slots) == n and len(positions) == n, (n, len(slots), len(positions))
        assert isinstance(cache, Cache)
        layers, _, kv_heads, dim = cache.shape
        assert (layers, kv_heads, dim) == (stack.layers, config.kv_heads, config.head_dim), "the cache of another model"
        if n == 0:
            assert len(logit_rows) == 0
            return stack.results(0, result)
        (lowest, highest), (first_slot, last_slot), (start, end) = (_ends(one) for one in (tokens, slots, positions))
        assert first_slot >= 0 and last_slot < cache.slots, f"slots outside 0..{cache.slots - 1}"
        assert start >= 0
        if len(logit_rows):
            first, last = _ends(logit_rows)
            assert first >= 0 and last < n, f"logit_rows outside 0..{n - 1}"
        if lowest < 0 or highest >= config.vocab:
            raise BadInput(f"a token is outside the vocabulary of {config.vocab:,}", vocab=config.vocab)
        if end >= cache.context_tokens:
            raise PromptTooLong(
                f"position {end:,} does not fit a context of {cache.context_tokens:,} tokens",
                hint="shorten the prompt or ask for fewer tokens",
                limit=cache.context_tokens,
            )
        tokens, slots, positions = (np.ascontiguousarray(given) for given in (tokens, slots, positions))
        return stack.forward(tokens, slots, positions, cache, logit_rows, adapters, prompt, result=result)


def _ends(given: Int32) -> tuple[int, int]:
    """The lowest and the highest; a single number, the most frequent case, at once."""
    if len(given) == 1:
        one = int(given.item())
        return one, one
    return int(given.min()), int(given.max())


def load(checkpoint: HasTensors, config: DecoderConfig, *, threads: int, kv_bits: KVBits = 16) -> BlockDecoder:
    """Check, pack and stack all blocks of a checkpoint.

    Raises:
        HostileFile: a tensor is missing, or its shape or the config's own numbers do not fit together.
        UnsupportedFormat: a tensor is of a format that no kernel reads.
        NotFinite: a weight is NaN or infinite.
    """
    c = config
    if min(c.layers, c.hidden, c.heads, c.kv_heads, c.head_dim, c.intermediate, c.vocab, c.context) < 1:
        raise HostileFile("the model's config has a size below 1")
    if c.heads % c.kv_heads or c.head_dim % 2:
        raise HostileFile(f"{c.heads} heads of {c.head_dim} cannot share {c.kv_heads} heads of keys")
    weights = Weights(checkpoint, c.rope_style)
    # The last block first: a config that promises too many layers is refused before the others are packed.
    blocks = [_block(weights, c, f"blk.{number}.") for number in reversed(range(c.layers))][::-1]
    embedding = weights.matrix("token_embd.weight", c.vocab, c.hidden)
    output = embedding if c.tied_embeddings else weights.matrix("output.weight", c.vocab, c.hidden)
    shape = Shape(c.hidden, c.heads, c.kv_heads, c.head_dim, c.intermediate, c.rms_eps, c.rope_theta)
    final_norm = weights.vector("output_norm.weight", c.hidden)
    return BlockDecoder(c, Stack(shape, blocks, embedding, final_norm, output, threads=threads), kv_bits)


def _block(weights: Weights, c: DecoderConfig, at: str) -> Block:
    wide, narrow = c.heads * c.head_dim, c.kv_heads * c.head_dim
    bias = None
    if c.qkv_bias:
        q = weights.vector(f"{at}attn_q.bias", wide, rotated_heads=c.heads)
        k = weights.vector(f"{at}attn_k.bias", narrow, rotated_heads=c.kv_heads)
        bias = np.concatenate([q, k, weights.vector(f"{at}attn_v.bias", narrow)])
    return Block(
        attention_norm=weights.vector(f"{at}attn_norm.weight", c.hidden),
        q=weights.matrix(f"{at}attn_q.weight", wide, c.hidden, rotated_heads=c.heads),
        k=weights.matrix(f"{at}attn_k.weight", narrow, c.hidden, rotated_heads=c.kv_heads),
        v=weights.matrix(f"{at}attn_v.weight", narrow, c.hidden),
        qkv_bias=bias,
        q_norm=weights.vector(f"{at}attn_q_norm.weight", c.head_dim) if c.qk_norm else None,
        k_norm=weights.vector(f"{at}attn_k_norm.weight", c.head_dim) if c.qk_norm else None,
        out=weights.matrix(f"{at}attn_output.weight", c.hidden, wide),
        ffn_norm=weights.vector(f"{at}ffn_norm.weight", c.hidden),
        gate=weights.matrix(f"{at}ffn_gate.weight", c.intermediate, c.hidden),
        up=weights.matrix(f"{at}ffn_up.weight", c.intermediate, c.hidden),
        down=weights.matrix(f"{at}ffn_down.weight", c.hidden, c.intermediate),
    )
