"""Logs: facts, not prose; readable for a person at a terminal, JSON for a machine.

Modules only say `log = logging.getLogger(__name__)` and `log.info("reservation settled", extra={"tokens": n})`.
`configure` is called once, by bootstrap. Prompts, transcripts and keys never reach a log; should one slip into a field
with a telling name, `hide_secrets` takes it out.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

_TELLING: Final = re.compile(
    r"(?:^|_)(?:password|passwd|secret|authorization|cookie|api_?key|master_?key|bearer|access_token|refresh_token"
    r"|prompt|messages|transcript|content|question|answer)$",
    re.IGNORECASE,
)
_LOGIN: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/@]+@", re.IGNORECASE)
_BEARER: Final = re.compile(r"\b(?P<word>Bearer)\s+\S+", re.IGNORECASE)


def configure(level: str = "INFO", json: bool = False, *, stream: TextIO | None = None) -> None:
    """Send every log of this process to `stream` (standard error): one line each, JSON if asked.

    Replaces what an earlier call configured; safe to repeat.
    """
    import structlog

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.format_exc_info,  # plain text: local variables of a traceback would tell secrets
        hide_secrets,
    ]
    target = stream if stream is not None else sys.stderr
    last: list[Any]
    if json:
        last = [structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=plain, timestamp_key="at")]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    handler.set_name("ikkan")
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.get_name() == "ikkan"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    # Libraries that tell every statement or connection at INFO; their warnings still come through.
    for name in ("sqlalchemy.engine", "alembic", "aiohttp.access", "asyncio", "dbos"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def hide_secrets(logger: Any, method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out of a log line what must not be there: fields with telling names, logins in URLs, bearer tokens.

    >>> hide_secrets(None, "info", {"event": "GET postgres://ada:pw@db/x", "api_key": "k", "tokens": 3})
    {'event': 'GET postgres://ada:***@db/x', 'api_key': '***', 'tokens': 3}
    """
    fields.pop("message", None)  # another handler's rendering of the same event
    for name, value in fields.items():
        if name != "event" and _TELLING.search(name):
            fields[name] = "***"
        elif isinstance(value, str):
            fields[name] = _BEARER.sub(r"\g<word> ***", _LOGIN.sub(r"\g<scheme>:***@", value))
    return fields
