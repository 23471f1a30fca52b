"""Run the Worker's ``scheduled`` handler by hand (rest-and-cli, section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrangler_py.errors import RequestError
from wrangler_py.server.answer import Answer, text
from wrangler_py.server.faults import fault_page

if TYPE_CHECKING:
    from wrangler_py.server.call import Call

#: The cron expression the handler sees when none is given.
EVERY_MINUTE = "* * * * *"


async def run_scheduled(call: Call) -> Answer:
    """Run ``scheduled`` with ``?cron=`` and ``?time=``, in milliseconds since 1970 (default: now)."""
    query = call.query
    at_ms = _time(query.get("time")) or call.engine.clock.now()
    try:
        await call.host.scheduled(query.get("cron") or EVERY_MINUTE, at_ms)
    except Exception as error:  # noqa: BLE001 - user code may raise anything; the answer tells
        return fault_page(call.host, error, "scheduled()")
    return text(200, "ok")


def _time(given: str | None) -> int | None:
    if not given:
        return None
    try:
        return int(given)
    except ValueError:
        raise RequestError(400, f"time: must be milliseconds since 1970, not {given!r}") from None
