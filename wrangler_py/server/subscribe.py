"""``GET .../instances/{instance}/subscribe``: an instance's history as server-sent events (rest-and-cli, section 3).

``id:`` is the cursor, ``event:`` the type, ``data:`` the event as JSON. Who reconnects says in ``Last-Event-ID`` or
``cursor`` what it has seen, and gets what is behind that. The stream ends after the instance's last event, and
before it when this process ends: then the client comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from wrangler_py.engine.describe import show_event
from wrangler_py.engine.model import INTERNAL, HistoryEvent, HistoryType
from wrangler_py.errors import RequestError
from wrangler_py.server.asgi import header
from wrangler_py.server.routing import Handler
from wrangler_py.server.streaming import cancel, send_part, while_connected

if TYPE_CHECKING:
    from wrangler_py.server.asgi import Receive, Send
    from wrangler_py.server.call import Call

#: Seconds of silence after which a comment is sent, so that nobody on the way takes the connection for dead.
KEEP_ALIVE_S = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
#: Milliseconds after which a browser's EventSource comes back.
_RETRY = b"retry: 500\n\n"
_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
_MAX_CURSOR = 2**63 - 1
_encode = msgspec.json.Encoder().encode


async def subscribe(call: Call) -> EventStream:
    """Answer with the events behind the cursor, of the types in ``filter`` (comma between them; none: all)."""
    after, only = _cursor(call), _filter(call.query.get("filter"))
    instance_id = await call.instance_id()
    await call.engine.status(call.workflow, instance_id)
    events = call.engine.subscribe(call.workflow, instance_id, after=after, only=only)
    return EventStream(events, call.receive)


def _cursor(call: Call) -> int:
    """``Last-Event-ID`` wins: a browser that reconnects sends it beside the address it first had."""
    given = header(call.scope, b"last-event-id") or call.query.get("cursor") or "0"
    if given.isascii() and given.isdigit() and len(given) < 20 and int(given) <= _MAX_CURSOR:
        return int(given)
    raise RequestError(400, f"cursor: must be the id of an event of this instance, not {given!r}")


def _filter(given: str | None) -> set[HistoryType] | None:
    if not given:
        return None
    names = [name.strip() for name in given.split(",")]
    known = {kind.value for kind in set(HistoryType) - INTERNAL}
    if unknown := [name for name in names if name not in known]:
        raise RequestError(400, f"filter: {unknown[0]!r} is no type of event; there are {', '.join(known)}")
    return {HistoryType(name) for name in names}


class EventStream:
    """Sends events as they come; no event is asked for before the one ahead of it has been taken."""

    def __init__(self, events: AsyncIterator[HistoryEvent], receive: Receive) -> None:
        self._events = events
        self._receive = receive

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send until the events or the client are at their end."""
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        if not head:
            await while_connected(self._send_all(send), self._receive)
        await send({"type": "http.response.body", "body": b""})

    async def _send_all(self, send: Send) -> None:
        await send_part(send, _RETRY)
        async for event in _with_silence(self._events):
            await send_part(send, KEEP_ALIVE if event is None else _frame(event))


async def _with_silence(events: AsyncIterator[HistoryEvent]) -> AsyncIterator[HistoryEvent | None]:
    """Give the events, and None whenever none came for a while."""
    coming: asyncio.Future[HistoryEvent | None] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events, None))
            await asyncio.wait({coming}, timeout=KEEP_ALIVE_S)
            if not coming.done():
                yield None
                continue
            event, coming = coming.result(), None
            if event is None:
                return
            yield event
    finally:
        if coming is not None:
            await cancel(coming)
        await _close(events)


def _frame(event: HistoryEvent) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.seq,
        event.type.value.encode(),
        _encode(show_event(event)),
    )


async def _close(events: AsyncIterator[HistoryEvent]) -> None:
    aclose = getattr(events, "aclose", None)
    if aclose is not None:
        await aclose()


#: Apart from the other routes: what has no end of its own is not driven by made-up requests.
TABLE: dict[str, Handler] = {"GET workflows/{workflow}/instances/{instance}/subscribe": subscribe}
