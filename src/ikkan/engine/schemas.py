"""JSON schemas as answers can follow them: what of a schema is honoured, and which part is not.

Our own walk bounds a schema and names, by JSON pointer, keywords that would be left out and parts that never end.
What only the compiler can know is found by asking it about ever smaller parts.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final
from urllib.parse import quote, unquote

import llguidance

from ikkan.engine.limits import LIMITS, refused, said
from ikkan.ground.errors import BadGrammar

MAX_SCHEMA_BYTES: Final = 256 << 10
MAX_DEPTH: Final = 40
"""Of schemas within schemas."""
MAX_SCHEMAS: Final = 10_000
MAX_PROPERTIES: Final = 500
"""Of one object. Each that may be left out doubles as a place to go on from."""
MAX_MULTIPLE: Final = 10_000
"""Of `multipleOf`, in units of its last digit: the parser keeps a state for each remainder."""
MAX_LOCATING_S: Final = 0.5

STYLE: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""Answers are one line, as models write tool calls; free white space is where small models lose themselves."""

_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLES: Final = ("items", "additionalProperties")
_PLAIN: Final = frozenset(
    {
        "type", "enum", "const", "required", "minProperties", "maxProperties", "minItems", "maxItems", "minLength",
        "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "$ref",
    }
)  # fmt: skip
_HARMLESS: Final[dict[str, tuple[Any, ...]]] = {
    "not": (False,),
    "if": (),
    "then": (),
    "else": (),
    "dependentRequired": ({},),
    "dependentSchemas": ({},),
    "dependencies": ({},),
    "contains": (),
    "minContains": (),
    "maxContains": (),
    "uniqueItems": (False,),
    "propertyNames": (True, {}),
    "unevaluatedItems": (True, {}),
    "unevaluatedProperties": (True, {}),
    "additionalItems": (True, {}),
    "$dynamicRef": (),
    "$recursiveRef": (),
}
"""Keywords we cannot honour, and values of theirs that ask for nothing."""
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}
)


def examined(schema: Any, param: str, *, lenient: bool = False) -> str:
    """The schema in JSON as the compiler is to read it: only what is honoured, and how answers are spaced.

    Args:
        param: the field it came in, for errors.
        lenient: leave out what cannot be honoured instead of refusing it.

    Raises:
        BadGrammar: it is no schema, is too large, asks for what cannot be honoured, or no value of it ever ends.
            `facts["pointer"]` is the JSON pointer of the part.

    >>> examined({"type": "string", "title": "Name", "maxLength": 5}, "guided_json")
    '{"type": "string", "maxLength": 5, "x-guidance": {"whitespace_flexible": false, "item_separator": ", ", ...}}'
    """
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
    except (RecursionError, ValueError) as exc:
        raise refused(param, "the schema is too deep or holds numbers that JSON has not") from exc
    if len(text) > MAX_SCHEMA_BYTES:
        raise refused(param, f"the schema is larger than {MAX_SCHEMA_BYTES >> 10} KiB")
    return _examined(text, param, lenient)


@functools.lru_cache(maxsize=128)
def _examined(text: str, param: str, lenient: bool) -> str:
    walk = _Walk(param, lenient)
    schema = walk.clean(json.loads(text), "", 0)
    walk.check_multiples()
    if endless := _endless(schema):
        raise refused(param, "no value of it ever ends: it needs itself", pointer=endless[0])
    if error := _error_of(schema, lenient):
        pointer, why = _located(schema, error, lenient)
        raise refused(param, why, pointer=pointer, hint="leave it out, or say it in words")
    return json.dumps(_styled(schema, lenient), ensure_ascii=False)


