"""Random JSON schemas, answered by random scores: does every answer validate, and what does following a schema cost?

    .venv/bin/python benchmarks/schemas.py [--count 1000] [--seed 1] [--model FILE.gguf] [--json FILE]

A schema is nested objects, arrays with bounds, enums, `anyOf`, constants, `$ref`, and strings and numbers with every
bound that the engine honours. `count` of them are answered; those that have no answer at all (a multiple of 7 between 8
and 10) come on top. Scores are random, with closing marks likelier the longer an answer gets, so that answers wander
into every corner of a schema and still end; the vocabulary is the model's. Answers are checked by `jsonschema`, formats
included. One that has not ended after 2,000 tokens is counted as cut, neither as valid nor as wrong.

Lines: `valid`, `wrong`, `cut`, `refused` (schemas), `compile_ms` (median, 99th percentile and longest compilation of a
schema), `mask_us` (likewise, of the tokens that may come next), `forced_share` (of all tokens, those that needed no
forward pass).
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

from ikkan.engine.grammar import Constrained, Grammars, json_schema
from ikkan.engine.sampling import Sampler
from ikkan.engine.values import Sampling
from ikkan.ground.errors import BadGrammar
from ikkan.models.tokenizer import Tokenizer, example_tokenizer

ROOT = Path(__file__).resolve().parents[1]
MAX_TOKENS = 2_000
WORDS = [
    "id",
    "name",
    "größe",
    "価格",
    "a b",
    'say "hi"',
    "x/y",
    "~",
    "items",
    "date",
    "city",
    "unit",
    "note",
    "\\",
    "0",
]
PATTERNS = ["^[a-z]{2,5}$", "^[A-Z][a-z]+(-[0-9]+)?$", "^(yes|no|maybe)$", "[0-9]{3}", "^\\d{2}:\\d{2}$", "^$|^x+$"]
FORMATS = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"]


class Maker:
    """Makes schemas out of one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._references: list[dict[str, Any]] = []

    def schema(self) -> Any:
        """A schema of up to four levels."""
        definitions: dict[str, Any] = {}
        if self._chance(0.25):
            definitions["leaf"] = self._leaf()
            inner = {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tree"}]}
            definitions["tree"] = self._object({"value": {"$ref": "#/$defs/leaf"}, "next": inner}, ["value", "next"])
        self._references = [{"$ref": f"#/$defs/{name}"} for name in definitions]
        schema = self._any(self._random.randint(1, 4))
        return {**schema, "$defs": definitions} if definitions else schema

    def _any(self, depth: int) -> dict[str, Any]:
        if depth <= 0 or self._chance(0.25):
            return self._leaf()
        makers = [self._struct, self._struct, self._map, self._array, self._tuple, self._choice, self._both]
        return self._random.choice(makers)(depth - 1)

    def _struct(self, depth: int) -> dict[str, Any]:
        names = self._random.sample(WORDS, self._random.randint(0, 6))
        needed = [name for name in names if self._chance(0.7)]
        made = self._object({name: self._any(depth) for name in names}, needed)
        if self._chance(0.2):
            del made["additionalProperties"]
        return made

    def _object(self, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def _map(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "object", "additionalProperties": self._any(depth)}
        if self._chance(0.4):
            made["maxProperties"] = self._random.randint(1, 4)
        if self._chance(0.3):
            made["minProperties"] = 1
        if self._chance(0.3):
            return {"type": "object", "patternProperties": {"^k_[a-z]{1,8}$": self._any(depth)},
                    "additionalProperties": False}  # fmt: skip
        return made

    def _array(self, depth: int) -> dict[str, Any]:
        least = self._random.randint(0, 3)
        made = {"type": "array", "items": self._any(depth), "minItems": least}
        return made if self._chance(0.2) else {**made, "maxItems": least + self._random.randint(0, 3)}

    def _tuple(self, depth: int) -> dict[str, Any]:
        first = [self._any(depth) for _ in range(self._random.randint(1, 3))]
        return {"type": "array", "prefixItems": first, "items": False, "minItems": len(first)}

    def _choice(self, depth: int) -> dict[str, Any]:
        return {"anyOf": [self._any(depth) for _ in range(self._random.randint(1, 3))]}

    def _both(self, depth: int) -> dict[str, Any]:
        left, right = self._struct(depth), self._struct(depth)
        for one in (left, right):
            one.pop("additionalProperties", None)
            one["properties"] = {f"{name}{id(one) == id(right):d}": made for name, made in one["properties"].items()}
            one["required"] = [*one["properties"]][:2]
        return {"allOf": [left, right]}

    def _leaf(self) -> dict[str, Any]:
        choose = self._random.choice
        return choose([self._text, self._text, self._number, self._number, self._fixed, self._plain, self._reference])()

    def _text(self) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "string"}
        kind = self._random.randint(0, 3)
        if kind == 0:
            return {**made, "pattern": self._random.choice(PATTERNS)}
        if kind == 1:
            return {**made, "format": self._random.choice(FORMATS)}
        least = self._random.randint(0, 6)
        return {**made, "minLength": least, "maxLength": least + self._random.choice([0, 1, 5, 40])}

    def _number(self) -> dict[str, Any]:
        kind = self._random.choice(["integer", "number"])
        made: dict[str, Any] = {"type": kind}
        low = self._random.choice([-1_000_000, -17, -1, 0, 1, 3, 250])
        share = 1 if kind == "integer" else self._random.choice([1, 0.5, 0.01, 1.25])
        if self._chance(0.6):
            made[self._random.choice(["minimum", "exclusiveMinimum"])] = low * share
        if self._chance(0.6):
            made[self._random.choice(["maximum", "exclusiveMaximum"])] = low * share + self._random.choice(
                [2, 10, 5_000]
            )
        if self._chance(0.2):
            made["multipleOf"] = self._random.choice([1, 2, 5, 7, 60] if kind == "integer" else [1, 2, 5, 0.5, 0.25])
        return made

    def _fixed(self) -> dict[str, Any]:
        values: list[Any] = ["red", "grün", "", 'q"uote', "line\nbreak", 0, -1, 2.5, True, None, [1, "a"], {"k": []}]
        if self._chance(0.4):
            return {"const": self._random.choice(values)}
        return {"enum": self._random.sample(values, self._random.randint(1, 5))}

    def _plain(self) -> dict[str, Any]:
        kinds = ["boolean", "null", "integer"]
        return {"type": self._random.choice([*kinds, self._random.sample(kinds, 2)])}

    def _reference(self) -> dict[str, Any]:
        return dict(self._random.choice(self._references)) if self._references else self._plain()

    def _chance(self, share: float) -> bool:
        return self._random.random() < share


@dataclass
class Outcome:
    """What became of one schema."""

    kind: str
    schema: Any
    text: str = ""
    why: str = ""
    compile_ms: float = 0.0
    mask_us: list[float] = field(default_factory=list)
    drawn: int = 0
    forced: int = 0


class Answerer:
    """Answers schemas with random scores over a vocabulary."""

    def __init__(self, tokenizer: Tokenizer, vocab: int) -> None:
        self.grammars = Grammars(tokenizer, vocab)
        self._tokenizer, self._vocab = tokenizer, vocab
        written = [tokenizer.bytes_of(number) for number in range(vocab)]
        # What may end a string, a number, a date, an address; alike, so that each comes where it is needed.
        ending = {letter.encode(): 9.0 for letter in "0123456789,]}@:DHMSWZ"} | {b'"': 10.0}
        self._bonus = np.array([ending.get(one, 0.0) for one in written], dtype=np.float32)
        self._bonus[sorted(tokenizer.eos_ids)] = 10.0

    def answer(self, schema: Any, seed: int) -> Outcome:
        """One answer, judged."""
        started = time.perf_counter()
        try:
            constraint = self.grammars.compile(json_schema(schema, "schema")).begin()
        except BadGrammar as error:
            return Outcome("refused", schema, why=error.message)
        outcome = Outcome("cut", schema, compile_ms=(time.perf_counter() - started) * 1e3)
        ids = self._ids(constraint, outcome, seed)
        outcome.text = self._tokenizer.decode(ids)
        if outcome.kind == "ended":
            outcome.why = fault(schema, outcome.text)
            outcome.kind = "wrong" if outcome.why else "valid"
        return outcome

    def _ids(self, constraint: Constrained, outcome: Outcome, seed: int) -> list[int]:
        random_scores = np.random.default_rng(seed)
        sampler = Sampler(Sampling(temperature=1.0, seed=seed))
        ids: list[int] = []
        while len(ids) < MAX_TOKENS:
            for token_id in constraint.forced():
                constraint.accept(token_id)
                ids.append(token_id)
                outcome.forced += 1
            if constraint.ended():
                outcome.kind = "ended"
                break
            began = time.perf_counter()
            allowed = constraint.allowed()
            outcome.mask_us.append((time.perf_counter() - began) * 1e6)
            scores = random_scores.standard_normal(self._vocab, dtype=np.float32) * 2
            scores += self._bonus * np.float32(1 + len(ids) / 200)
            token_id = sampler.draw(scores, allowed).token_id
            outcome.drawn += 1
            if token_id in self._tokenizer.eos_ids:
                outcome.kind = "ended"
                break
            constraint.accept(token_id)
            ids.append(token_id)
        return ids


def fault(schema: Any, text: str) -> str:
    """Why an answer is not what its schema says; empty if it is."""
    try:
        value = json.loads(text)
        jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator,
                            format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)  # fmt: skip
    except (ValueError, jsonschema.ValidationError) as exc:
        return str(exc).splitlines()[0][:200]
    return ""


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--count", type=int, default=1_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--model", type=Path, help="whose vocabulary; bytes without one")
    arguments.add_argument("--json", type=Path, help="also write every schema, answer and verdict here")
    asked = arguments.parse_args()
    tokenizer, vocab = example_tokenizer(), 260
    if asked.model is not None:
        from ikkan.models.checkpoint import open_checkpoint

        with open_checkpoint(asked.model) as checkpoint:
            tokenizer, vocab = checkpoint.tokenizer, checkpoint.config.vocab
    answerer = Answerer(tokenizer, vocab)
    outcomes: list[Outcome] = []
    while sum(one.kind != "refused" for one in outcomes) < asked.count:
        number = len(outcomes)
        outcomes.append(answerer.answer(Maker(asked.seed * 1_000_003 + number).schema(), number))
    if asked.json is not None:
        lines = [{"kind": one.kind, "why": one.why, "schema": one.schema, "text": one.text} for one in outcomes]
        asked.json.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    about = {"commit": _commit(), "machine": platform.processor() or platform.machine(), "vocab": vocab}
    for kind in ("valid", "wrong", "cut", "refused"):
        _say(kind, sum(one.kind == kind for one in outcomes), "schemas", about)
    answered = [one for one in outcomes if one.kind != "refused"]
    for name, unit, found in [
        ("compile_ms", "ms", [one.compile_ms for one in answered]),
        ("mask_us", "us", [mask for one in answered for mask in one.mask_us]),
    ]:
        ordered = sorted(found)
        _say(name, {"median": round(statistics.median(ordered), 2), "p99": round(ordered[len(ordered) * 99 // 100], 2),
                    "max": round(ordered[-1], 2)}, unit, about)  # fmt: skip
    forced, drawn = sum(one.forced for one in answered), sum(one.drawn for one in answered)
    _say("forced_share", round(forced / max(1, forced + drawn), 3), "of tokens", about)
    sys.exit(any(one.kind == "wrong" for one in outcomes))


def _say(metric: str, value: Any, unit: str, about: dict[str, Any]) -> None:
    print(json.dumps({"metric": metric, "value": value, "unit": unit, **about}), flush=True)


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


if __name__ == "__main__":
    main()
