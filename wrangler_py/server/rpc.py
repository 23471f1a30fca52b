"""Calls from other Workers: a `Parcel` in, a `Parcel` out, at ``/cdn-cgi/pywrangler/rpc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrangler_py.errors import RequestError
from wrangler_py.server.asgi import header
from wrangler_py.server.fetch import Incoming, send_body

if TYPE_CHECKING:
    from wrangler_py.bindings.parcel import Parcel
    from wrangler_py.runtime.host import Host
    from wrangler_py.server.asgi import Send
    from wrangler_py.server.call import Call


async def answer_worker(call: Call) -> ParcelAnswer:
    """Do what another Worker asks. Its content type is one that no page can send across sites unasked.

    Raises:
        RequestError: 415 another content type, 400 no parcel, 503 no Worker runs here.
    """
    from wrangler_py.bindings.parcel import read_parcel
    from wrangler_py.bindings.wires import CONTENT_TYPE

    if header(call.scope, b"content-type") != CONTENT_TYPE:
        raise RequestError(415, f"Workers speak {CONTENT_TYPE} here.")
    if call.host.dispatcher is None:
        raise RequestError(503, "No Worker runs on this state.")
    incoming = Incoming(call.receive)
    try:
        answer = await call.host.dispatcher.answer(await read_parcel(aiter(incoming)))
    except ValueError as error:
        raise RequestError(400, f"This is not a call of a Worker: {error}") from None
    return ParcelAnswer(call.host, answer, incoming)


class ParcelAnswer:
    """A parcel on its way back; its body streams."""

    def __init__(self, host: Host, parcel: Parcel, incoming: Incoming) -> None:
        self._host, self._parcel, self._incoming = host, parcel, incoming

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send it."""
        from wrangler_py.bindings.wires import CONTENT_TYPE

        _ = head
        front, body = self._parcel.front, self._parcel.body
        headers = [(b"content-type", CONTENT_TYPE.encode())]
        if isinstance(body, bytes):
            headers.append((b"content-length", b"%d" % (len(front) + len(body))))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": front + body})
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": front, "more_body": True})
        await send_body(self._host, body, self._incoming, send)
