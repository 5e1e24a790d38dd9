"""What the wheel's pages tell: a learnable's state, its trial, and each decision, as the templates read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ikkan.console.desk import local_time
from ikkan.console.wheel.drawing import (
    DOWN,
    STEP,
    Measured,
    Point,
    curves,
    intervals,
    percent,
    score,
    shade,
    short,
    signed,
    span,
)
from ikkan.flywheel import Decision, Explanation, Replay, Status, Trial
from ikkan.flywheel.forced import known
from ikkan.flywheel.words import BASELINES, GUARDS
from ikkan.kit.language import told_in

RIGHT_ANSWER = 0.999
"""A score from here on counts as answered rightly."""
_SHOWN = 12
"""Decisions in the curve over time."""
_LATE_S = 300.0

Say = Callable[..., str]
"""`Words.say(language)`: a key and values to a text."""


# ---- the loop ------------------------------------------------------------------------------------------------------


def stations(status: Status, judged: Decision | None, say: Say, *, turning: bool = False) -> list[dict[str, Any]]:
    """The six stations of the loop in their order, each with its state and up to three lines; one of them is "now"."""
    numbers = judged.numbers if judged else {}
    passed = judged is not None and judged.decision in ("promoted", "trying", "awaiting")
    none = [say("wheel.none_yet")]
    dataset = [
        say("wheel.dataset_teaching", n=f"{numbers.get('teaching', 0):,}"),
        say("wheel.dataset_judging", n=f"{numbers.get('judging', 0):,}"),
        say("wheel.dataset_people", n=f"{numbers.get('people', 0):,}"),
    ]
    events = [
        say("wheel.events_answers", n=f"{status.answers:,}"),
        say("wheel.events_corrections", n=f"{status.corrections:,}"),
        say("wheel.events_fresh", n=f"{status.fresh:,}"),
    ]
    candidate = (
        [short(judged.judged), say("wheel.scored", score=score(numbers.get("candidate_score")))] if judged else []
    )
    gate = [say(f"wheel.{judged.decision}"), span(judged.lower, judged.upper)] if judged else []
    learned = (
        say("wheel.champion_knows", when=local_time(status.known_until)[5:])
        if status.known_until
        else say("wheel.champion_base")
    )
    champion = [short(status.champion), learned] if status.champion else none
    lines: list[tuple[str, str, Sequence[str]]] = [
        ("events", "done" if status.answers else "", events),
        ("dataset", "done" if judged else "", dataset if judged else none),
        ("candidate", "done" if judged else "", candidate or none),
        ("gate", ("done" if passed else "stopped") if judged else "", gate or none),
        ("people", *_people(status, say)),
        ("champion", "champion", champion),
    ]
    here = _here(status, turning=turning)
    return [
        {
            "x": STEP * place,
            "y": DOWN * place,
            "title": say(f"wheel.{name}"),
            "state": state,
            "lines": list(told),
            "here": name == here,
        }
        for place, (name, state, told) in enumerate(lines)
    ]


def _people(status: Status, say: Say) -> tuple[str, list[str]]:
    """The station between gate and champion: who is being tried, on how many."""
    trial, standing = status.trial, status.standing
    if trial is None:
        return "", [say("wheel.people_none"), say("wheel.people_gate")]
    lines = [say(f"wheel.state_{trial.state}", share=percent(trial.share))]
    if standing is not None and (trial.on_people or trial.state == "shadow"):
        lines.append(say("wheel.people_counted", n=f"{standing.people:,}"))
        if standing.gain is not None and standing.people:
            lines.append(span(standing.gain.lower, standing.gain.upper))
    return ("done" if trial.state == "promoted" else "going"), lines


def _here(status: Status, *, turning: bool) -> str:
    """Where the wheel stands: at work, on people, or waiting for what people say."""
    if turning:
        return "candidate"
    return "people" if status.trial is not None and status.trial.state != "promoted" else "events"


# ---- a learnable ---------------------------------------------------------------------------------------------------


def schedule(status: Status, now: datetime, say: Say, language: str) -> dict[str, Any]:
    """When it is looked at next, whether it has drifted, how it is promoted, what it costs."""
    look = status.next_look
    drift = status.drift
    return {
        "next_look": local_time(look) if look else say("wheel.next_never"),
        "late": look is not None and (now - look).total_seconds() > _LATE_S,
        "own": say("wheel.next_own", own=status.own_fresh, enough=status.enough),
        "drift": told_in(drift.reasons, language) if drift else "",
        "policy": say(f"wheel.policy_{status.policy}"),
        "remark": told_in(status.remark, language) if status.remark else "",
        "yen": f"{status.yen_per_success:.3g} JPY" if status.yen_per_success is not None else "",
    }


def trial(found: Trial | None, looks: Sequence[Decision], status: Status, say: Say, language: str) -> dict[str, Any]:
    """A trial on people: the difference as people come, and what must not get worse. Empty where there is none."""
    # What the gate proved alone only waits for a signature; nobody is counted.
    if found is None or (found.state == "awaiting_signature" and not found.on_people):
        return {}
    points = [
        Point(
            at=float(each.n),
            gain=each.gain,
            lower=each.lower,
            upper=each.upper,
            label=f"{each.n:,}",
            told=f"{local_time(each.decided_at)}  n={each.n:,}  {signed(each.gain)}  {span(each.lower, each.upper)}",
            state=_state(each),
            href=f"/wheel/decisions/{each.id}",
        )
        for each in looks
        if each.gain is not None
        and each.lower is not None
        and each.upper is not None
        and each.numbers.get("phase") == "canary"
    ]
    guards = status.standing.guards if status.standing is not None and found.ended_at is None else {}
    return {
        "title": say("wheel.trial", round=found.round),
        "state": say(f"wheel.state_{found.state}", share=percent(found.share)) if found.ended_at is None else "",
        "level": f"{100 * (1 - found.level):.4g}",
        "curves": curves(points, spread=False),
        "empty": say("wheel.trial_shadow" if found.state == "shadow" else "wheel.trial_empty"),
        "guards": [
            {
                "name": _named(GUARDS, name, language),
                "n": gain.n,
                "text": f"{signed(gain.estimate)}  {span(gain.lower, gain.upper)}",
            }
            for name, gain in guards.items()
        ],
        "open": found.ended_at is None,
    }


def waiting(status: Status, decision: Decision | None, say: Say, language: str) -> dict[str, Any]:
    """What a person signs for; empty where nobody waits."""
    if status.trial is None or status.trial.state != "awaiting_signature" or decision is None:
        return {}
    return {"id": decision.id, "candidate": short(status.trial.candidate), **verdict(decision, language)}


def over_time(history: Sequence[Decision]) -> list[dict[str, Any]]:
    """The gain of each turn, oldest first, with its interval."""
    measured = [each for each in history if each.gain is not None and each.is_turn][:_SHOWN][::-1]
    points = [
        Point(
            at=float(place),
            gain=each.gain or 0.0,
            lower=each.lower or 0.0,
            upper=each.upper or 0.0,
            label=local_time(each.decided_at)[5:],
            told=f"{local_time(each.decided_at)}  {signed(each.gain)}  {span(each.lower, each.upper)}",
            state=_state(each),
            href=f"/wheel/decisions/{each.id}",
        )
        for place, each in enumerate(measured)
    ]
    return curves(points, spread=True)


def forceable(history: Sequence[Decision], champion: str | None, say: Say) -> list[dict[str, str]]:
    """Every artifact that could be promoted by a person's word, with what was last decided about it."""
    options = []
    for artifact in known(history):
        about = next((each for each in history if artifact in (each.candidate, each.judged)), None)
        if artifact == champion or about is None:
            continue
        told = f"{short(artifact)} · {say(f'wheel.{about.decision}')} · {local_time(about.decided_at)}"
        options.append({"id": artifact, "told": f"{told} · {signed(about.gain)}" if about.gain is not None else told})
    return options


