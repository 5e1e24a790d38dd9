"""What an answer may look like: a request's rules, compiled against the model's vocabulary.

A `Rules` value is a grammar as it was written; `Grammars` compiles it once and hands out a `Constraint` for each
answer. The work is done by `llguidance`. Here are its bounds: how large a grammar may be, how much of it a step may
walk, and that a grammar which has no end, or no answer at all, is refused before anybody waits for it.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import llguidance
import numpy as np
from numpy.typing import NDArray

from ikkan.engine import lark, schemas
from ikkan.engine.limits import LIMITS, MAX_TEXT_CHARS, refused, said
from ikkan.ground.errors import BadInput
from ikkan.models.tokenizer import Tokenizer

MAX_RULES_BYTES: Final = 1 << 20
"""Of all parts of a grammar together."""
MAX_CHOICES: Final = 10_000
MAX_KEPT: Final = 64
"""Compiled grammars that are kept for the next request."""
MAX_FORCED: Final = 4_096
"""Tokens in a row with nothing to choose."""


@dataclass(frozen=True, slots=True)
class Rules:
    """A grammar before it is compiled.

    >>> one_of(["yes", "no"], "guided_choice").start
    'start: "yes" | "no"\\n'
    """

    start: str
    """In llguidance's dialect of Lark; it may refer to `parts` as `@name`."""
    param: str
    """The field of the request that asked for it."""
    parts: tuple[tuple[str, str], ...] = ()
    """Name and content, a schema in JSON or another grammar in Lark; a schema begins with `{`, `t` or `f`."""

    def text(self) -> str:
        """All of it, as the compiler reads it."""
        parts = [{"name": "main", "lark_grammar": self.start}]
        for name, content in self.parts:
            kind = "json_schema" if content[:1] in ("{", "t", "f") else "lark_grammar"
            parts.append({"name": name, kind: json.loads(content) if kind == "json_schema" else content})
        return json.dumps({"grammars": parts}, ensure_ascii=False)


def any_object(param: str) -> Rules:
    """One JSON object, whatever is in it."""
    return json_schema({"type": "object"}, param)


def json_schema(schema: Any, param: str) -> Rules:
    """One JSON value that this schema accepts, on one line.

    Raises:
        BadGrammar: a part of the schema cannot be honoured; `facts["pointer"]` says which.
    """
    return Rules("start: @schema\n", param, (("schema", schemas.examined(schema, param)),))


def matching(expression: str, param: str) -> Rules:
    """A text that the whole of this regular expression matches.

    Raises:
        BadGrammar: it is empty or too long.
    """
    _check_size(expression, param)
    whole = expression.removeprefix("^")
    if whole.endswith("$") and (len(whole) - len(whole[:-1].rstrip("\\"))) % 2:
        whole = whole[:-1]  # the whole text is meant in any case
    if not whole:
        raise refused(param, "an empty expression has only the empty answer")
    written = json.loads(llguidance.LLMatcher.grammar_from_regex(whole))  # which knows how to quote it
    return Rules(str(written["grammars"][0]["lark_grammar"]) + "\n", param)


def one_of(choices: Sequence[str], param: str) -> Rules:
    """One of these texts.

    Raises:
        BadGrammar: there is none, one is empty, or there are too many.
    """
    if not choices or not all(choices):
        raise refused(param, "at least one text, and none of them empty")
    if len(choices) > MAX_CHOICES:
        raise refused(param, f"at most {MAX_CHOICES:,} texts")
    return Rules("start: " + " | ".join(quoted(one) for one in dict.fromkeys(choices)) + "\n", param)


def grammar_of(text: str, param: str) -> Rules:
    """A text that this Lark grammar accepts.

    Raises:
        BadGrammar: it is too long, or no text it begins can ever end.
    """
    _check_size(text, param)
    if endless := lark.endless(text):
        raise refused(param, f"no text of the rule `{endless}` ever ends", hint="give it an alternative without itself")
    return Rules("start: @user\n", param, (("user", "\n" + _with_examined_schemas(text, param)),))


_LARK_SCHEMA: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|/(?:[^/\\\n]|\\.)+/|//[^\n]*|\#[^\n]*|%json\s*')


def _with_examined_schemas(text: str, param: str) -> str:
    """A Lark grammar whose schemas are bounded as all others are.

    >>> _with_examined_schemas('start: "a" %json {"type": "null", "title": "T"} "."', "g")
    'start: "a" %json {"type": "null", "x-guidance": {...}} "."'
    """
    written: list[str] = []
    at = 0
    while found := _LARK_SCHEMA.search(text, at):
        written.append(text[at : found.end()])
        at = found.end()
        if not found[0].startswith("%json"):
            if "%json" in found[0]:
                # Should the compiler see a schema where we see a literal, nobody would have looked at it.
                raise refused(param, "`%json` stands for a schema; write it in a literal as `%` and `json`")
            continue
        try:
            schema, at = json.JSONDecoder().raw_decode(text, at)
        except (ValueError, RecursionError) as exc:
            raise refused(param, "`%json` is followed by a schema in JSON") from exc
        written.append(schemas.examined(schema, param))
    return "".join(written) + text[at:]