class _Walk:
    """Copies a schema, looking at every part."""

    def __init__(self, param: str, lenient: bool) -> None:
        self._param = param
        self._lenient = lenient
        self._seen = 0
        self._multiples: set[Fraction] = set()
        self._joins = False  # whether schemas are put together, and their `multipleOf` with them

    def check_multiples(self) -> None:
        """Refuse multiples that become too large where they meet."""
        scale = math.lcm(*(one.denominator for one in self._multiples))
        if self._joins and math.lcm(*(int(one * scale) for one in self._multiples)) > MAX_MULTIPLE:
            raise self._refused("", "its `multipleOf` together are too large a number")

    def clean(self, schema: Any, at: str, depth: int) -> Any:
        self._seen += 1
        if self._seen > MAX_SCHEMAS:
            raise self._refused(at, f"more than {MAX_SCHEMAS:,} schemas within one")
        if depth > MAX_DEPTH:
            raise self._refused(at, f"more than {MAX_DEPTH} schemas within each other")
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise self._refused(at, "a schema is an object, true or false")
        schema = _as_of_2020(schema)
        joined = {"allOf", "anyOf", "oneOf", "$ref"} & schema.keys()
        self._joins = (
            self._joins or "allOf" in joined or bool(joined and schema.keys() & {*_PLAIN, *_MAPS[:2]} - joined)
        )
        kept: dict[str, Any] = {}
        for name, value in schema.items():
            where = f"{at}/{_escaped(name)}"
            if name in _MAPS:
                kept[name] = self._clean_map(value, where, depth)
            elif name in _LISTS:
                kept[name] = self._clean_list(value, where, depth)
            elif name in _SINGLES:
                kept[name] = self.clean(value, where, depth + 1)
            elif name in _PLAIN:
                if self._honoured(name, value, schema, where):
                    kept[name] = value
            elif name in _HARMLESS and value not in _HARMLESS[name] and not self._lenient:
                raise self._refused(where, f"`{name}` cannot be honoured")
        return kept

    def _clean_map(self, value: Any, where: str, depth: int) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._refused(where, "an object of schemas")
        if len(value) > MAX_PROPERTIES and where.endswith("roperties"):
            raise self._refused(where, f"more than {MAX_PROPERTIES} of them")
        return {name: self.clean(one, f"{where}/{_escaped(name)}", depth + 1) for name, one in value.items()}

    def _clean_list(self, value: Any, where: str, depth: int) -> list[Any]:
        if not isinstance(value, list):
            raise self._refused(where, "a list of schemas")
        return [self.clean(one, f"{where}/{number}", depth + 1) for number, one in enumerate(value)]

    def _honoured(self, name: str, value: Any, schema: dict[str, Any], where: str) -> bool:
        """Whether a keyword stays. What is not honoured goes if we may be lenient, and is refused if not."""
        why = ""
        if name == "format":
            kinds = schema.get("type", "string")
            if "string" not in ([kinds] if isinstance(kinds, str) else kinds):
                return False  # says nothing of numbers: `int64`
            if value not in _FORMATS:
                why = f"unknown format {str(value)[:40]!r}; known are {', '.join(sorted(_FORMATS))}"
        elif name == "multipleOf" and isinstance(value, (int, float)):
            if _units(value) > MAX_MULTIPLE:
                why = f"at most {MAX_MULTIPLE:,}, in units of its last digit"
            elif value > 0:
                self._multiples.add(Fraction(repr(value)))
        elif name == "minProperties" and isinstance(value, int):
            required = schema.get("required")
            if value > max(1, len(set(map(str, required))) if isinstance(required, list) else 0):
                why = "more than one only with as many `required` names: others may come twice"
        elif _has_large_number(value):
            raise self._refused(where, "whole numbers of more than 63 bits are not followed")
        elif name == "$ref" and not (isinstance(value, str) and value.startswith("#")):
            raise self._refused(where, "only references within the schema are followed")
        if why and not self._lenient:
            raise self._refused(where, why)
        return not why

    def _refused(self, pointer: str, why: str) -> BadGrammar:
        return refused(self._param, why, pointer=pointer)


def _as_of_2020(schema: dict[str, Any]) -> dict[str, Any]:
    """Lists of schemas under `items` are `prefixItems` today."""
    if not isinstance(schema.get("items"), list):
        return schema
    renamed = {"items": "prefixItems", "additionalItems": "items"}
    return {renamed.get(name, name): value for name, value in schema.items()}


def _has_large_number(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_large_number, value.values()))
    if isinstance(value, list):
        return any(map(_has_large_number, value))
    return isinstance(value, int) and abs(value) >= 2**63


def _units(multiple: float) -> int:
    """How many of its last digit's units a number is.

    >>> _units(7), _units(0.25), _units(1e-5), _units(2.50), _units(1e300) > 10**9
    (7, 25, 1, 25, True)
    """
    exact = Fraction(repr(multiple))
    digits = next((n for n in range(30) if 10**n % exact.denominator == 0), 30)
    return int(abs(exact) * 10**digits)


# --- does it end? -----------------------------------------------------------------------------------------------------


