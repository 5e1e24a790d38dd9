"""A chat template is a stranger's program: it sees nothing, reaches nothing, and always comes to an end."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ikkan.ground.errors import BadTemplate
from ikkan.models import template as room
from ikkan.models.template import ChatTemplate

MESSAGES = [{"role": "user", "content": "hello", "parts": ["a", {"b": 1}]}]

ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__ }}",
    "{{ messages[0]['__class__']() }}",
    "{{ messages[0].copy() }}",
    "{{ ''['__class__'] }}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__self__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ self.__init__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id') }}",
    "{{ '{0.__class__}'.format(messages) }}",
    "{{ ('{0.__cl' ~ 'ass__}').format(1) }}",
    "{{ messages | attr('__class__') }}",
    "{{ messages | map(attribute='__class__') | list }}",
    "{{ messages.append(1) }}",
    "{{ messages[0].update({'role': 'system'}) }}",
    "{{ messages[0].pop('role') }}",
    "{{ (1).__add__ }}",
    "{{ 1.0.hex() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'base' %}",
    "{% block a %}{% endblock %}",
    "{% macro f() %}{{ varargs }}{% endmacro %}{{ f(1) }}",
    "{{ lipsum(n=100000) }}",
    "{{ get_flashed_messages }}{{ nothing.at.all }}",
    "{% do messages.clear() %}",
    "{{ 1 | nosuchfilter }}",
    "{% for %}",
    "{{",
    "{{ 1 / 0 }}",
    "{{ 'a' < 1 }}",
    "{{ messages[0].content() }}",
    "{{ strftime_now('%1000000000d') }}",
    "{{ strftime_now(5) }}",
    "{{ range(10 ** 9) }}",
    "{{ range('a') }}",
    "{{ namespace }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_what_no_template_needs_is_refused(source: str) -> None:
    with pytest.raises(BadTemplate):
        ChatTemplate(source).render(MESSAGES)


DOUBLING = "{% set n = namespace(x=START) %}{% for i in range(64) %}{% set n.x = STEP %}{% endfor %}{{ USE }}"


def doubling(start: str, step: str, use: str = "n.x | length") -> str:
    return DOUBLING.replace("START", start).replace("STEP", step).replace("USE", use)


LOOP = "{% for a in range(99999) %}"
BOMBS = {
    "an endless text by ~": doubling("'ab'", "n.x ~ n.x"),
    "an endless text by +": doubling("'ab'", "n.x + n.x"),
    "an endless text by join": doubling("'ab'", "[n.x, n.x] | join"),
    "an endless text by the join method": doubling("'ab'", "''.join([n.x, n.x])"),
    "an endless text by replace": doubling("'ab'", "n.x | replace('a', 'aa')"),
    "an endless text by the replace method": doubling("'ab'", "n.x.replace('a', 'aa')"),
    "an endless text by indent": doubling("'a\\nb'", "(n.x ~ '\\n' ~ n.x) | indent(200, true, true)"),
    "an endless text by tojson": doubling("'\\\\'", "n.x | tojson"),
    "an endless text by a macro": "{% macro f(x) %}{{ x }}{{ x }}{% endmacro %}" + doubling("'ab'", "f(n.x)"),
    "an endless text by a block": (
        "{% set n = namespace(x='ab') %}{% for i in range(64) %}"
        "{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}{{ n.x }}"
    ),
    "an endless list": doubling("[1]", "n.x + n.x"),
    "a list that shares its parts": doubling("[1]", "[n.x, n.x]", "n.x"),
    "a tuple that shares its parts": doubling("(1,)", "(n.x, n.x)", "n.x == (n.x, 1)"),
    "a dict that shares its parts": doubling("{}", "{'a': n.x, 'b': n.x}", "n.x | tojson"),
    "namespaces in namespaces": doubling("1", "namespace(a=n.x, b=n.x)", "n.x"),
    "namespaces in a list": doubling("1", "namespace(a=[n.x, n.x])", "n.x | string"),
    "a list by map": doubling("[1]", "[n.x, n.x] | map('list') | list", "n.x"),
    "a multiplied text": "{{ 'a' * 10 ** 9 }}",
    "a multiplied list": "{{ [1] * 10 ** 9 }}",
    "an endless number": doubling("3", "n.x * n.x", "n.x"),
    "a tower of powers": "{{ 9 ** 9 ** 9 }}",
    "a power of a large number": "{{ (2 ** 50) ** 60 }}",
    "a width in a format": "{{ '%1000000000d' % 1 }}",
    "a wide centre": "{{ 'a' | center(10 ** 9) }}",
    "a wide centre by method": "{{ 'a'.center(1000000000) }}",
    "a wide just": "{{ 'a'.ljust(1000000000) }}",
    "tabs": "{{ '\\t'.expandtabs(1000000000) }}",
    "a wide JSON": "{{ [1] | tojson(indent=1000000000) }}",
    "a long round": "{{ 1.5 | round(1000000000) }}",
    "batches": "{{ [1] | batch(1000000000, 'x') | list }}",
    "slices": "{{ [1] | slice(1000000000) | list }}",
    "loops in loops": LOOP * 3 + "{% endfor %}" * 3,
    "printing loops": LOOP * 2 + "spam and more spam" + "{% endfor %}" * 2,
    "loops that print what is long": "{% set n = namespace(x='"
    + "x" * 60_000
    + "') %}{% for a in range(99999) %}{{ n.x }}{% endfor %}",
    "loops into a block": "{% set x %}{% for a in range(99999) %}{% for b in range(99999) %}"
    + "x" * 60_000
    + "{% endfor %}{% endfor %}{% endset %}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a loop that calls itself": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "deep brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "deep lists": "{{ " + "[" * 3000 + "]" * 3000 + " }}",
    "a long sum": "{{ 1" + " + 1" * 30_000 + " }}",
    "deep blocks": "{% for a in [1] %}" * 200 + "{% endfor %}" * 200,
    "a long source": "x" * 2**18,
    "stripping by a sea of letters": "{{ ('a' * 90000).strip('b' * 90000) }}",
}

_RENDER_WITH_LITTLE_MEMORY = """
import resource, sys
from ikkan.ground.errors import BadTemplate
from ikkan.models import template
template.MAX_SECONDS = 0.3
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
for source in sys.stdin.read().split("\\0"):
    try:
        print(len(template.ChatTemplate(source).render([])))
    except BadTemplate as error:
        print(error.code)
