"""Text to token ids and back, with the tokenizer that came with the model.

Built on the `tokenizers` library, from a `tokenizer.json` or from the vocabulary and merges in GGUF metadata.

Special tokens (`<|im_end|>`, `[SEP]`) written in a text are plain text unless `special=True`: a person who types one
must not be able to end their own turn. Chats are encoded by `models.template.encode_chat`, which keeps to that.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from ikkan.ground.errors import HostileFile, NotFound, UnsupportedFormat
from ikkan.models.gguf import GgufFile
from ikkan.models.safetensors import MAX_JSON_BYTES, read_json

END_TEXTS: Final = frozenset(
    {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>", "<|end|>", "</s>", "<eos>"}
)
"""Control tokens that end an answer whatever the metadata says: several models name only one of theirs."""

TAGS: Final = frozenset({"<think>", "</think>", "<tool_call>", "</tool_call>"})
"""What a model writes for us to read: text of its answer, also where the model's makers call these control tokens."""

MAX_TOKENS: Final = 2**22
MAX_TOKEN_CHARS: Final = 4096

_GPT2: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_QWEN2: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "gpt-2": (_GPT2,), "olmo": (_GPT2,), "phi-2": (_GPT2,), "mpt": (_GPT2,), "jais": (_GPT2,),
        "smollm": (r"\p{N}", _GPT2), "starcoder": (r"\p{N}", _GPT2), "refact": (r"\p{N}", _GPT2),
        "command-r": (r"\p{N}", _GPT2), "exaone": (r"\p{N}", _GPT2), "codeshell": (r"\p{N}", _GPT2),
        "qwen2": (_QWEN2,), "deepseek-r1-qwen": (_QWEN2,), "stablelm2": (_QWEN2,), "hunyuan": (_QWEN2,),
        "llama-bpe": (_LLAMA3,), "llama3": (_LLAMA3,), "llama-v3": (_LLAMA3,), "smaug-bpe": (_LLAMA3,),
        "default": (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"),
    }
)  # fmt: skip
"""GGUF's `tokenizer.ggml.pre`: where a text is cut before merging. The same cuts as llama.cpp makes for these names."""
_WHOLE_WORDS_FIRST: Final = frozenset({"llama-bpe", "llama3", "llama-v3"})
_COMPOSED: Final = frozenset({"qwen2", "deepseek-r1-qwen"})

_CONTROL, _USER_DEFINED = 3, 4
_BYTE_TOKEN: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _gpt2_bytes() -> dict[str, int]:
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in plain}
    others = (byte for byte in range(256) if byte not in set(plain))
    return table | {chr(0x100 + n): byte for n, byte in enumerate(others)}


_BYTES: Final[Mapping[str, int]] = MappingProxyType(_gpt2_bytes())
"""The letter that stands for each byte in a byte-level vocabulary (GPT-2's table)."""


