"""Turning the wheel, looking at it, taking it back, and the sample it can be tried on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ikkan import bootstrap
from ikkan.cli import wheel_words as words
from ikkan.cli.output import AsJson, show, stderr_console, table
from ikkan.cli.prove import Data, Seconds, Test, learn_file
from ikkan.ground.errors import BadInput
from ikkan.ground.ids import DecisionId

if TYPE_CHECKING:
    from ikkan.bootstrap.platform import Platform

flywheel_app = typer.Typer(no_args_is_help=True, help="From daily corrections to a better model, and back.")
sample_app = typer.Typer(no_args_is_help=True, help="The sample firm's help desk.")

Learnable = Annotated[str, typer.Argument(help="What to learn: assistant.answer.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
ME = "local"
"""Who decides at the command line of this machine; whoever can run it could read everything anyway."""


@contextmanager
def _opened() -> Iterator[tuple[Platform, str]]:
    """The platform and the language of this terminal."""
    settings = bootstrap.settings()
    with bootstrap.opened(settings) as platform:
        yield platform, settings.terminal_language


@flywheel_app.command("run")
def run(
    learnable: Learnable,
    seed: Annotated[int, typer.Option(help="For training.")] = 0,
    data: Data = None,
    test: Test = None,
    seconds: Seconds = None,
    as_json: AsJson = False,
) -> None:
    """Turn the wheel once: train a candidate, judge it on later questions, promote or refuse it.

    With --data, learn from that file instead and say what it is worth on --test; who serves stays the same.
    """
    if data is not None or test is not None or seconds is not None:
        return learn_file(learnable, data, test, seed, seconds=seconds, as_json=as_json)
    with _opened() as (platform, language):
        say = words.say_in(language)
        with _stages() as bar:
            task = bar.add_task(say("reading events"), total=1.0)

            def tell(done: float, message: str) -> None:
                bar.update(task, completed=done, description=say(message))

            decision = platform.flywheel.run(learnable, seed=seed, thorough=True, progress=tell)
        own = platform.flywheel.explain(decision.id).own
    show({**decision.as_json(), "own": own}, as_json=as_json, text=lambda: words.told(decision, language))


@flywheel_app.command("status")
def status(
    learnable: Annotated[str, typer.Argument(help="What to ask about; nothing for all.")] = "",
    as_json: AsJson = False,
) -> None:
    """Who serves, what it learned from, what has come in since, who is being tried, and when it is looked at next."""
    with _opened() as (platform, language):
        found = [platform.flywheel.status(name) for name in ([learnable] if learnable else platform.flywheel.names)]
        now = platform.clock.now()

    told: Any = found[0].as_json() if learnable else [one.as_json() for one in found]
    show(
        told,
        as_json=as_json,
        text=lambda: "\n\n".join(words.told_status(one, now, language) for one in found),
    )


@flywheel_app.command("rollback")
def rollback(learnable: Learnable, reason: Reason = "", as_json: AsJson = False) -> None:
    """Put the previous champion back; it answers the next request. A candidate that is being tried goes instead."""
    with _opened() as (platform, language):
        decision = platform.flywheel.rollback(learnable, reason)
    show(decision.as_json(), as_json=as_json, text=lambda: words.told(decision, language))


@flywheel_app.command("promote")
def promote(
    learnable: Learnable,
    artifact: Annotated[str, typer.Argument(help="The id of one that was judged, or a beginning of it.")],
    reason: Annotated[str, typer.Option(help="Why the gate's word is not asked. Required.")] = "",
    as_json: AsJson = False,
) -> None:
    """Let this artifact serve without the gate's word. The record says who and why; `rollback` takes it back."""
    with _opened() as (platform, language):
        decision = platform.flywheel.promote(learnable, artifact, reason, who=ME)
    show(decision.as_json(), as_json=as_json, text=lambda: words.told(decision, language))