"""


def test_no_bomb_goes_off() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RENDER_WITH_LITTLE_MEMORY],
        input="\0".join(BOMBS.values()),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = dict(zip(BOMBS, done.stdout.split(), strict=True))
    assert {name: result for name, result in results.items() if result != "bad_template"} == {}


def test_time_is_bounded_even_where_steps_are_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_SECONDS", 0.05)
    monkeypatch.setattr(room, "MAX_COPIED_CHARS", 2**60)
    with pytest.raises(BadTemplate, match="end"):
        ChatTemplate(BOMBS["loops in loops"]).render([])


def test_whoever_traced_before_traces_again_afterwards() -> None:
    seen: list[str] = []

    def tracer(frame: object, event: str, argument: object) -> None:
        seen.append(event)

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        ChatTemplate("{{ messages }}").render([])
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


PIECES = [
    "{{ messages }}",
    "{{ messages[0].parts | tojson }}",
    "{% for m in messages %}",
    "{% endfor %}",
    "{% if x %}",
    "{% endif %}",
    "{% set x = messages %}",
    "{% set n = namespace() %}",
    "{% set n.a = [n.a, x] %}",
    "{{ x ~ x }}",
    "{{ x + x }}",
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "'",
    '"',
    "|",
    "tojson",
    "loop",
    "range(9)",
    "(",
    ")",
    "[",
    "]",
    "x",
    "1",
    "*",
    "**",
    "\n",
    "-",
    "{% macro f(a) %}",
    "{% endmacro %}",
    "{{ f(x) }}",
    "{% generation %}",
    "{% endgeneration %}",
    "{% break %}",
    "not",
    "in",
]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(parts=st.lists(st.sampled_from(PIECES), max_size=14))
def test_any_heap_of_pieces_is_written_or_refused(parts: list[str]) -> None:
    with contextlib.suppress(BadTemplate):
        assert isinstance(ChatTemplate("".join(parts)).render(MESSAGES), str)
