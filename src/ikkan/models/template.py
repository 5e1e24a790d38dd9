"""Chat templates: the small program in a model file that writes a conversation the way the model was taught.

The program is a stranger's. It runs in Jinja's sandbox with less than the sandbox allows: only the filters and methods
that chat templates use, no value above a size, no step after a time. Whatever it does ends in a text or `BadTemplate`.

What a person typed stays text: `encode_chat` lets no control token through that the template itself did not write.
"""

from __future__ import annotations

import functools
import json
import re
import sys
import time
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from contextlib import contextmanager
from types import BuiltinMethodType, FrameType
from typing import Any, Final, Protocol

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ikkan.ground.clock import Clock, SystemClock
from ikkan.ground.errors import BadInput, BadTemplate

MAX_SOURCE_CHARS: Final = 2**17
"""The longest templates of today have 20,000."""
MAX_CHARS: Final = 2**24
"""In one text: the conversation, anything made from it, and the result."""
MAX_NODES: Final = 100_000
"""In one value: lists, dicts and leaves, counted as often as they would be printed."""
MAX_SECONDS: Final = 5.0
"""Of processor time. A rendering takes milliseconds; this much is a loop that does not end."""
MAX_COPIED_CHARS: Final = 2**28
"""Of the template's own words, repeated in loops."""

_GUARDS: Final = [chr(code) for code in range(0xFDD0, 0xFDF0)]
"""Noncharacters: Unicode promises that no text to be read has them."""


class ControlTokens(Protocol):
    """The part of a tokenizer that a conversation needs."""

    @property
    def special_texts(self) -> frozenset[str]: ...

    def encode(self, text: str, *, special: bool = False) -> list[int]: ...

    def id_of(self, token: str) -> int | None: ...


