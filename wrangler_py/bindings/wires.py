"""One HTTP/1.1 connection to another Worker: a parcel goes out, a parcel comes back, both as streams.

Written on `asyncio.Protocol` because calls are many and small: a general client took four times as long for one call,
and half a minute for a thousand at once.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.parcel import Parcel, read_parcel

if TYPE_CHECKING:
    import httptools

#: Where a Worker takes parcels, and what they are. A page in a browser cannot send this type across sites.
PATH = "/cdn-cgi/pywrangler/rpc"
CONTENT_TYPE = "application/vnd.pywrangler.parcel"
#: Bytes of an answer that nobody has read yet, above which reading from the connection pauses.
HIGH_WATER = 256 * 1024


class ForeignError(Exception):
    """What answered refuses parcels, or knows of none: something else listens there now, and has done nothing."""


class UnreadError(Exception):
    """The other side died before it had read the whole call: it has done nothing."""


class Inbox:
    """The body of an answer as it comes in; belongs to the connection."""

    def __init__(self, flow: Callable[[bool], None]) -> None:
        self._flow = flow
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._changed: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self.has_ended = False

    def feed(self, chunk: bytes) -> None:
        """Take a chunk from the connection."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > HIGH_WATER:
            self._flow(False)
        self._wake()

    def end(self, error: Exception | None = None) -> None:
        """Note that nothing more comes: all was there, or it broke off by ``error``."""
        if not self.has_ended:
            self.has_ended, self._error = True, error
            self._wake()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def next(self) -> bytes | None:
        """Return the next chunk; None at the end.

        Raises:
            Exception: what it broke off by.
        """
        while not self._chunks and not self.has_ended:
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed
        if self._chunks:
            return self._take()
        if self._error is not None:
            raise self._error
        return None

    def _take(self) -> bytes:
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        if self._size <= HIGH_WATER:
            self._flow(True)
        return chunk