def _state(decision: Decision) -> str:
    return "good" if decision.decision in ("promoted", "kept") else "bad" if decision.decision == "rolled_back" else ""


# ---- a decision ----------------------------------------------------------------------------------------------------


def verdict(decision: Decision, language: str) -> dict[str, Any]:
    """A decision in a line and its reason."""
    return {
        "id": decision.id,
        "decision": decision.decision,
        "drill": decision.drill,
        "shade": shade(decision),
        "when": local_time(decision.decided_at),
        "reason": told_in(decision.reasons, language),
    }


def judgement(decision: Decision, say: Say, language: str) -> dict[str, Any]:
    """What was measured: intervals to draw, scores beside trivial methods, guardrails, and what to keep in mind."""
    numbers = decision.numbers
    rows = [Measured(say("wheel.all"), decision.n, decision.gain, decision.lower, decision.upper)]
    for found in (numbers.get("slices", {}), numbers.get("guards", {})):
        rows += [
            Measured(_named(GUARDS, name, language), each["n"], each["gain"], each["lower"], each["upper"])
            for name, each in found.items()
        ]
    scored = [
        (say("wheel.candidate"), numbers.get("candidate_score")),
        (say("wheel.base" if decision.drill else "wheel.champion"), numbers.get("champion_score")),
    ]
    if numbers.get("refit_score") is not None:
        scored.insert(1, (say("wheel.refit"), numbers["refit_score"]))
    scored += [
        (_named(BASELINES, name, language), found["score"]) for name, found in numbers.get("baselines", {}).items()
    ]
    return {
        **verdict(decision, language),
        "level": f"{100 * numbers.get('level', 0.95):.4g}",
        "drawn": [intervals(rows, "wide"), intervals(rows, "narrow")],
        "scores": [{"name": name, "score": score(value)} for name, value in scored if "candidate_score" in numbers],
        "risks": [told_in(risk, language) for risk in numbers.get("risks", ())],
    }


