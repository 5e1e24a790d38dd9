"""The usage page: what was asked and what it cost, by day, model and key; and the same as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.cloud.service import UsageLine
from ikkan.console.desk import Desk, UsageScope, money
from ikkan.kit.frame import SECURITY_HEADERS
from ikkan.kit.session import Session

SHOWN, EXPORTED = 500, 50_000
COLUMNS = ("day", "model", "key", "requests", "failed", "input_tokens", "cached_tokens", "output_tokens",
           "estimated", "cost", "currency")  # fmt: skip


def routes(desk: Desk) -> list[BaseRoute]:
    """The page and the export."""

    async def lines(session: Session, limit: int) -> Sequence[UsageLine]:
        scope = UsageScope.of(session)
        usage = desk.cloud.service.usage
        return await desk.database.run(usage, tenant_id=scope.tenant_id, key_id=scope.key_id, limit=limit)

    async def show(request: Request) -> Response:
        found = await lines(desk.frame.require(request), SHOWN)
        rows = [
            {
                "day": line.day,
                "model": line.model,
                "key": line.key_name or line.key_id,
                "requests": f"{line.requests:,}",
                "input_tokens": f"{line.input_tokens:,}",
                "cached_tokens": f"{line.cached_tokens:,}",
                "output_tokens": f"{line.output_tokens:,}",
                "guessed": line.estimated > 0,
                "cost": line.cost,
                "unpriced": line.unpriced > 0,
            }
            for line in found
        ]
        total = money(sum(line.cost_micros for line in found))
        return desk.frame.render(request, "console/usage.html", lines=rows, total=total)

    async def export(request: Request) -> Response:
        found = await lines(desk.frame.require(request), EXPORTED)
        return Response(
            as_csv(found),
            media_type="text/csv; charset=utf-8",
            headers={**SECURITY_HEADERS, "content-disposition": 'attachment; filename="ikkan-usage.csv"'},
        )

    return [Route("/usage", show), Route("/usage.csv", export)]


def as_csv(lines: Iterable[UsageLine]) -> bytes:
    """Usage as a file that spreadsheets open in the right letters and never take for formulas."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in lines:
        said = (line.day or "", line.model or "", line.key_name or line.key_id or "")
        counted = (
            line.requests,
            line.failed,
            line.input_tokens,
            line.cached_tokens,
            line.output_tokens,
            line.estimated,
        )
        cost = f"{line.cost_micros / 1_000_000:.6f}"
        writer.writerow([*map(plain_cell, said), *counted, cost, plain_cell(line.currency)])
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8")


def plain_cell(text: str) -> str:
    """Text that a spreadsheet shows as it is: what would begin a formula gets an apostrophe in front.

    Source: OWASP, CSV Injection.

    >>> plain_cell("=HYPERLINK(1)"), plain_cell("＝1"), plain_cell("batch jobs"), plain_cell(" =1")
    ("'=HYPERLINK(1)", "'＝1", 'batch jobs', "' =1")
    """
    begins = text.lstrip(" \u3000")[:1]
    return f"'{text}" if begins in {"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"} else text