class ChatTemplate:
    """A parsed chat template.

    Args:
        source: the Jinja source as the model file has it.
        bos: what the template may write as `bos_token`.
        eos: what the template may write as `eos_token`.
        clock: what `strftime_now` reads.

    Raises:
        BadTemplate: it cannot be parsed, or uses what no chat template needs.

    >>> template = ChatTemplate("{% for m in messages %}[{{ m.role }}] {{ m.content }}\\n{% endfor %}")
    >>> template.render([{"role": "user", "content": "hello"}])
    '[user] hello\\n'
    """

    def __init__(self, source: str, bos: str = "", eos: str = "", *, clock: Clock | None = None) -> None:
        self.source = source
        self._bos, self._eos = bos, eos
        self._clock = clock or SystemClock()
        if len(source) > MAX_SOURCE_CHARS:
            raise _bad(f"it has {len(source):,} characters; {MAX_SOURCE_CHARS:,} are read")
        self._environment = _Environment(self._strftime_now)
        with _translated():
            tree = self._environment.parse(source)
            _refuse_what_no_template_needs(tree)
            self._template = self._environment.from_string(tree)
        longest = max((_words(output) for output in tree.find_all(nodes.Output)), default=0)
        self._max_steps = max(10_000, MAX_COPIED_CHARS // max(longest, 256))

    def render(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True, **kwargs: Any) -> str:
        """The conversation as the model was taught to read it.

        Args:
            messages: plain data: `role`, `content`, and whatever else this template knows.
            add_generation_prompt: end with the words that make the model answer.
            kwargs: further names for the template, such as `tools`.

        Raises:
            BadTemplate: the template refuses these messages, fails, or does not come to an end.
            BadInput: the conversation is too large or is not plain data.
        """
        names: dict[str, Any] = {
            "bos_token": self._bos,
            "eos_token": self._eos,
            # Templates ask whether these are none; the makers' own library always names them.
            "tools": None,
            "documents": None,
            **{name: _plain(value) for name, value in kwargs.items()},
            "messages": _plain(list(messages)),
            "add_generation_prompt": add_generation_prompt,
        }
        pieces: list[str] = []
        chars = 0
        with _translated(), _bounded_steps(self._max_steps):
            for piece in self._template.generate(names):
                pieces.append(piece)
                chars += len(piece)
                if chars > MAX_CHARS:
                    raise _bad("it writes without end")
        return "".join(pieces)

    def _strftime_now(self, form: str) -> str:
        # Widths and flags are the C library's own, and a width of a billion is a gigabyte.
        if len(form) > 100 or not re.fullmatch(r"(?:[^%]|%-?[A-Za-z%])*", form):
            raise _bad("it asks for the date in a form we do not know")
        return self._clock.now().strftime(form)


def encode_chat(
    tokenizer: ControlTokens,
    template: ChatTemplate,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
    continue_final_message: bool = False,
    **kwargs: Any,
) -> list[int]:
    """The ids of a conversation. Control tokens are those the template wrote; one that a person typed is only text.

    Args:
        continue_final_message: end with the last message's text, without what the template writes after it, so that
            the model goes on with that message.

    Raises:
        BadTemplate: the template refuses these messages, fails, or does not come to an end.
        BadInput: the conversation is too large or is not plain data, or the template changes the message that is to
            be continued.

    >>> from ikkan.models.tokenizer import example_tokenizer
    >>> template = ChatTemplate("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}")
    >>> encode_chat(example_tokenizer(), template, [{"role": "user", "content": "<|im_end|>"}]) == [*b"<|im_end|>", 256]
    True
    """
    guard = _Guard(tokenizer.special_texts, template.source, [_plain(list(messages)), _plain(kwargs)])
    wrapped = guard.wrap(list(messages))
    text = template.render(wrapped, add_generation_prompt and not continue_final_message, **guard.wrap(kwargs))
    if continue_final_message:
        text = _up_to(text, str(wrapped[-1].get("content", "")))
    if not guard.used:
        return tokenizer.encode(text, special=True)
    ids: list[int] = []
    for piece in guard.split(text):
        number = tokenizer.id_of(piece) if piece in tokenizer.special_texts else None
        ids += tokenizer.encode(guard.unwrap(piece)) if number is None else [number]
    lead = tokenizer.encode("", special=True)[:1]
    return ids if ids[:1] == lead else lead + ids


def _up_to(text: str, final: str) -> str:
    """The rendered conversation up to the end of its last message."""
    for end in (final, final.strip()):  # many templates trim
        if end and (at := text.rfind(end)) >= 0:
            return text[: at + len(end)]
    raise BadInput("this model's template changes the last message, so it cannot be continued")


class _Guard:
    """Breaks control tokens in what people typed with a character that is taken out again after rendering."""

    def __init__(self, tokens: frozenset[str], source: str, data: list[Any]) -> None:
        self.used = False
        seen = set(source).union(*map(_letters, data))
        free = [one for one in _GUARDS if one not in seen]
        # Text with all 32 noncharacters in it is an attack on this very line; it loses one of them.
        self._mark = free[0] if free else _GUARDS[0]
        self._tokens, self._starts, self._ends = _dangerous(tokens)

    def wrap(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._wrap_text(value)
        if isinstance(value, Mapping):
            return {self._wrap_text(str(name)): self.wrap(one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.wrap(one) for one in value]
        return value

    def _wrap_text(self, text: str) -> str:
        broken = text
        while self._tokens.search(broken):  # tokens may overlap; what is left after one pass is broken by the next
            broken = self._tokens.sub(self._break, broken)
        if broken.endswith(self._starts):
            broken += self._mark
        if broken.startswith(self._ends):
            broken = self._mark + broken
        self.used = self.used or broken != text
        return broken

    def _break(self, found: re.Match[str]) -> str:
        token = found[0]  # of one letter: it cannot be broken, so it goes
        return token[0] + self._mark + token[1:] if len(token) > 1 else self._mark

    def split(self, rendered: str) -> Iterator[str]:
        at = 0
        for found in self._tokens.finditer(rendered):
            if found.start() > at:
                yield rendered[at : found.start()]
            yield found[0]
            at = found.end()
        if at < len(rendered):
            yield rendered[at:]

    def unwrap(self, piece: str) -> str:
        return piece.replace(self._mark, "")


@functools.lru_cache(maxsize=8)
def _dangerous(tokens: frozenset[str]) -> tuple[re.Pattern[str], tuple[str, ...], tuple[str, ...]]:
    """Control tokens, and their beginnings and ends: one may be put together from two neighbouring texts."""
    longest_first = sorted(filter(None, tokens), key=len, reverse=True)
    starts = {token[:n] for token in longest_first for n in range(1, len(token))}
    ends = {token[n:] for token in longest_first for n in range(1, len(token))}
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)"), tuple(starts), tuple(ends)


def _letters(value: Any) -> set[str]:
    if isinstance(value, str):
        return {one for one in _GUARDS if one in value}
    if isinstance(value, dict):
        return set().union(*map(_letters, [*value, *value.values()]))
    return set().union(*map(_letters, value)) if isinstance(value, list) else set()


# --- the sandbox ------------------------------------------------------------------------------------------------------


class _StepsEnded(BaseException):
    """Raised inside a template that does not end; not an Exception, so that nothing on the way out swallows it."""


class _CodeGenerator(CodeGenerator):
    """Jinja's compiler, except that whatever grows goes through the environment's bounds."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self._through("joined", node, lambda: self._tuple(node.nodes, frame))

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        self._through("bounded", node, lambda: super(_CodeGenerator, self).visit_List(node, frame))

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self._through("bounded", node, lambda: super(_CodeGenerator, self).visit_Dict(node, frame))

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        if node.ctx == "load":
            self._through("bounded", node, lambda: super(_CodeGenerator, self).visit_Tuple(node, frame))
        else:  # the left side of an assignment
            super().visit_Tuple(node, frame)

    def _through(self, method: str, node: nodes.Expr, inner: Callable[[], None]) -> None:
        self.write(f"environment.{method}(")
        inner()
        self.write(")")

    def _tuple(self, parts: list[nodes.Expr], frame: Frame) -> None:
        self.write("(")
        for part in parts:
            self.visit(part, frame)
            self.write(", ")
        self.write(")")


class _Generation(Extension):
    """`{% generation %}` marks what training learns from; for reading it means nothing."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


_METHODS: Final[Mapping[type, frozenset[str]]] = {
    str: frozenset(
        {
            "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith", "replace", "upper",
            "lower", "title", "capitalize", "join", "find", "rfind", "index", "count", "isdigit", "isalpha", "isalnum",
            "isspace", "isupper", "islower", "removeprefix", "removesuffix", "partition", "rpartition",
        }
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"index", "count"}),
    tuple: frozenset({"index", "count"}),
}  # fmt: skip
_FILTERS: Final = (
    "abs", "capitalize", "dictsort", "float", "int", "items", "list", "lower", "map", "max", "min", "reject",
    "rejectattr", "reverse", "select", "selectattr", "sort", "string", "title", "trim", "unique", "upper",
)  # fmt: skip
_UNBOUND_FILTERS: Final = ("length", "count", "first", "last", "default", "d")
"""These neither grow nor look inside their value, and `messages | length` stands in loops."""


class _Environment(ImmutableSandboxedEnvironment):
    code_generator_class = _CodeGenerator
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, strftime_now: Callable[[str], str]) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            optimized=False,
            finalize=self.printed,
            cache_size=0,
        )
        self.globals = {
            "range": self.globals["range"],
            "namespace": self.globals["namespace"],
            "raise_exception": _raise_exception,
            "strftime_now": strftime_now,
        }
        self.filters = {name: self._guarded(FILTERS[name]) for name in _FILTERS}
        self.filters |= {name: FILTERS[name] for name in _UNBOUND_FILTERS}
        self.filters |= {"tojson": self._tojson, "join": self._join, "replace": self._replace, "indent": self._indent}
        self.filters["safe"] = lambda value: value

    # Every value a template can hold went through one of these, so each is at most MAX_NODES and MAX_CHARS large.

    def bounded(self, value: Any) -> Any:
        """The value, if it is plain data of bounded size, printed out; generators become lists."""
        if isinstance(value, str):
            return self._short(value)
        if isinstance(value, (list, tuple, dict)):
            _weigh(value)
        elif isinstance(value, (Iterator, range, KeysView, ItemsView, ValuesView)):
            return self.bounded(list(value))
        elif not isinstance(value, (bool, int, float, type(None), Undefined)):
            raise _bad(f"it uses a {type(value).__name__} as data")
        return value

    def printed(self, value: Any) -> str:
        """What `{{ value }}` writes."""
        return value if isinstance(value, str) else str(self.bounded(value))

    def joined(self, parts: Sequence[Any]) -> str:
        """`a ~ b`."""
        texts = [self.printed(part) for part in parts]
        if sum(map(len, texts)) > MAX_CHARS:
            raise _bad("it makes a text without end")
        return "".join(texts)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = [one for one in (left, right) if isinstance(one, (int, float))]
        if len(numbers) == 2:
            if any(abs(one) >= 2**53 for one in numbers) or (operator == "**" and abs(right) > 64):
                raise _bad("it calculates with absurd numbers")
            if operator == "**" and abs(left) > 2**16:
                raise _bad("it calculates with absurd numbers")
            return super().call_binop(context, operator, left, right)
        if operator == "+" and type(left) is type(right) and isinstance(left, (str, list, tuple)):
            if len(left) + len(right) > MAX_CHARS:
                raise _bad("it makes a text without end")
            return self.bounded(left + right)
        if operator == "*" and len(numbers) == 1:
            times, other = numbers[0], right if numbers[0] is left else left
            if isinstance(other, (str, list)) and isinstance(times, int) and len(other) * times <= MAX_NODES:
                return self.bounded(other * times)
        if operator == "+" and isinstance(left, str) and isinstance(right, Undefined):
            raise jinja2.UndefinedError(f"{right._undefined_name!r} is undefined")
        raise _bad(f"it combines {type(left).__name__} {operator} {type(right).__name__}")

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        for kind, allowed in _METHODS.items():
            if isinstance(obj, kind):
                return attr in allowed
        if isinstance(obj, (bool, int, float)):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute not in _METHODS[dict]:
            # Jinja would find dict's own `copy` or `update` before a field of that name.
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        raise SecurityError(f"it asks for {attribute!r} of a {type(obj).__name__}")

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        return None  # `format` is not among the methods

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(__obj, BuiltinMethodType) and isinstance(__obj.__self__, str):
            text, method = __obj.__self__, __obj.__name__
            if method == "join":
                return __self._join(args[0] if args else [], text)
            if method == "replace":
                return __self._replace(text, *args)
            if method.endswith("strip") and args and len(str(args[0])) > 1024:
                raise _bad("it strips by an absurd set of letters")
            return __self.bounded(super().call(__context, __obj, *args, **kwargs))
        found = super().call(__context, __obj, *args, **kwargs)
        return __self._short(found) if isinstance(found, str) else found

    def _guarded(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)  # carries along what Jinja noted about the first argument
        def guarded(*args: Any, **kwargs: Any) -> Any:
            theirs = (Context, jinja2.Environment, nodes.EvalContext)
            checked = [one if isinstance(one, theirs) else self.bounded(one) for one in args]
            return self.bounded(original(*checked, **{name: self.bounded(one) for name, one in kwargs.items()}))

        return guarded

    def _tojson(self, value: Any, indent: int | None = None, separators: Any = None, sort_keys: bool = False,
                ensure_ascii: bool = False) -> str:  # fmt: skip
        if isinstance(value, Undefined):
            raise jinja2.UndefinedError(f"{value._undefined_name!r} is undefined")
        if not (indent is None or (isinstance(indent, int) and 0 <= indent <= 16)) or len(str(separators)) > 32:
            raise _bad("it writes JSON with absurd spaces")
        text = json.dumps(
            self.bounded(value), ensure_ascii=bool(ensure_ascii), indent=indent, separators=separators,
            sort_keys=bool(sort_keys),
        )  # fmt: skip
        return self._short(text)

    def _join(self, value: Any, d: Any = "", attribute: Any = None) -> str:
        many = self.bounded(value)
        if attribute is not None:
            many = [self.getitem(one, attribute) for one in many]
        texts = [self.printed(one) for one in many]
        between = self.printed(d)
        if sum(map(len, texts)) + len(between) * len(texts) > MAX_CHARS:
            raise _bad("it makes a text without end")
        return between.join(texts)

    def _replace(self, value: Any, old: Any, new: Any, count: Any = None) -> str:
        text, before, after = self.printed(value), self.printed(old), self.printed(new)
        times = text.count(before)
        if len(text) + times * len(after) > MAX_CHARS:
            raise _bad("it makes a text without end")
        return text.replace(before, after, count if isinstance(count, int) else -1)

    def _indent(self, value: Any, width: Any = 4, first: bool = False, blank: bool = False) -> str:
        text = self.printed(value)
        step = width if isinstance(width, str) else " " * min(int(width), 257)
        if len(step) > 256 or len(text) + (text.count("\n") + 1) * len(step) > MAX_CHARS:
            raise _bad("it makes a text without end")
        lines = text.split("\n")
        begin = 0 if first else 1
        return "\n".join([*lines[:begin], *(step + line if line or blank else line for line in lines[begin:])])

    def _short(self, text: str) -> str:
        if len(text) > MAX_CHARS:
            raise _bad("it makes a text without end")
        return text


