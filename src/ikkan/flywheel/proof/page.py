"""The report for people: one HTML file with everything in it, in both languages, readable by day and by night."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ikkan.flywheel.proof import drawing
from ikkan.flywheel.proof.words import ABOUT, ARMS, CHECKS, HEADINGS, NOTES, Said

_STYLE = """
:root { color-scheme: light dark; --paper: #faf8f4; --card: #fff; --ink: #22201c; --faint: #6d675d; --line: #e3ded3;
  --good: #2f6f4a; --bad: #a3312a; --c0: #6d675d; --c1: #b8382a;
  --c2: #1d5fa8; --c3: #2f6f4a; --c4: #8a6414; --c5: #7a3f8f; }
@media (prefers-color-scheme: dark) { :root { --paper: #191816; --card: #22211e; --ink: #ece8df; --faint: #a39c8f;
  --line: #3a3833; --good: #7cc79b; --bad: #ee8a80; --c0: #a39c8f; --c1: #e0604f; --c2: #7db4ee; --c3: #7cc79b;
  --c4: #dcb25a; --c5: #c79add; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.6 system-ui, "Hiragino Sans", "Noto Sans CJK JP", "Noto Sans JP", sans-serif; }
h1 { font-size: 1.6rem; margin: .2rem 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
header, section { overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; }
.faint { color: var(--faint); font-size: .9rem; } .big { font-size: 1.8rem; font-variant-numeric: tabular-nums; }
.pass { color: var(--good); } .fail { color: var(--bad); }
.wide { overflow-x: auto; margin-top: .8rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; }
th, td:not(:last-child), td.number { white-space: nowrap; overflow-wrap: normal; }
ul { padding-left: 1.1rem; } li { margin: .2rem 0; } ul.checks { list-style: none; padding: 0; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--ink); font-size: 12px; }
svg .faint { fill: var(--faint); font-size: 12px; } code, pre { font-size: .85rem; } pre { overflow-x: auto; }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); }
.tongue { display: flex; gap: 1rem; justify-content: flex-end; }
body:has(#say-ja:checked) [lang=en].said, body:has(#say-en:checked) [lang=ja].said { display: none; }
@media print { .tongue { display: none; } }
"""


def page_of(proof: Mapping[str, Any], *, language: str = "en") -> str:
    """The proof as one HTML file: no script, no link, nothing to load.

    Args:
        proof: what `experiment.prove` returned, with `test` and `finished_at` where they are known.
        language: `ja` or `en`: which one is shown first; a reader may change it.
    """
    plan, metric = proof["protocol"], proof["metric"]
    title = {"en": metric["name"], "ja": metric["name"], **metric["title"]}
    verdict = proof["verdict"]
    parts = [
        f"<header>{_tongue(language)}<p class=faint>{escape(plan['learnable'])}: {_said(title)}</p>",
        f"<h1>{_word('title')} <span class={verdict}>{_word(verdict)}</span></h1>",
        f"<p class=faint><code>{proof['protocol_hash']}</code> {escape(str(proof.get('finished_at', '')))}</p>",
        "</header>",
        f"<section class=card><p>{_word('headline')}</p><p class=big>{_signed(proof['gain'])}"
        f" <span class=faint>{_word('interval')} [{_signed(proof['lower'])}, {_signed(proof['upper'])}]</span></p>",
        _checks(proof["checks"]),
        "</section>",
        _section("gains", _note("gains"), drawing.forest(_forest(proof)), _gains(proof)),
        _section("curves", _note("curves"), _charts(proof), _curves(proof)),
        _section("by_round", _below(proof), _by_round(proof)),
        _section("stress", _stress(proof)),
        _test(proof),
        _section("refusals", _decisions(proof, promoted=False)),
        _section("promotions", _decisions(proof, promoted=True)),
        _section("protocol", _note("protocol"), _note("limits"), _protocol(proof)),
    ]
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(plan['learnable'])}: {verdict}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


_TAUGHT = ("frozen", "flywheel", "no_gate", "oracle", "malicious")
_CONTROLS = ("frozen", "flywheel", "placebo", "self_training", "trivial")


# What is drawn at random is in the tables: beside it, the others would be one line.


def _charts(proof: Mapping[str, Any]) -> str:
    drawn = []
    for heading, arms in (("people_teach", _TAUGHT), ("controls", _CONTROLS)):
        lines = [
            drawing.Line(
                ARMS[arm], [(each["mean"], each["lower"], each["upper"]) for each in proof["arms"][arm]["rounds"]]
            )
            for arm in arms
        ]
        drawn.append(f"<div class=card><h3>{_word(heading)}</h3>{drawing.curves(lines)}</div>")
    return f"<div class=charts>{''.join(drawn)}</div>"


def _forest(proof: Mapping[str, Any]) -> list[drawing.Bar]:
    arms = proof["arms"]
    return [drawing.Bar(ARMS[arm], arms[arm]["gain"], arms[arm]["lower"], arms[arm]["upper"])
            for arm in arms if arm not in ("frozen", "random")]  # fmt: skip


def _checks(checks: Mapping[str, bool]) -> str:
    lines = (
        f"<li><strong class={'pass' if fine else 'fail'}>{'✓' if fine else '✗'}</strong> {_said(CHECKS[name])}</li>"
        for name, fine in checks.items()
    )
    return f"<h3>{_word('checks')}</h3><ul class=checks>{''.join(lines)}</ul>"


def _gains(proof: Mapping[str, Any]) -> str:
    rows = []
    for arm, found in proof["arms"].items():
        name = f"{_said(ARMS[arm])}<br><span class=faint>{_said(ABOUT[arm])}"
        name += f" ({escape(proof['trivial'])})</span>" if arm == "trivial" else "</span>"
        rows.append([name, _signed(found["gain"]), _ends(found), _ends(found["by_person"]), _ends(found["by_seed"])])
    heads = (_word("arm"), _word("gain"), _word("interval"), _word("person"), _word("seed_interval"))
    return _table(heads, rows, numbers=4)


def _curves(proof: Mapping[str, Any]) -> str:
    rounds = proof["arms"]["frozen"]["rounds"]
    rows = [
        [_said(ARMS[arm]), *(f"{each['mean']:.3f}<br><span class=faint>{each['lower']:.3f} … {each['upper']:.3f}</span>"
                             for each in found["rounds"])]
        for arm, found in proof["arms"].items()
    ]  # fmt: skip
    return _table(
        (_word("arm"), *(f"{_word('round')} {each['round'] + 1}" for each in rounds)), rows, numbers=len(rounds)
    )


def _by_round(proof: Mapping[str, Any]) -> str:
    over = proof["arms"]["flywheel"]["over_frozen"]
    seeds = list(over[0]["seeds"])
    rows = [
        [str(each["round"] + 1), _signed(each["mean"]), *(_signed(each["seeds"][seed]) for seed in seeds)]
        for each in over
    ]
    return _table((_word("round"), _word("mean"), *(f"{_word('seed')} {seed}" for seed in seeds)), rows,
                  numbers=1 + len(seeds))  # fmt: skip


def _below(proof: Mapping[str, Any]) -> str:
    metric = proof["metric"]
    fallen = proof["protocol"]["fallen"] * (metric["high"] - metric["low"])
    return _note("below", fallen=f"{fallen:.3f}", worst=_signed(_worst(proof, "flywheel")))


def _stress(proof: Mapping[str, Any]) -> str:
    erased = {
        name: str(value)[:23] if str(value).startswith("sha256") else value for name, value in proof["erased"].items()
    }
    share = f"{100 * proof['protocol']['malicious']:.0f} %"
    lines = [_note("liars", share=share, worst=_signed(_worst(proof, "malicious")))]
    lines += [_note(each["where"], tried=f"{each['tried']:,}", promoted=each["promoted"]) for each in proof["nulls"]]
    return "".join([*lines, _note("erased", **erased)])


def _test(proof: Mapping[str, Any]) -> str:
    if not proof["test"]:
        return ""
    return _section("test", _table(("", ""), [[escape(name), f"{value:.4g}"] for name, value in proof["test"].items()],
                                   numbers=1))  # fmt: skip


def _decisions(proof: Mapping[str, Any], *, promoted: bool) -> str:
    rows = [
        [_said(ARMS[each["arm"]]), str(each["seed"]), str(each["round"] + 1), str(each["said"]), _said(each["reasons"])]
        for each in proof["decisions"]
        if each["promoted"] is promoted
    ]
    if not rows:
        return f"<p>{_word('none')}</p>"
    return _table((_word("arm"), _word("seed"), _word("round"), _word("said"), _word("why")), rows)


def _protocol(proof: Mapping[str, Any]) -> str:
    told = escape(json.dumps(proof["protocol"], ensure_ascii=False, indent=1, sort_keys=True))
    return f"<p><code>sha256 {proof['protocol_hash']}</code></p><pre class=card>{told}</pre>"


def _worst(proof: Mapping[str, Any], arm: str) -> float:
    return min(float(each["mean"]) for each in proof["arms"][arm]["over_frozen"])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0) -> str:
    """Cells are HTML already; the last so many columns are numbers."""
    first = len(heads) - numbers

    def line(cells: Sequence[str], tag: str) -> str:
        marks = ("" if at < first else " class=number" for at in range(len(cells)))
        return (
            "<tr>" + "".join(f"<{tag}{mark}>{cell}</{tag}>" for cell, mark in zip(cells, marks, strict=True)) + "</tr>"
        )

    body = "".join(line(row, "td") for row in rows)
    return f"<div class=wide><table><thead>{line(heads, 'th')}</thead><tbody>{body}</tbody></table></div>"


def _section(heading: str, *parts: str) -> str:
    return f"<section><h2>{_word(heading)}</h2>{''.join(parts)}</section>"


def _note(name: str, **facts: object) -> str:
    told = {lang: text.format(**facts) for lang, text in NOTES[name].items()}
    return f"<p class=faint>{_said(told)}</p>"


def _word(name: str) -> str:
    return _said(HEADINGS[name])


def _said(words: Said | Mapping[str, str]) -> str:
    return "".join(f'<span class=said lang="{lang}">{escape(words[lang])}</span>' for lang in ("ja", "en"))


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _ends(ends: Mapping[str, Any] | None) -> str:
    return f"[{_signed(ends['lower'])}, {_signed(ends['upper'])}]" if ends else "–"


def _tongue(language: str) -> str:
    def choice(lang: str, name: str) -> str:
        chosen = " checked" if lang == language else ""
        return f'<label><input type="radio" name="say" id="say-{lang}"{chosen}> {name}</label>'

    return f"<div class=tongue>{choice('ja', '日本語')}{choice('en', 'English')}</div>"