def quoted(text: str) -> str:
    """A text as a literal in Lark."""
    return json.dumps(text, ensure_ascii=False)


class Grammars:
    """Compiles rules for one model, and keeps what it compiled. Safe to use from several threads.

    Args:
        tokenizer: the model's.
        vocab: rows of the model's scores, perhaps more than the tokenizer has tokens.

    >>> from ikkan.models.tokenizer import example_tokenizer
    >>> grammars = Grammars(example_tokenizer(), 260)
    >>> constraint = grammars.compile(one_of(["yes", "no"], "guided_choice")).begin()
    >>> constraint.accept(ord("y"))
    >>> bytes(constraint.forced()), constraint.ended()
    (b'es', False)
    """

    def __init__(self, tokenizer: Tokenizer, vocab: int) -> None:
        self._tokenizer = tokenizer
        self._vocab = vocab
        self._kept: OrderedDict[bytes, llguidance.LLMatcher] = OrderedDict()
        self._lock = threading.Lock()
        self._building = threading.Lock()
        self._words: llguidance.LLTokenizer | None = None

    def compile(self, rules: Rules) -> Compiled:
        """The rules, ready for any number of answers.

        Raises:
            BadGrammar: the rules cannot be compiled, no answer follows them, or none that does ever ends.
            BadInput: this model has no token to end an answer with.
        """
        text = rules.text()
        if len(text) > MAX_RULES_BYTES:
            raise refused(rules.param, f"all of it together is larger than {MAX_RULES_BYTES >> 10} KiB")
        key = hashlib.sha256(text.encode()).digest()
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
        if known is None:
            known = self._compiled(text, rules.param)
            with self._lock:
                self._kept[key] = known
                while len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
        return Compiled(known, self._vocab, rules.param)

    def _compiled(self, text: str, param: str) -> llguidance.LLMatcher:
        matcher = llguidance.LLMatcher(self._vocabulary(), text, log_level=0, limits=LIMITS)
        if matcher.is_error():
            raise refused(param, said(matcher.get_error()))
        # The first steps are walked here, in a thread that may take its time, so that what explodes does so now.
        first = Constrained(matcher.deep_copy(), self._vocab, param)
        forced = first.forced()
        for token_id in forced:
            first.accept(token_id)
        if not first.ended() and not first.allowed().any():
            raise refused(param, "no answer can follow it to an end")
        return matcher

    def _vocabulary(self) -> llguidance.LLTokenizer:
        with self._building:
            if self._words is None:
                ends = sorted(self._tokenizer.eos_ids)
                if not ends:
                    raise BadInput("this model has no token that ends an answer, so none can be given a shape")
                wrapped = llguidance.TokenizerWrapper(_Words(self._tokenizer, self._vocab, ends[0]))
                self._words = llguidance.LLTokenizer(wrapped, n_vocab=self._vocab, eos_token=ends)
            return self._words


@dataclass(frozen=True, slots=True)
class Compiled:
    """Rules, ready for any number of answers."""

    matcher: llguidance.LLMatcher
    vocab: int
    param: str

    def begin(self) -> Constrained:
        """The rules before an answer's first token."""
        return Constrained(self.matcher.deep_copy(), self.vocab, self.param)


class Constrained:
    """A `Constraint`: one answer's way through a grammar."""

    def __init__(self, matcher: llguidance.LLMatcher, vocab: int, param: str) -> None:
        self._matcher = matcher
        self._param = param
        self._mask = np.zeros((vocab + 31) // 32, dtype=np.uint32)

    def allowed(self) -> NDArray[np.uint32]:
        """See `Constraint.allowed`. The next call writes into the same array."""
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        self._check()
        return self._mask

    def accept(self, token_id: int) -> None:
        """See `Constraint.accept`."""
        if not self._matcher.consume_token(token_id):
            self._check()
            raise refused(self._param, "the answer has left it")

    def forced(self) -> list[int]:
        """See `Constraint.forced`."""
        forced = self._matcher.compute_ff_tokens()
        if len(forced) > MAX_FORCED:
            raise refused(self._param, "what must follow has no end")
        self._check()
        return forced

    def ended(self) -> bool:
        """See `Constraint.ended`."""
        return bool(self._matcher.is_stopped()) and not self._matcher.is_error()

    def _check(self) -> None:
        if self._matcher.is_error():
            why = said(self._matcher.get_error())
            raise refused(self._param, f"it cannot be followed: {why}", hint="make it simpler")


class _Words:
    """The vocabulary as `llguidance` asks for it."""

    def __init__(self, tokenizer: Tokenizer, vocab: int, end: int) -> None:
        special = tokenizer.special_ids
        self.eos_token_id = end
        self.bos_token_id = tokenizer.bos_id
        self.special_token_ids = sorted(special)
        self.tokens = [
            tokenizer.spelling_of(number).encode() if number in special else tokenizer.bytes_of(number)
            for number in range(vocab)
        ]
        self._encode: Callable[[str], list[int]] = tokenizer.plain_encoder()

    def __call__(self, text: bytes | str) -> list[int]:
        return self._encode(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)


def _check_size(text: str, param: str) -> None:
    if len(text) > MAX_TEXT_CHARS:
        raise refused(param, f"it has more than {MAX_TEXT_CHARS:,} characters")