class Download:
    """Reads an `Inbox`; closed or forgotten before the end, it gives the connection up, so that none is held."""

    def __init__(self, inbox: Inbox, give_up: Callable[[], None]) -> None:
        self._inbox, self._give_up = inbox, give_up
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> Download:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._inbox.next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Read no more."""
        if not self._inbox.has_ended:
            self._give_up()

    def __del__(self) -> None:
        if not self._inbox.has_ended and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._give_up)


class Wire(asyncio.Protocol):
    """One connection to ``host``.

    ``rested`` is called when it is between two exchanges again, and when it is closed for ever; ``lost`` makes the
    exception for a connection that breaks during an exchange.
    """

    def __init__(self, host: str, rested: Callable[[Wire], None], lost: Callable[[], Exception]) -> None:
        self._lost = lost
        self._front = f"POST {PATH} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {CONTENT_TYPE}\r\n".encode()
        self._rested = rested
        self._parser: httptools.HttpResponseParser | None = None
        self._inbox: Inbox | None = None
        self._begun: asyncio.Future[None] | None = None
        self._upload: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._type = b""
        #: True from a call without a body to the first byte of its answer.
        self._may_be_unread = False
        self._loop = asyncio.get_running_loop()
        self._rested_at = self._loop.time()
        self.is_closed = False

    # the exchange

    async def exchange(self, parcel: Parcel) -> Parcel:
        """Send a parcel, return the one that comes back as soon as its head is there.

        Raises:
            ForeignError: whoever answered is no Worker, and has done nothing.
            UnreadError: it died, and has done nothing.
            Exception: what ``lost`` makes: what was asked may have been done or not; or what the parcel's body raised.
        """
        inbox, begun = self._begin()
        try:
            self._send(parcel)
            await begun
        except BaseException:
            # Once the whole answer is here, the connection may be in another's hands.
            if not inbox.has_ended:
                self.close()
            raise
        return await read_parcel(Download(inbox, self.close))

    def _begin(self) -> tuple[Inbox, asyncio.Future[None]]:
        import httptools

        self._parser = httptools.HttpResponseParser(self)
        self._inbox, self._type = Inbox(self._let_flow), b""
        self._begun = self._loop.create_future()
        return self._inbox, self._begun

    def _send(self, parcel: Parcel) -> None:
        front = parcel.front
        self._may_be_unread = parcel.body == b""
        if isinstance(parcel.body, bytes):
            length = len(front) + len(parcel.body)
            self._transport.write(
                b"%bcontent-length: %d\r\n\r\n%b%b" % (self._front, length, front, parcel.body)
            )
            return
        self._transport.write(b"%btransfer-encoding: chunked\r\n\r\n%b" % (self._front, _chunk(front)))
        self._upload = self._loop.create_task(self._send_rest(parcel.body))

    async def _send_rest(self, body: AsyncIterator[bytes]) -> None:
        from wrangler_py.sdk.web.streams import close

        try:
            async for chunk in body:
                if chunk:
                    self._transport.write(_chunk(chunk))
                await self._writable.wait()
        except Exception as error:  # noqa: BLE001 - the user's iterator may raise anything
            self._fail(error)
        else:
            self._transport.write(b"0\r\n\r\n")
        finally:
            await close(body)

    def close(self) -> None:
        """Break the connection off."""
        if not self.is_closed:
            self._transport.abort()
            self._end(self._lost())

    @property
    def age(self) -> float:
        """Seconds since it was used."""
        return self._loop.time() - self._rested_at

    @property
    def is_fresh(self) -> bool:
        """True if something can be sent: nobody has closed the other end, even if this loop has not heard of it yet."""
        if self.is_closed or self._transport.is_closing():
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        # Between two exchanges nothing comes but the end.
        return not poll.poll(0)

    def _let_flow(self, flows: bool) -> None:
        if not self.is_closed:
            (self._transport.resume_reading if flows else self._transport.pause_reading)()

    def _fail(self, error: Exception) -> None:
        if self._begun is not None and not self._begun.done():
            self._begun.set_exception(error)
        self.close()

    def _end(self, error: Exception) -> None:
        """The connection is no more; tell whoever waits for something from it."""
        self.is_closed = True
        self._writable.set()
        if self._upload is not None:
            self._upload.cancel()
        if self._begun is not None and not self._begun.done():
            self._begun.set_exception(error)
        if self._inbox is not None:
            self._inbox.end(error)
        self._rested(self)

    # what the transport says

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport: asyncio.Transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self.is_closed:
            return
        # TCP tells apart how a process left its end: one that had read all there was closes it, one that had not
        # resets it (RFC 2525, section 2.17). A call without a body is carried out only when all of it was read.
        unread = self._may_be_unread and isinstance(exc, ConnectionResetError)
        self._end(UnreadError() if unread else self._lost())

    def data_received(self, data: bytes) -> None:
        """Read."""
        import httptools

        self._may_be_unread = False
        try:
            if self._parser is None:
                self.close()
            else:
                self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(ForeignError())

    def pause_writing(self) -> None:
        """The other side takes no more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The other side takes more."""
        self._writable.set()

    # what the parser says

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the type of what comes."""
        if name.lower() == b"content-type":
            self._type = value

    def on_headers_complete(self) -> None:
        """Let `exchange` go on."""
        assert self._begun is not None
        assert self._parser is not None
        if self._begun.done():
            return
        if self._type == CONTENT_TYPE.encode():
            self._begun.set_result(None)
        elif 400 <= self._parser.get_status_code() < 500:
            self._begun.set_exception(ForeignError())
        else:
            # Not the answer of a Worker that is well: who knows what it did.
            self._begun.set_exception(self._lost())

    def on_body(self, body: bytes) -> None:
        """Take a part of the answer."""
        assert self._inbox is not None
        self._inbox.feed(body)

    def on_message_complete(self) -> None:
        """Rest, or close if this answer was the last, or came before all was sent."""
        assert self._inbox is not None
        assert self._parser is not None
        self._inbox.end()
        if not self._parser.should_keep_alive() or (self._upload is not None and not self._upload.done()):
            self.close()
            return
        self._parser = self._inbox = self._begun = self._upload = None
        # What was taken in faster than it is read may have stopped the reading.
        self._let_flow(True)
        self._rested_at = self._loop.time()
        self._rested(self)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
