"""Models that say what a test wrote for them, and templates with what Qwen's and Hermes' have."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from zlib import crc32

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from ikkan.engine.fakes import END, VOCAB, FakeDecoder
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Float32

HOUSE = Path(__file__).parents[2]
ASSISTANT = "<assistant>\n"
"""What every template here ends with when the model is to answer."""

WITHOUT_TOOLS = (
    "{% for m in messages %}<{{ m.role }}>\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)
_TURNS = (
    "{% for m in messages %}"
    "{% if m.role == 'tool' %}<user>\n<tool_response>\n{{ m.content }}\n</tool_response><|im_end|>\n"
    "{% elif m.role == 'assistant' %}<assistant>\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}{% set call = call.function if call.function else call %}"
    '{{ \'\\n<tool_call>\\n{"name": "\' ~ call.name ~ \'", "arguments": \' }}{{ call.arguments | tojson }}'
    "{{ '}\\n</tool_call>' }}{% endfor %}<|im_end|>\n"
    "{% elif m.role == 'user' %}<user>\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n"
)
HERMES = (
    "{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% if tools or system %}<system>\n{{ system }}{% if tools %}{{ '\\n\\n' if system }}"
    "{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    'For each call write <tool_call>\n{"name": <function-name>, "arguments": <args>}\n</tool_call>{% endif %}'
    "<|im_end|>\n"
    "{% endif %}" + _TURNS + "{% endif %}"
)
THINKING = HERMES.removesuffix("{% endif %}") + (
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""Qwen3's way: the model opens `<think>` itself, unless thinking is switched off."""
OPENS = HERMES.removesuffix("{% endif %}") + "<think>\n{% endif %}"
"""The way of models that always think: the prompt opens `<think>`."""


@dataclass
class Scripted(FakeDecoder):
    """Says `script(prompt)`, byte by byte, and ends; where it may not, whatever comes likeliest by chance."""

    script: Callable[[str], str] = lambda prompt: ""
    context: int = 8192

    def _scores(self, text: list[int]) -> Float32:
        seed = crc32(np.array(text, dtype=np.int32).tobytes())
        scores = np.random.default_rng(seed).random(VOCAB, dtype=np.float32)
        scores[END] += 1.5
        for mark in b'"}':
            scores[mark] += 1.5  # chance closes what it opens
        written = b"".join(b"<|im_end|>" if one == END else bytes((one,)) for one in text)
        prompt, _, said = written.rpartition(ASSISTANT.encode())
        wanted = self.script(prompt.decode("utf-8", "replace")).encode()
        if wanted.startswith(said):
            scores[wanted[len(said)] if len(wanted) > len(said) else END] += self.certainty
        return scores


def saying(text: str) -> Scripted:
    """A model that always says this."""
    return Scripted(script=lambda prompt: text)


def benchmark(name: str) -> ModuleType:
    """A script of `benchmarks/` as a module."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HOUSE / "benchmarks" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def merged_tokenizer() -> Tokenizer:
    """Tokens of several letters, such as `": ` and `"}`, that reach over the edges of a grammar's parts."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<|im_end|>"], initial_alphabet=alphabet, show_progress=False
    )
    lines = ['{"name": "search", "arguments": {"city": "Osaka", "days": 3}}', '[{"id": 1, "ok": true}, null, "x"]'] * 9
    inner.train_from_iterator([*lines, "2026-01-01T00:00:00Z", "the quick brown fox <tool_call>"], trainer)
    return Tokenizer(inner, bos_id=None, eos_ids=())
