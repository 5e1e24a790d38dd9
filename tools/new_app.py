"""Start an app with the house's seven files: `make new-app NAME=parking`. It is green before you type."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HOUSE = Path(__file__).parent.parent

FILES: dict[str, str] = {
    "__init__.py": '''"""{Title}: say in one line what people use it for.

Lives here: facts, rules, tables, use cases, pages and what may be learned of this app.
May not enter: other apps (contract "Rooms are stacked"), the network.
Begin at `service.py`.
"""

from __future__ import annotations

from ikkan.apps.{name} import pages, routes, store
from ikkan.kit import App, Parts

__all__ = ["app"]


def app(parts: Parts) -> App:
    """What the house needs to know of this app."""
    return App(
        name="{name}",
        title={{"ja": "{Title}", "en": "{Title}"}},
        erases=store.forget,
        api=routes.routes(parts),
        pages=pages.pages(parts),
        templates="ikkan.apps.{name}",
        words=pages.WORDS,
    )
''',
    "values.py": '''"""Facts of {name}: frozen values and the events it writes."""
''',
    "rules.py": '''"""Decisions of {name}: pure functions of values, no I/O."""
''',
    "store.py": '''"""Tables of {name}. Their names start with `{name}_`; a migration makes them."""

from __future__ import annotations

from sqlalchemy import Connection, MetaData

from ikkan.ground.ids import SubjectId, TenantId

metadata = MetaData()


def forget(connection: Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
    """Remove a person from every table here; returns the rows removed."""
    return 0
''',
    "service.py": '''"""Use cases of {name}: the one place where rules, store and the house meet."""
''',
    "routes.py": '''"""The API of {name}, under `/a/{name}/v1`. Each route asks the frame who is calling."""

from __future__ import annotations

from fastapi import FastAPI, Request

from ikkan.kit import Parts, api


def routes(parts: Parts) -> FastAPI:
    door = api("{name}", parts.frame)

    @door.get("/about")
    async def about(request: Request) -> dict[str, str]:
        parts.frame.require(request)
        return {{"app": "{name}"}}

    return door
''',
    "pages.py": '''"""What people see of {name}, under `/{name}`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Route

from ikkan.kit import Parts

WORDS: dict[str, dict[str, str]] = {{
    "{name}.title": {{"ja": "{Title}", "en": "{Title}"}},
}}


def pages(parts: Parts) -> tuple[BaseRoute, ...]:
    async def home(request: Request) -> HTMLResponse:
        parts.frame.require(request)
        return parts.frame.render(request, "{name}/home.html")

    return (Route("/", home),)
''',
    "learn.py": '''"""What the flywheel may train from {name}. Nothing yet: declare a `Learnable` first."""
''',
    "templates/{name}/home.html": """{{% extends "base.html" %}}
{{% block title %}}{{{{ t("{name}.title") }}}}{{% endblock %}}
{{% block main %}}
<h1>{{{{ t("{name}.title") }}}}</h1>
{{% endblock %}}
""",
}


def write_app(name: str, house: Path = HOUSE) -> list[Path]:
    """Write the files of a new app called `name`; refuses to touch an existing one."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", name):
        raise SystemExit(f"{name!r} is no app name: use lower-case letters, digits and _, starting with a letter")
    room = house / "src" / "ikkan" / "apps" / name
    if room.exists():
        raise SystemExit(f"{room.relative_to(house)} exists already")
    words = {"name": name, "Title": name.replace("_", " ").capitalize()}
    written = []
    for path, text in FILES.items():
        target = room / path.format(**words)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.format(**words), encoding="utf-8")
        written.append(target)
    return written


if __name__ == "__main__":
    for path in write_app(sys.argv[1]):
        print(path.relative_to(HOUSE))
    print("next: make test, then write what people use it for in the sign on its door")
