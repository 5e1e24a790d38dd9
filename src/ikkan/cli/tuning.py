"""Fine-tuning: a file of examples becomes a model of one's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show, table
from ikkan.ground.errors import SetupNeeded

if TYPE_CHECKING:
    from ikkan.bootstrap.platform import Platform
    from ikkan.cloud.tuning.service import TuningService
    from ikkan.cloud.tuning.values import TuningJob

_EVERY_S = 0.5


class _Files(TyperGroup):
    """`ikkan tune FILE` is `ikkan tune run FILE`: what is no command is a file."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["run", *args])


tune_app = typer.Typer(
    cls=_Files, no_args_is_help=True, help="Fine-tuning: ikkan tune FILE makes a model of your own from examples."
)


@tune_app.command("run")
def run(
    file: Annotated[Path, typer.Argument(help="Examples, one a line, as OpenAI has them: messages, or preferences.")],
    base: Annotated[str, typer.Option(help="The model to begin from.")] = "default",
    suffix: Annotated[str, typer.Option(help="Part of the new model's name.")] = "",
    epochs: Annotated[int, typer.Option(help="Passes over the file; 0 leaves it to us.", min=0, max=50)] = 0,
    validation: Annotated[Path | None, typer.Option(help="Examples that are only measured.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed, file and base give the same model.")] = None,
    wait: Annotated[bool, typer.Option(help="Stay until it is done. Leaving does not stop it.")] = True,
    as_json: AsJson = False,
) -> None:
    """Train an adapter on a file, and let it answer under a name of its own."""
    from ikkan.cloud.tuning.asking import Asked
    from ikkan.cloud.values import LOCAL

    with bootstrap.opened(bootstrap.settings()) as platform:
        service = _service(platform)
        training = service.bring(LOCAL, file)
        held_back = None if validation is None else service.bring(LOCAL, validation)
        asked = Asked(
            model=base,
            training_file=training.id,
            validation_file=held_back.id if held_back else None,
            suffix=suffix,
            seed=seed,
            method="dpo" if training.contents.kind == "preference" else "supervised",
            hyperparameters={"n_epochs": epochs or "auto"},
        )
        job = service.create(LOCAL, asked)
        if wait:
            job = _watch(service, job)
    show(_plain(job), as_json=as_json, text=lambda: _told(job))
    if job.state == "failed":
        raise typer.Exit(1)


@tune_app.command("list")
def list_jobs(as_json: AsJson = False) -> None:
    """Trainings, newest first."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        jobs = _service(platform).jobs(None, limit=50).items
    show(
        [_plain(job) for job in jobs],
        as_json=as_json,
        text=lambda: table(
            ["job", "tenant", "base", "state", "steps", "model"],
            [
                [job.id, job.tenant_id, job.base.name, job.state, f"{job.step}/{job.steps}", _model(job) or "–"]
                for job in jobs
            ],
        ),
    )


@tune_app.command("cancel")
def cancel(
    job_id: Annotated[str, typer.Argument(help="As in `tune list`.")],
    as_json: AsJson = False,
) -> None:
    """Stop a training within a step."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        job = _service(platform).cancel(None, job_id)
    show(_plain(job), as_json=as_json, text=lambda: _told(job))


def _watch(service: TuningService, job: TuningJob) -> TuningJob:
    """Show how far it is until it is over, or until the person leaves."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    try:
        with bar:
            shown = bar.add_task(job.state, total=job.steps)
            while job.is_active:
                time.sleep(_EVERY_S)
                job = service.job(None, job.id)
                bar.update(shown, description=job.state, completed=job.step, total=job.steps)
    except KeyboardInterrupt:
        console.print(f"it goes on without you; ikkan tune cancel {job.id} stops it", highlight=False)
    return job


def _service(platform: Platform) -> TuningService:
    if platform.cloud.tuning is None:
        raise SetupNeeded("nothing can be trained here", hint="ikkan up")
    return platform.cloud.tuning


def _model(job: TuningJob) -> str | None:
    return job.model_name if job.state == "succeeded" else None


def _plain(job: TuningJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "base": job.base.name,
        "model": _model(job),
        "step": job.step,
        "steps": job.steps,
        "trained_tokens": job.trained_tokens,
        "error": job.error,
    }


def _told(job: TuningJob) -> str:
    lines = [f"{job.id}: {job.state}, {job.step} of {job.steps} steps, {job.trained_tokens:,} tokens"]
    if job.error is not None:
        lines.append(f"  {job.error['message']}")
    if _model(job):
        lines.append(f"  ask for it as: {job.model_name}")
    elif job.is_active:
        lines.append("  the worker (ikkan up) does it; ikkan tune list shows how far it is")
    return "\n".join(lines)