def _weigh(value: Any) -> None:
    """Refuse what would be too large if printed. Shared parts count each time; recursion is on the heap."""
    count, chars = 0, 0
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, str):
            chars += len(one)
        elif isinstance(one, dict):
            waiting.extend(one)
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)
        elif not isinstance(one, (bool, int, float, type(None), Undefined)):
            raise _bad(f"it uses a {type(one).__name__} as data")
        if count + len(waiting) > MAX_NODES or chars > MAX_CHARS:
            raise _bad("it makes a list without end")


def _plain(value: Any) -> Any:
    """A copy of JSON-like data, so that the template sees nothing with behaviour.

    Raises:
        BadInput: something else is among it, or it is too large.
    """
    left = [MAX_NODES, MAX_CHARS]

    def copy(one: Any, depth: int) -> Any:
        left[0] -= 1
        if isinstance(one, str):
            left[1] -= len(one)
        if left[0] < 0 or left[1] < 0 or depth > 64:
            raise BadInput("the conversation is too large", hint="send fewer or shorter messages")
        if isinstance(one, str):
            return str(one)
        if one is None or isinstance(one, (bool, int, float)):
            return one
        if isinstance(one, Mapping):
            return {str(name): copy(inner, depth + 1) for name, inner in one.items()}
        if isinstance(one, (list, tuple)):
            return [copy(inner, depth + 1) for inner in one]
        raise BadInput(f"a message holds a {type(one).__name__}, not plain data", hint="send text, numbers and lists")

    return copy(value, 0)


