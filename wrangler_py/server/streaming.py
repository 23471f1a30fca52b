"""Answers that are sent piece by piece, for as long as somebody reads them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from wrangler_py.server.asgi import Receive, Send

_OCTETS = (b"content-type", b"application/octet-stream")


class ByteStream:
    """Sends ``size`` bytes as they are read; no piece is read before the one ahead of it has been taken."""

    def __init__(self, chunks: AsyncGenerator[bytes, None], size: int, receive: Receive) -> None:
        self._chunks, self._size, self._receive = chunks, size, receive

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send until the bytes or the client are at their end."""
        headers = [_OCTETS, (b"content-length", b"%d" % self._size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with aclosing(self._chunks):
            if head or await while_connected(self._send_all(send), self._receive):
                await send({"type": "http.response.body", "body": b""})

    async def _send_all(self, send: Send) -> None:
        async for chunk in self._chunks:
            await send_part(send, chunk)


async def send_part(send: Send, body: bytes) -> None:
    """Send a piece of a body that goes on."""
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def while_connected(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """Await ``work``, but not longer than the client stays; say whether it came to its end."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        working.result()
        return True
    finally:
        await cancel(working, leaving)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait until they are over."""
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
