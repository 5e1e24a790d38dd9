"""The manifest: everything the house needs to know of an app, and everything an app is handed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Connection
from starlette.routing import BaseRoute

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.upstreams import Upstream
from ikkan.flywheel.contract import Gives, Learnable
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import SubjectId, TenantId
from ikkan.ground.jobs import Jobs
from ikkan.ground.settings import Settings
from ikkan.kit.frame import Frame
from ikkan.kit.taught import Embed, Taught, Tunes
from ikkan.models.registry import Registry


@dataclass(frozen=True, slots=True)
class Parts:
    """What `bootstrap` hands to an app. An app takes what it needs and asks for nothing else."""

    settings: Settings
    clock: Clock
    database: Database
    events: EventLog
    artifacts: ArtifactStore
    registry: Registry
    cloud: Cloud
    frame: Frame
    embed: Embed | None = None
    """Texts to vectors of unit length by this home's embedding model, in this process; None where there is none."""
    tunes: Tunes | None = None
    """The embedding model, for whoever wants to teach it something of their own; None where there is none."""
    chat_model: Taught | None = None
    """The model that answers for `default`, to be taught; None where there is none."""
    jobs: Jobs | None = None
    """Where an app registers work that takes longer than a click; None where nobody executes any."""
    gives: Gives | None = None
    """Which artifact answers a person, the arms of a trial included; None: always the registry's champion."""
    secret_of: Callable[[str], str | None] = lambda name: None
    """The value of an environment variable, for whoever keeps only the name of a key's; None where it is not set."""


@dataclass(frozen=True, slots=True)
class Tool:
    """Something the assistant may call by name; the description is its prompt."""

    name: str
    description: str
    handler: Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class EventKind:
    """An event an app writes, with one frozen sample payload per version ever written."""

    name: str
    version: int
    samples: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Round:
    """A short look the worker takes every so often. It may run twice, and be missed while no worker runs."""

    name: str
    every_s: float
    look: Callable[[], object]


@dataclass(frozen=True, slots=True)
class App:
    """An app as the house sees it. `tests/apps/test_every_app.py` holds each one to the house rules."""

    name: str
    """Lower case; `/a/<name>/v1` is its API, `/<name>` its pages."""
    title: Mapping[str, str]
    """By language: ja and en at least."""
    erases: Callable[[Connection, TenantId, SubjectId], int]
    """Remove a person from this app's own tables; returns the rows removed."""
    api: FastAPI | None = None
    """Its API, made by `kit.api`; mounted at `/a/<name>/v1`."""
    pages: tuple[BaseRoute, ...] = ()
    """Page routes, relative to `/<name>`."""
    upstreams: tuple[Upstream, ...] = ()
    """What answers requests for the model of this app's name, if it offers one."""
    tools: tuple[Tool, ...] = ()
    emits: tuple[EventKind, ...] = ()
    learns: tuple[Learnable, ...] = ()
    rounds: tuple[Round, ...] = ()
    templates: str = ""
    """The package whose `templates/` folder holds this app's pages."""
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Strings people see: key → language → text."""