def _refuse_what_no_template_needs(tree: nodes.Template) -> None:
    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)):
        raise _bad(f"it uses {type(node).__name__.lower()}; a chat template stands alone")
    for name in tree.find_all(nodes.Name):
        # These hand a macro its arguments in containers that no bound has seen.
        if name.name in ("varargs", "kwargs", "caller", "self"):
            raise _bad(f"it uses {name.name!r}")


def _words(output: nodes.Output) -> int:
    return sum(len(part.data) for part in output.nodes if isinstance(part, nodes.TemplateData))


@contextmanager
def _bounded_steps(max_steps: int) -> Iterator[None]:
    """End whatever template runs in this thread after so many lines, or so much time.

    Python's trace hook is the one means that stops a loop in this thread without a second process; it looks at the
    template's own lines only, and whoever traced before (a debugger, a coverage tool) traces again afterwards.
    """
    deadline = time.thread_time() + MAX_SECONDS
    steps = 0

    def on_line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > max_steps or (steps % 64 == 0 and time.thread_time() > deadline):
            raise _StepsEnded
        return on_line

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        return on_line if frame.f_code.co_filename == "<template>" else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except BadTemplate:
        raise
    except _StepsEnded:
        raise _bad("it does not come to an end") from None
    except RecursionError:
        raise _bad("it calls itself without end") from None
    except MemoryError:
        raise _bad("it is nested too deeply") from None
    except jinja2.TemplateError as exc:
        raise _bad(str(exc.message or type(exc).__name__)[:500]) from exc
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, SyntaxError, RuntimeError) as exc:
        raise _bad(f"{type(exc).__name__}: {str(exc)[:300]}") from exc


def _raise_exception(message: Any) -> None:
    raise jinja2.TemplateError(str(message)[:500])


def _bad(what: str) -> BadTemplate:
    return BadTemplate(
        f"the model's chat template cannot write this conversation: {what}",
        hint="check roles and their order; or serve the model with another template",
    )