def _named(names: Mapping[str, Mapping[str, str]], name: str, language: str) -> str:
    return told_in(names[name], language) if name in names else name


def own_corrections(explained: Explanation) -> dict[str, Any] | None:
    """What this house's people corrected, before and after; None where there is nothing to show."""
    # A question somebody let pass has no right answer to show; it is no correction.
    corrected = [each for each in explained.own if each.right is not None]
    if not corrected and not explained.unreadable:
        return None
    return {
        "lines": [
            {
                "question": each.question,
                "before": each.before,
                "after": each.after,
                "before_right": each.before_score >= RIGHT_ANSWER,
                "after_right": each.after_score >= RIGHT_ANSWER,
            }
            for each in corrected
        ],
        "unreadable": explained.unreadable,
    }


def line(decision: Decision, language: str) -> dict[str, Any]:
    """A decision as a row of the history."""
    return {
        **verdict(decision, language),
        "gain": signed(decision.gain),
        "interval": span(decision.lower, decision.upper),
    }


def record(decision: Decision, say: Say) -> list[dict[str, str]]:
    """What is kept of a decision, for whoever wants to check it."""
    facts = [
        ("wheel.fact_id", decision.id),
        ("wheel.fact_code", decision.code),
        ("wheel.fact_champion", decision.champion),
        ("wheel.fact_candidate", decision.candidate),
        ("wheel.fact_judged", decision.judged),
        ("wheel.fact_dataset", decision.dataset),
        ("wheel.fact_until", local_time(decision.until)),
        ("wheel.fact_seed", str(decision.seed)),
        ("wheel.fact_digest", decision.digest),
    ]
    return [{"name": say(key), "value": value} for key, value in facts if value]


def again(replay: Replay | None, say: Say) -> dict[str, Any] | None:
    """What came of computing a decision again."""
    if replay is None:
        return None
    told = say("wheel.replay_same")
    if not replay.same:
        told = say("wheel.replay_differs", names=", ".join(replay.differences) or "–")
    missing = say("wheel.replay_missing", n=replay.missing) if replay.missing else ""
    return {"same": replay.same, "told": told, "missing": missing}
