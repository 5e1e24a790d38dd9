"""Texts become the ids that the `tokenizers` library and the model's makers say, and come back whole."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Theirs

from ikkan.ground.errors import BadFile, HostileFile, UnsupportedFormat
from ikkan.models import gguf
from ikkan.models.checkpoint import Checkpoint, open_checkpoint
from ikkan.models.tokenizer import Tokenizer, example_tokenizer

from .conftest import ALPHABET, SPECIAL, tiny_gguf, tiny_tokenizer

Written = Callable[..., Path]

TEXTS = [
    "Hello, world! It's 2026-06-01, isn't it?",
    "don't DON'T we'LL I'm",
    "  leading and   many   spaces   ",
    "",
    " ",
    "\n",
    "日本語の文章です。カタカナ、ひらがな、漢字が混ざります。",
    "東京都千代田区１−１　全角　空白",
    "你好，世界！今天是2026年。",
    "안녕하세요, 세계!",
    "def f(x: int) -> int:\n    return x ** 2  # ok\n\n\n\tif (a && b) { c[0] += 1; }",
    '<html><body class="x">&amp;</body></html>',
    "🙂👨‍👩‍👧‍👦🇯🇵 naïve café ﬁ",
    "e\u0301 は\u3099 Å",
    "12345678901234 3.14159 1,000,000",
    "١٢٣ Ⅷ ½ x²",
    "\r\n\r\n x \n",
    "a\u00a0b\u3000c\u200bd\ufeff",
    "\x00\x01\x7f",
    "𝒳𝔘 𠮷野家",
    "The quick brown fox が 42 回 jumped 飛んだ 🙂 over `code()`.",
]


def smollm_twin(tokens: list[str], merges: list[str]) -> Theirs:
    """SmolLM2's tokenizer.json by its own recipe: digits apart, then the library's byte-level cutting."""
    vocab = {token: number for number, token in enumerate(tokens)}
    twin = Theirs(models.BPE(vocab=vocab, merges=[tuple(merge.split(" ")) for merge in merges]))
    twin.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    twin.decoder = decoders.ByteLevel()
    return twin


@pytest.fixture(scope="session")
def twin(smollm_path: Path) -> Theirs:
    with gguf.read(smollm_path) as file:
        return smollm_twin(list(file.texts("tokenizer.ggml.tokens")), list(file.texts("tokenizer.ggml.merges")))


@pytest.mark.weights
@pytest.mark.parametrize("text", TEXTS)
def test_the_default_model_reads_text_as_its_makers_do(text: str, smollm: Checkpoint, twin: Theirs) -> None:
    ids = smollm.tokenizer.encode(text)
    assert ids == twin.encode(text, add_special_tokens=False).ids
    assert smollm.tokenizer.decode(ids) == twin.decode(ids) == text


@pytest.mark.weights
@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"], max_codepoint=0x3FFFF), max_size=80))
def test_any_assigned_text_comes_back(text: str, smollm: Checkpoint, twin: Theirs) -> None:
    # This vocabulary has no tokens for some control characters and for the bytes that begin planes 4 to 16: its makers'
    # tokenizer drops them, and so do we.
    ids = smollm.tokenizer.encode(text)
    assert ids == twin.encode(text, add_special_tokens=False).ids
    assert smollm.tokenizer.decode(ids) == text
    assert b"".join(map(smollm.tokenizer.bytes_of, ids)).decode() == text


@pytest.mark.weights
def test_the_default_model_stops_at_either_of_its_ends(smollm: Checkpoint) -> None:
    tokenizer = smollm.tokenizer
    assert {tokenizer.spelling_of(number) for number in tokenizer.eos_ids} == {"<|im_end|>", "<|endoftext|>"}
    assert (tokenizer.bos_id, tokenizer.adds_bos, tokenizer.vocab_size) == (1, False, 49152)


@pytest.mark.weights
@pytest.mark.parametrize("text", TEXTS)
def test_the_default_embedder_reads_text_as_its_makers_do(text: str, minilm_path: Path) -> None:
    theirs = Theirs.from_file(str(minilm_path / "tokenizer.json"))
    theirs.no_truncation()
    theirs.no_padding()
    ours = Tokenizer.from_folder(minilm_path)
    assert ours.encode(text, special=True) == theirs.encode(text).ids
    assert ours.encode_for_embedding(text, 512) == theirs.encode(text).ids
    assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text).ids)


@pytest.mark.weights
def test_a_long_text_is_cut_between_its_brackets(minilm_path: Path) -> None:
    ids = Tokenizer.from_folder(minilm_path).encode_for_embedding("word " * 1000, 16)
    assert (len(ids), ids[0], ids[-1]) == (16, 101, 102)


# --- the cuts of other families, against the library's own definitions ------------------------------------------------


def trained(pre_tokenizer: Any, normalizer: Any = None) -> Theirs:
    """A small vocabulary learned from the texts above."""
    theirs = Theirs(models.BPE())
    theirs.normalizer = normalizer
    theirs.pre_tokenizer = pre_tokenizer
    theirs.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=ALPHABET, special_tokens=SPECIAL, show_progress=False
    )
    theirs.train_from_iterator(TEXTS * 3, trainer)
    theirs.encode_special_tokens = True
    return theirs


def as_gguf(theirs: Theirs, pre: str) -> bytes:
    shape = json.loads(theirs.to_str())["model"]
    tokens = sorted(shape["vocab"], key=shape["vocab"].__getitem__)
    merges = [" ".join(merge) for merge in shape["merges"]]
    types = [3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL))
    entries = {
        "general.architecture": ("string", "llama"),
        "tokenizer.ggml.model": ("string", "gpt2"),
        "tokenizer.ggml.pre": ("string", pre),
        "tokenizer.ggml.tokens": ("[string]", tokens),
        "tokenizer.ggml.token_type": ("[int32]", types),
        "tokenizer.ggml.merges": ("[string]", merges),
        "tokenizer.ggml.add_bos_token": ("bool", False),
    }
    made = tiny_gguf()
    made.entries = entries
    return made.content()


def _byte_level(*before: Any, use_regex: bool = False) -> Any:
    return pre_tokenizers.Sequence([*before, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)])


def _qwen2() -> Theirs:
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    return trained(_byte_level(pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated")), normalizers.NFC())


def _llama3() -> Theirs:
    import inspect

    from transformers.convert_slow_tokenizer import TikTokenConverter

    pattern = inspect.signature(TikTokenConverter.__init__).parameters["pattern"].default
    return trained(_byte_level(pre_tokenizers.Split(Regex(pattern), "isolated")))


RECIPES: dict[str, Callable[[], Theirs]] = {
    "gpt-2": lambda: trained(_byte_level(use_regex=True)),
    "smollm": lambda: trained(_byte_level(pre_tokenizers.Digits(individual_digits=True), use_regex=True)),
    "qwen2": _qwen2,
    "llama-bpe": _llama3,
}


@pytest.mark.parametrize("pre", RECIPES)
def test_a_gguf_vocabulary_reads_text_as_the_library_does(pre: str, written: Written) -> None:
    theirs = RECIPES[pre]()
    with gguf.read(written(as_gguf(theirs, pre))) as file:
        ours = Tokenizer.from_gguf(file)
    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids, text
        assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text).ids)


# --- control tokens ---------------------------------------------------------------------------------------------------


@pytest.fixture
def tokenizer(written: Written) -> Tokenizer:
    with open_checkpoint(written(tiny_gguf().content())) as checkpoint:
        return checkpoint.tokenizer


@pytest.mark.parametrize("token", SPECIAL)
def test_a_control_token_in_a_text_is_only_text_unless_asked_for(token: str, tokenizer: Tokenizer) -> None:
    text = f"hello {token} all"
    plain, special = tokenizer.encode(text), tokenizer.encode(text, special=True)
    assert not tokenizer.special_ids & set(plain)
    assert tokenizer.decode(plain) == text
    assert tokenizer.id_of(token) in special
    assert tokenizer.decode(special) == "hello  all"


def test_control_tokens_add_nothing_to_the_text_but_have_a_spelling(tokenizer: Tokenizer) -> None:
    for token in SPECIAL:
        number = tokenizer.id_of(token)
        assert number is not None
        assert (tokenizer.bytes_of(number), tokenizer.spelling_of(number)) == (b"", token)
    assert tokenizer.special_texts == frozenset(SPECIAL)


@pytest.mark.parametrize("number", [-1, 10**9, 2**40])
def test_ids_outside_the_vocabulary_add_nothing(number: int, tokenizer: Tokenizer) -> None:
    assert tokenizer.bytes_of(number) == b""


def test_half_a_character_is_shown_as_such_and_streams_byte_by_byte(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("あ")
    assert [tokenizer.bytes_of(one) for one in ids] == [b"\xe3", b"\x81", b"\x82"]
    assert tokenizer.decode(ids[:2]) == "\ufffd"


def test_half_a_surrogate_pair_is_not_a_crash(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a\ud83db")) == "a?b"


def test_plain_and_special_readers_may_share_a_tokenizer(tokenizer: Tokenizer) -> None:
    text, wrong = "hello<|im_end|>" * 20, []
    expected = {special: tokenizer.encode(text, special=special) for special in (False, True)}

    def read(special: bool) -> None:
        for _ in range(200):
            wrong.extend([1] * (tokenizer.encode(text, special=special) != expected[special]))

    threads = [threading.Thread(target=read, args=(special,)) for special in (False, True, False, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_model_that_wants_a_beginning_gets_exactly_one(written: Written) -> None:
    made = tiny_gguf(**{"tokenizer.ggml.add_bos_token": ("bool", True)})
    with open_checkpoint(written(made.content())) as checkpoint:
        tokenizer = checkpoint.tokenizer
        assert tokenizer.encode("hello", special=True)[0] == tokenizer.bos_id
        assert tokenizer.encode("<|im_start|>hello", special=True).count(tokenizer.bos_id or -1) == 1
        assert tokenizer.bos_id not in tokenizer.encode("hello")


@pytest.mark.parametrize(
    "configs",
    [
        {"config.json": {"eos_token_id": 258}},
        {"generation_config.json": {"eos_token_id": [258, 99999]}},
        {"tokenizer_config.json": {"eos_token": {"content": "<|im_start|>"}}},
        {"config.json": {"eos_token_id": "x", "bos_token_id": -3}, "tokenizer_config.json": {"eos_token": 4}},
    ],
    ids=str,
)
def test_ends_are_found_in_whichever_file_names_them(configs: dict[str, Any], tmp_path: Path) -> None:
    tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
    for name, content in configs.items():
        (tmp_path / name).write_text(json.dumps(content))
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert {258, 260} <= tokenizer.eos_ids <= {258, 259, 260}


# --- files that lie ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"tokenizer.ggml.model": ("string", "llama")}, UnsupportedFormat),
        ({"tokenizer.ggml.model": ("uint32", 2)}, HostileFile),
        ({"tokenizer.ggml.model": None}, UnsupportedFormat),
        ({"tokenizer.ggml.pre": ("string", "of tomorrow")}, UnsupportedFormat),
        ({"tokenizer.ggml.tokens": None}, HostileFile),
        ({"tokenizer.ggml.tokens": ("[string]", ["a", "a"]), "tokenizer.ggml.token_type": None}, HostileFile),
        ({"tokenizer.ggml.tokens": ("[string]", ["a" * 9999]), "tokenizer.ggml.token_type": None}, HostileFile),
        ({"tokenizer.ggml.token_type": ("[int32]", [1])}, HostileFile),
        ({"tokenizer.ggml.token_type": ("[string]", ["1"])}, HostileFile),
        ({"tokenizer.ggml.merges": ("[string]", ["nonsense"])}, HostileFile),
        ({"tokenizer.ggml.merges": ("[string]", ["h ello"])}, HostileFile),
        ({"tokenizer.ggml.merges": ("[string]", ["h h"])}, HostileFile),
        ({"tokenizer.ggml.eos_token_id": ("string", "2")}, HostileFile),
        ({"tokenizer.ggml.add_bos_token": ("uint32", 1)}, HostileFile),
    ],
    ids=lambda value: str(value)[:70],
)
def test_a_vocabulary_that_contradicts_itself_is_refused(
    changes: dict[str, Any], error: type[BadFile], written: Written
) -> None:
    with open_checkpoint(written(tiny_gguf(**changes).content())) as checkpoint, pytest.raises(error):
        _ = checkpoint.tokenizer


def test_end_tokens_outside_the_vocabulary_are_ignored(written: Written) -> None:
    made = tiny_gguf(**{"tokenizer.ggml.eos_token_id": ("uint32", 4_000_000_000)})
    with open_checkpoint(written(made.content())) as checkpoint:
        assert checkpoint.tokenizer.eos_ids == {258, 260}


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"model": {"type": "BPE"}}', "[" * 100_000], ids=lambda text: text[:20]
)
def test_a_damaged_tokenizer_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(HostileFile):
        Tokenizer.from_folder(tmp_path)


def test_a_vocabulary_with_spaces_for_words_streams_its_bytes(tmp_path: Path) -> None:
    vocab = {"<unk>": 0, "\u2581he": 1, "llo": 2, "<0xE3>": 3}
    theirs = Theirs(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    theirs.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    theirs.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert b"".join(map(tokenizer.bytes_of, [1, 2, 3])) == b" hello\xe3"


def test_the_example_tokenizer_knows_every_byte() -> None:
    tokenizer = example_tokenizer()
    assert [tokenizer.bytes_of(number) for number in range(256)] == [bytes((number,)) for number in range(256)]
