"""Between ASGI and the user's ``fetch``: a `Request` in, a `Response` out, both bodies streamed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wrangler_py.sdk.web.streams import ReadableStream, Source, chunks_of
from wrangler_py.server.answer import text
from wrangler_py.server.asgi import Receive, Scope, Send, header, raw_path
from wrangler_py.server.faults import fault_page, log_fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wrangler_py.runtime.host import Host
    from wrangler_py.sdk.web.request import Request

#: Statuses whose responses have no body (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
BODILESS = frozenset({204, 205, 304})


async def serve_fetch(host: Host, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request by the user's code; what it raises becomes a page with status 500, and is logged."""
    from wrangler_py.sdk.wire import unpack

    is_head = scope["method"] == "HEAD"
    incoming = Incoming(receive)
    try:
        request = build_request(scope, incoming)
    except TypeError as error:
        await text(400, f"{error}\n").send(send, head=is_head)
        return
    try:
        response = await host.fetch(request)
        outgoing = unpack(response)
    except Exception as error:  # noqa: BLE001 - user code may raise anything
        page = fault_page(host, error, f"{scope['method']} {scope['path']}")
        await page.send(send, head=is_head)
        return
    await send({"type": "http.response.start", "status": outgoing.status, "headers": outgoing.headers})
    bodiless = is_head or outgoing.status in BODILESS
    await send_body(host, b"" if bodiless else outgoing.body, incoming, send)
    if bodiless:
        await _drop(outgoing.body)


class Incoming:
    """The request's body as the client sends it, and the client's going away."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read = asyncio.Event()
        #: True once somebody has begun to read it.
        self.has_begun = False

    def end(self) -> None:
        """Say that there is no body to read."""
        self._read.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.has_begun = True
        while not self._read.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._read.set()
                raise ConnectionResetError("the client went away before it had sent its whole request")
            if not message.get("more_body", False):
                self._read.set()
            if chunk := message.get("body", b""):
                yield chunk

    async def gone(self) -> None:
        """Return when the client has gone away; not before the body's end, whose parts come the same way."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


def build_request(scope: Scope, incoming: Incoming) -> Request:
    """Return the user's `Request`. Raises TypeError if the address or a header cannot be one."""
    from wrangler_py.sdk.wire import make_request

    body = incoming if _has_body(scope) else None
    if body is None:
        incoming.end()
    return make_request(scope["method"], _url(scope), scope["headers"], body)


def _has_body(scope: Scope) -> bool:
    if scope["method"] in {"GET", "HEAD"}:
        return False
    length = header(scope, b"content-length")
    return length not in {None, "0"} or header(scope, b"transfer-encoding") is not None


def _url(scope: Scope) -> str:
    authority = header(scope, b"host")
    if not authority:
        name, port = scope.get("server") or ("localhost", None)
        authority = f"{name}:{port}" if port else name
    query = scope["query_string"].decode("latin-1")
    return f"{scope['scheme']}://{authority}{raw_path(scope)}{'?' + query if query else ''}"


async def send_body(host: Host, source: Source, incoming: Incoming, send: Send) -> None:
    """Send a body as it comes, until its end or until the client has gone."""
    if isinstance(source, bytes):
        await send({"type": "http.response.body", "body": source})
        return
    sending = asyncio.ensure_future(_stream(host, source, send))
    leaving = asyncio.ensure_future(incoming.gone())
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _stream(host: Host, source: Source, send: Send) -> None:
    """Send chunk by chunk. After an error the response stays unfinished, so the connection breaks."""
    try:
        async for chunk in chunks_of(source):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except Exception as error:  # noqa: BLE001 - the user's generator may raise anything
        log_fault(host, error, "The body of a response")
    else:
        await send({"type": "http.response.body", "body": b""})


async def _drop(source: Source) -> None:
    if not isinstance(source, bytes):
        await ReadableStream(source).cancel()