class Tokenizer:
    """Text to ids and back. Safe to use from several threads.

    Begin with `from_gguf` or `from_folder`; `models.checkpoint.open_checkpoint(path).tokenizer` picks the right one.
    """

    def __init__(
        self,
        inner: tokenizers.Tokenizer,
        *,
        bos_id: int | None,
        eos_ids: Iterable[int],
        adds_bos: bool = False,
    ) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        inner.no_truncation()
        inner.no_padding()
        # Whether control tokens are read is a switch on the library's object, so whoever encodes holds the lock.
        inner.encode_special_tokens = True
        self._added = inner.get_added_tokens_decoder()
        self._special_ids = frozenset(
            number for number, token in self._added.items() if token.special and token.content not in TAGS
        )
        self.special_texts: frozenset[str] = frozenset(self._added[number].content for number in self._special_ids)
        """What may not be smuggled into a conversation: the spelling of every control token."""
        self.bos_id = bos_id
        """The token a text begins with, if the vocabulary has one."""
        self.adds_bos = adds_bos
        """Whether the model expects `bos_id` in front of a bare text (a chat template writes its own)."""
        known = (number for number in self._special_ids if self._added[number].content in END_TEXTS)
        self.eos_ids: frozenset[int] = frozenset({*eos_ids, *known})
        """Any of these ends an answer."""
        vocabulary = inner.get_vocab(with_added_tokens=True)
        self.vocab_size: int = max(vocabulary.values(), default=-1) + 1
        """One more than the highest id; at most the rows of the model's embedding."""
        self._spelling = _spelling(inner)
        letter_bytes = 1 if self._spelling == "bytes" else 4
        self.longest_token_bytes: int = max(map(len, vocabulary), default=1) * letter_bytes
        """No token stands for more of a text than this: a longer text has more tokens."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text. Bytes for which the vocabulary has no token at all are left out, as the library does.

        Args:
            special: read control tokens written in the text as such, and add those the model puts around a text
                (`[CLS]` ... `[SEP]`, or `bos` unless the text already has it). Never for text a person typed,
                except for an encoder, which has no turns to break out of.

        >>> tokenizer, text = example_tokenizer(), "hi<|im_end|>"
        >>> tokenizer.encode(text) == [*text.encode()], tokenizer.encode(text, special=True)
        (True, [104, 105, 256])
        """
        clean = _clean(text)
        with self._lock:
            if not special:
                return list(self._inner.encode(clean, add_special_tokens=False).ids)
            self._inner.encode_special_tokens = False
            try:
                ids = list(self._inner.encode(clean, add_special_tokens=True).ids)
            finally:
                self._inner.encode_special_tokens = True
        if self.bos_id is not None:
            if ids[:2] == [self.bos_id, self.bos_id]:
                return ids[1:]
            if self.adds_bos and ids[:1] != [self.bos_id]:
                return [self.bos_id, *ids]
        return ids

    def plain_encoder(self) -> Callable[[str], list[int]]:
        """`encode` by a copy of its own, for a thread that must not wait while another reads a long text."""
        inner = tokenizers.Tokenizer.from_str(self._inner.to_str())
        inner.encode_special_tokens = True
        return lambda text: list(inner.encode(_clean(text), add_special_tokens=False).ids)

    def encode_for_embedding(self, text: str, limit: int) -> list[int]:
        """The ids an encoder reads: cut to `limit`, special tokens included, and none of them from the text itself."""
        assert limit > self._inner.num_special_tokens_to_add(False), "no room for a single token"
        with self._lock:
            encoding = self._inner.encode(_clean(text), add_special_tokens=False)
        encoding.truncate(limit - self._inner.num_special_tokens_to_add(False))
        return list(self._inner.post_process(encoding, add_special_tokens=True).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these ids, control tokens left out; bytes that are no whole character become U+FFFD."""
        if self._spelling == "bytes":  # our own bytes, so that streaming and decoding cannot disagree
            return b"".join(map(self.bytes_of, ids)).decode("utf-8", "replace")
        return str(self._inner.decode(list(ids), skip_special_tokens=True))

    def bytes_of(self, token_id: int) -> bytes:
        """What one token adds to the text: perhaps only part of a character; nothing for a control token or a gap.

        >>> example_tokenizer().bytes_of(104), example_tokenizer().bytes_of(256)
        (b'h', b'')
        """
        if token_id in self._special_ids:
            return b""
        if token_id in self._added:
            return self._added[token_id].content.encode()
        spelled = self._inner.id_to_token(token_id) if 0 <= token_id < self.vocab_size else None
        if spelled is None:
            return b""
        if self._spelling == "bytes":
            return b"".join(bytes((_BYTES[letter],)) if letter in _BYTES else letter.encode() for letter in spelled)
        if self._spelling == "spaces":
            byte = _BYTE_TOKEN.fullmatch(spelled)
            return bytes((int(byte[1], 16),)) if byte else spelled.replace("\u2581", " ").encode()
        return spelled[2:].encode() if spelled.startswith("##") else b" " + spelled.encode()

    def spelling_of(self, token_id: int) -> str:
        """How the vocabulary writes a token, control tokens included: for log-probabilities, and people who debug."""
        if token_id in self._added:
            return str(self._added[token_id].content)
        return self.bytes_of(token_id).decode("utf-8", "replace")

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids of all control tokens."""
        return self._special_ids

    def id_of(self, token: str) -> int | None:
        """The id of a token by the vocabulary's own spelling."""
        found: int | None = self._inner.token_to_id(token)
        return found

    @classmethod
    def from_gguf(cls, file: GgufFile) -> Tokenizer:
        """The tokenizer in a GGUF file's metadata.

        Raises:
            UnsupportedFormat: not a byte-level BPE, or cut by rules that are not known here.
            HostileFile: tokens, types and merges contradict each other.
        """
        kind, name = file.text("tokenizer.ggml.model", "none"), file.path.name
        if kind != "gpt2":
            raise UnsupportedFormat(
                f"{name} has a tokenizer of kind {kind!r}; byte-level BPE ('gpt2') is read",
                hint="use the model's Hugging Face folder with its tokenizer.json instead",
                file=name,
            )
        pre = file.text("tokenizer.ggml.pre", "default")
        if pre not in _SPLITS:
            raise UnsupportedFormat(
                f"{name} cuts text by rules named {pre!r}; known here: {', '.join(sorted(_SPLITS))}",
                hint="use the model's Hugging Face folder with its tokenizer.json instead",
                file=name,
            )
        tokens, types = file.texts("tokenizer.ggml.tokens"), file.integers("tokenizer.ggml.token_type")
        if not tokens or len(tokens) > MAX_TOKENS or (types and len(types) != len(tokens)):
            raise HostileFile(f"{name} has {len(tokens):,} tokens of {len(types):,} types", file=name)
        if max(map(len, tokens)) > MAX_TOKEN_CHARS:
            raise HostileFile(f"{name} has a token longer than {MAX_TOKEN_CHARS} characters", file=name)
        vocabulary = {token: number for number, token in enumerate(tokens)}
        if len(vocabulary) != len(tokens):
            raise HostileFile(f"{name} has a token twice", file=name)

        inner = tokenizers.Tokenizer(
            models.BPE(
                vocab=vocabulary,
                merges=_merges(name, file.texts("tokenizer.ggml.merges"), vocabulary),
                ignore_merges=pre in _WHOLE_WORDS_FIRST,
            )
        )
        if pre in _COMPOSED:
            inner.normalizer = normalizers.NFC()
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [
                *(pre_tokenizers.Split(Regex(cut), behavior="isolated") for cut in _SPLITS[pre]),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        inner.decoder = decoders.ByteLevel()
        added = [
            AddedToken(token, special=kind == _CONTROL, normalized=False)
            for token, kind in zip(tokens, types, strict=False)
            if kind in (_CONTROL, _USER_DEFINED) and token
        ]
        inner.add_tokens(added)

        def known(key: str) -> int | None:
            number = file.integer(f"tokenizer.ggml.{key}", -1)
            return number if 0 <= number < len(tokens) else None

        ends = {number for key in ("eos_token_id", "eot_token_id", "eom_token_id") for number in _numbers(known(key))}
        adds_bos = file.flag("tokenizer.ggml.add_bos_token", pre in _WHOLE_WORDS_FIRST)
        return cls(inner, bos_id=known("bos_token_id"), eos_ids=ends, adds_bos=adds_bos)

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """The tokenizer in a Hugging Face folder: `tokenizer.json`, and the ends its other JSON files name.

        Raises:
            NotFound: there is no `tokenizer.json`.
            HostileFile: it cannot be read, or the files name tokens that do not exist.
        """
        path = folder / "tokenizer.json"
        if not path.exists():
            raise NotFound(
                f"{folder.name} has no tokenizer.json", hint="pull the model again, whole", file="tokenizer.json"
            )
        if path.stat().st_size > MAX_JSON_BYTES:
            raise HostileFile("tokenizer.json is larger than any vocabulary", file="tokenizer.json")
        try:
            inner = tokenizers.Tokenizer.from_buffer(path.read_bytes())
        except Exception as exc:  # the library raises bare Exception
            raise HostileFile(
                f"tokenizer.json cannot be read: {str(exc)[:200]}", hint="get the model again", file="tokenizer.json"
            ) from exc
        configs = [
            read_json(folder / name)
            for name in ("config.json", "generation_config.json", "tokenizer_config.json")
            if (folder / name).exists()
        ]

        def named(end: str) -> list[int]:
            by_id = (number for config in configs for number in _numbers(config.get(f"{end}_token_id")))
            by_text = (inner.token_to_id(_text(config.get(f"{end}_token"))) for config in configs)
            known = (number for number in by_id if inner.id_to_token(number) is not None)
            return [*known, *(number for number in by_text if number is not None)]

        begins = named("bos")
        return cls(inner, bos_id=begins[-1] if begins else None, eos_ids=named("eos"))


def _clean(text: str) -> str:
    """Without lone surrogates, which no tokenizer can write: JSON may carry them."""
    return text.encode("utf-8", "replace").decode("utf-8") if any("\ud800" <= one <= "\udfff" for one in text) else text


def _merges(name: str, merges: Sequence[str], vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for merge in merges:
        left, found, right = merge.partition(" ")
        if not found or left not in vocabulary or right not in vocabulary or left + right not in vocabulary:
            raise HostileFile(f"{name} merges tokens it does not have: {merge[:40]!r}", file=name)
        pairs.append((left, right))
    return pairs


def _numbers(value: Any) -> tuple[int, ...]:
    many = value if isinstance(value, list) else [value]
    return tuple(one for one in many if isinstance(one, int) and not isinstance(one, bool) and one >= 0)


def _text(token: Any) -> str:
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""


def _spelling(inner: tokenizers.Tokenizer) -> Literal["bytes", "spaces", "pieces"]:
    shape = json.loads(inner.decoder.__getstate__()) if inner.decoder is not None else {}
    kinds = {shape.get("type"), *(one.get("type") for one in shape.get("decoders", []))}
    if "ByteLevel" in kinds:
        return "bytes"
    return "pieces" if "WordPiece" in kinds else "spaces"


def example_tokenizer() -> Tokenizer:
    """A tokenizer of 256 bytes and one control token, `<|im_end|>`: enough for examples and fakes.

    >>> example_tokenizer().decode([227, 129, 130, 256])
    'あ'
    """
    by_byte = {byte: letter for letter, byte in _BYTES.items()}
    inner = tokenizers.Tokenizer(models.BPE(vocab={by_byte[byte]: byte for byte in range(256)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<|im_end|>"])
    return Tokenizer(inner, bos_id=None, eos_ids=())