def _endless(root: Any) -> list[str]:
    """Pointers of the parts an answer would have to go through that have no finite value; the outermost first."""
    known: dict[int, bool] = {}
    parts = [(pointer, one) for pointer, one in _parts(root, "") if isinstance(one, dict)]
    for _ in range(MAX_DEPTH + 2):
        changed = False
        for _, one in reversed(parts):
            if not known.get(id(one)) and _ends(one, root, known):
                known[id(one)] = changed = True
        if not changed:
            break
    if not isinstance(root, dict) or known.get(id(root)):
        return []
    return [pointer for pointer, one in parts if not known.get(id(one))]


def _ends(schema: dict[str, Any], root: Any, known: dict[int, bool]) -> bool:
    def ends(one: Any) -> bool:
        return one is True or (isinstance(one, dict) and known.get(id(one), False))

    if "$ref" in schema:
        target = _at(root, unquote(schema["$ref"][1:]))
        if target is not _MISSING and not ends(target):
            return False
    for name in ("anyOf", "oneOf"):
        if schema.get(name) and not any(map(ends, schema[name])):
            return False
    if not all(map(ends, schema.get("allOf", []))):
        return False
    kinds = schema.get("type", ["string"])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if set(kinds) - {"object", "array"} or "enum" in schema or "const" in schema:
        return True
    as_object = as_array = False
    if "object" in kinds:
        properties = schema.get("properties", {})
        needed = schema.get("required", [])
        others = schema.get("additionalProperties", True)
        as_object = not isinstance(needed, list) or all(ends(properties.get(str(one), others)) for one in needed)
    if "array" in kinds:
        least = schema.get("minItems", 0)
        first = schema.get("prefixItems", [])
        count = least if isinstance(least, int) else 0
        as_array = all(map(ends, first[:count])) and (count <= len(first) or ends(schema.get("items", True)))
    return as_object or as_array


def _parts(schema: Any, at: str) -> Iterator[tuple[str, Any]]:
    """A schema and all within it, with their pointers."""
    yield at, schema
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        where = f"{at}/{_escaped(name)}"
        if name in _MAPS:
            for inner, one in value.items():
                yield from _parts(one, f"{where}/{_escaped(inner)}")
        elif name in _LISTS:
            for number, one in enumerate(value):
                yield from _parts(one, f"{where}/{number}")
        elif name in _SINGLES:
            yield from _parts(value, where)


_MISSING: Final = object()


def _at(root: Any, pointer: str) -> Any:
    """What a JSON pointer points at."""
    found = root
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return _MISSING
    return found


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


# --- what only the compiler knows -------------------------------------------------------------------------------------


def _styled(schema: Any, lenient: bool) -> Any:
    if isinstance(schema, bool):
        schema = {} if schema else {"enum": []}
    return {**schema, "x-guidance": {**STYLE, "coerce_one_of": lenient}}


def _error_of(schema: Any, lenient: bool) -> str:
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(_styled(schema, lenient)))
    failed, words = llguidance.LLMatcher.validate_grammar_with_warnings(grammar, None, limits=LIMITS)
    return said(words[0]) if failed else ""


def _located(root: Any, error: str, lenient: bool) -> tuple[str, str]:
    """The pointer of the smallest part that fails by itself, and why it does."""
    deadline_s = time.monotonic() + MAX_LOCATING_S
    moved = _moved(root)
    pointer, why = "", error
    found = True
    while found and time.monotonic() < deadline_s:
        found = False
        for inner, one in _children(_at(root, pointer), pointer):
            if time.monotonic() > deadline_s:
                break
            alone = {"$ref": f"#/$defs/root{quote(inner, safe='/~')}", "$defs": {"root": moved}}
            if isinstance(one, (dict, bool)) and (said_of_it := _error_of(alone, lenient)):
                pointer, why, found = inner, said_of_it, True
                break
    return pointer, why


def _children(schema: Any, at: str) -> Iterator[tuple[str, Any]]:
    for pointer, one in _parts(schema, at) if isinstance(schema, dict) else ():
        steps = pointer[len(at) :].count("/")
        if pointer != at and steps <= 2 and _is_child(schema, pointer[len(at) + 1 :]):
            yield pointer, one


def _is_child(schema: dict[str, Any], path: str) -> bool:
    name, _, rest = path.partition("/")
    return not rest if name in _SINGLES else name in (*_MAPS, *_LISTS) and bool(rest)


def _moved(schema: Any) -> Any:
    """The schema as it reads when it lies under `#/$defs/root`."""
    if isinstance(schema, list):
        return [_moved(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: f"#/$defs/root{value[1:]}" if name == "$ref" and isinstance(value, str) else _moved(value)
        for name, value in schema.items()
    }