@flywheel_app.command("sign")
def sign(
    decision_id: Annotated[str, typer.Argument(metavar="DECISION", help="The decision that waits, as in `status`.")],
    accept: Annotated[bool | None, typer.Option("--accept/--reject", help="Promote it, or send it away.")] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Sign for a candidate that waits for a person's word, or do not."""
    if accept is None:
        raise BadInput("a signature says yes or no", hint="--accept or --reject", param="accept")
    with _opened() as (platform, language):
        waiting = platform.flywheel.decision(DecisionId(decision_id))
        decision = platform.flywheel.sign(
            waiting.learnable, ME, accepted=accept, note=reason, decision_id=DecisionId(decision_id)
        )
    show(decision.as_json(), as_json=as_json, text=lambda: words.told(decision, language))


@flywheel_app.command("look")
def look(learnable: Learnable, as_json: AsJson = False) -> None:
    """Count how people fared in the trial that is going on, and do what follows. The worker does it by itself."""
    with _opened() as (platform, language):
        decision = platform.flywheel.look(learnable)
    nobody = words.say_in(language)("no_trial")
    told = decision.as_json() if decision else None
    show(told, as_json=as_json, text=lambda: words.told(decision, language) if decision else nobody)


@flywheel_app.command("watch")
def watch(learnable: Learnable, as_json: AsJson = False) -> None:
    """Ask whether what is served has drifted. A drift asks for a turn; it switches nothing."""
    with _opened() as (platform, language):
        decision = platform.flywheel.watch(learnable)
    nothing = words.say_in(language)("nothing_drifted")
    told = decision.as_json() if decision else None
    show(told, as_json=as_json, text=lambda: words.told(decision, language) if decision else nothing)


@flywheel_app.command("trial")
def trial(learnable: Learnable, as_json: AsJson = False) -> None:
    """The latest trial on people: its stage, what is known, and every look at it."""
    with _opened() as (platform, language):
        found, looks = platform.flywheel.looks(learnable)
        status = platform.flywheel.status(learnable) if found is not None and found.ended_at is None else None
    standing = status.standing.as_json() if status is not None and status.standing is not None else {}
    told: Any = None
    if found is not None:
        told = {**found.as_json(), **standing, "looks": [each.as_json() for each in looks]}
        told["ended_at"] = found.ended_at.isoformat() if found.ended_at else None

    def text() -> str:
        if found is None:
            return words.say_in(language)("no_trial")
        head = [found.learnable, *words.told_trial(found, status, language), ""]
        return "\n".join(head) + "\n" + _table(words.rows(looks, language), language)

    show(told, as_json=as_json, text=text)


@flywheel_app.command("history")
def history(learnable: Learnable, as_json: AsJson = False) -> None:
    """Every decision, newest first."""
    with _opened() as (platform, language):
        decisions = platform.flywheel.history(learnable)
    show(
        [decision.as_json() for decision in decisions],
        as_json=as_json,
        text=lambda: _table(words.rows(decisions, language), language),
    )


@flywheel_app.command("explain")
def explain(
    decision_id: Annotated[str, typer.Argument(help="As in `history`.")],
    replay: Annotated[bool, typer.Option("--replay", help="Compute it again and compare.")] = False,
    as_json: AsJson = False,
) -> None:
    """Why it was promoted or refused, with our own corrections before and after."""
    with _opened() as (platform, language):
        told = platform.flywheel.explain(DecisionId(decision_id))
        again = platform.flywheel.replay(DecisionId(decision_id)) if replay else None
    show(
        {
            **told.decision.as_json(),
            "own": told.own,
            **({"replay": {"same": again.same, "missing": again.missing}} if again else {}),
        },
        as_json=as_json,
        text=lambda: words.told_with_own(told, again, language),
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
    with _opened() as (platform, language):
        decision = platform.flywheel.run(learnable, seed=seed, shuffle=True)
    show(decision.as_json(), as_json=as_json, text=lambda: words.told(decision, language))


def _table(rows: list[list[object]], language: str) -> str:
    say = words.say_in(language)
    return table([say("when"), say("decision"), say("gain_column"), say("interval"), "n", "id"], rows)


def _stages() -> Progress:
    """A bar that says what the turn is doing, on stderr; silent where that is no terminal."""
    console = stderr_console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
