"""Turning the wheel, taking it back, and the sample it can be tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show, table
from ikkan.ground.ids import DecisionId

if TYPE_CHECKING:
    from ikkan.flywheel.values import Decision

flywheel_app = typer.Typer(no_args_is_help=True, help="From daily corrections to a better model, and back.")
sample_app = typer.Typer(no_args_is_help=True, help="The sample firm's help desk.")

Learnable = Annotated[str, typer.Argument(help="What to learn: assistant.answer.")]


@flywheel_app.command("run")
def run(
    learnable: Learnable,
    seed: Annotated[int, typer.Option(help="For training.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Turn the wheel once: train a candidate, judge it on later questions, promote or refuse it."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        decision = platform.flywheel.run(learnable, seed=seed)
        own = platform.flywheel.explain(decision.id).own
    show({**decision.as_json(), "own": own}, as_json=as_json, text=lambda: _told(decision))


@flywheel_app.command("status")
def status(
    learnable: Annotated[str, typer.Argument(help="What to ask about; nothing for all.")] = "",
    as_json: AsJson = False,
) -> None:
    """Who serves, what it learned from, what has come in since."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        found = [platform.flywheel.status(name) for name in ([learnable] if learnable else platform.flywheel.names)]
    told: Any = found[0].as_json() if learnable else [one.as_json() for one in found]
    show(
        told,
        as_json=as_json,
        text=lambda: table(
            ["learnable", "champion", "answers", "corrections", "not yet learned", "can roll back"],
            [
                [one.learnable, _short(one.champion), one.answers, one.corrections, one.fresh, one.can_roll_back]
                for one in found
            ],
        ),
    )


@flywheel_app.command("rollback")
def rollback(
    learnable: Learnable,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    as_json: AsJson = False,
) -> None:
    """Put the previous champion back; it answers the next request."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        decision = platform.flywheel.rollback(learnable, reason)
    show(decision.as_json(), as_json=as_json, text=lambda: _told(decision))


@flywheel_app.command("history")
def history(learnable: Learnable, as_json: AsJson = False) -> None:
    """Every decision, newest first."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        decisions = platform.flywheel.history(learnable)
    show(
        [decision.as_json() for decision in decisions],
        as_json=as_json,
        text=lambda: table(
            ["when", "decision", "gain", "95 %", "n", "id"],
            [
                [
                    f"{one.decided_at:%Y-%m-%d %H:%M}",
                    one.decision,
                    _number(one.gain),
                    f"[{_number(one.lower)}, {_number(one.upper)}]",
                    one.n,
                    one.id,
                ]
                for one in decisions
            ],
        ),
    )


@flywheel_app.command("explain")
def explain(
    decision_id: Annotated[str, typer.Argument(help="As in `history`.")],
    replay: Annotated[bool, typer.Option("--replay", help="Compute it again and compare.")] = False,
    as_json: AsJson = False,
) -> None:
    """Why it was promoted or refused, with our own corrections before and after."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        told = platform.flywheel.explain(DecisionId(decision_id))
        again = platform.flywheel.replay(DecisionId(decision_id)) if replay else None
    show(
        {
            **told.decision.as_json(),
            "own": told.own,
            **({"replay": {"same": again.same, "missing": again.missing}} if again else {}),
        },
        as_json=as_json,
        text=lambda: "\n".join(
            [_told(told.decision)]
            + [f"  Q {own.question}\n    before: {own.before}\n    after:  {own.after}" for own in told.own]
            + ([f"  computed again: {'the same' if again.same else 'NOT the same'}"] if again else [])
        ),
    )


@sample_app.command("load")
def load(
    seed: Annotated[int, typer.Option(help="Which eight weeks of visits.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Load the sample firm's help desk into this home: its knowledge and eight weeks of recorded visits."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        counted = bootstrap.load_sample(platform, seed=seed)
    show(counted, as_json=as_json, text=lambda: ", ".join(f"{number} {name}" for name, number in counted.items()))


@sample_app.command("shuffle")
def shuffle(
    learnable: Annotated[str, typer.Argument(help="What to try it on.")] = "assistant.answer",
    seed: Annotated[int, typer.Option(help="Which permutation.")] = 0,
    as_json: AsJson = False,
) -> None:
    """A drill: the same corrections, permuted between questions. The gate must refuse; nothing is switched."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        decision = platform.flywheel.run(learnable, seed=seed, shuffle=True)
    show(decision.as_json(), as_json=as_json, text=lambda: _told(decision))


def _told(decision: Decision) -> str:
    lines = [f"{decision.decision}: {decision.reason}"]
    if decision.gain is not None:
        interval = f"[{_number(decision.lower)}, {_number(decision.upper)}]"
        lines.append(f"  gain {_number(decision.gain)}, 95 % interval {interval}, n = {decision.n}")
    lines.append(f"  ikkan flywheel explain {decision.id}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _short(artifact: str | None) -> str:
    return artifact.removeprefix("sha256:")[:12] if artifact else "–"
