"""HTTP on a socket that several processes share, one after the other, without a client noticing.

When a worker leaves, it accepts no more, answers what it has begun, and gives each connection that is between two
requests to its successor, as an open socket: a browser that keeps its connection gets the new code with its next
request, and no request meets a connection that was just closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from wrangler_py.errors import RequestError
from wrangler_py.server.heads import MAX_HEAD, check_head, head_without_upgrade, too_many_headers
from wrangler_py.server.patience import DEFAULT, AnswerWait, BodyWait, Patience, Wait

#: Seconds an idle connection is kept. Longer than clients keep theirs, so that they are the ones to close it.
KEEP_ALIVE = 75
#: Seconds between two looks at a connection that still has bytes to send.
FLUSH_PAUSE = 0.01


class Serving:
    """Answers connections by ``app``, an ASGI application without lifespan."""

    def __init__(self, app: Callable[..., Awaitable[None]], patience: Patience = DEFAULT) -> None:
        self.patience = patience
        self._loop = asyncio.get_running_loop()
        self.config = Config(
            app,
            loop="none",
            http=HttpToolsProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self.config.load()
        self.state = ServerState()
        self._connections: set[Connection] = set()
        self.is_leaving = False
        self._servers: list[asyncio.Server] = []
        self._successor: socket.socket | None = None
        self._empty = asyncio.Event()
        self._date: asyncio.TimerHandle | None = None
        self._tell_time()

    async def accept(self, listener: socket.socket) -> None:
        """Accept connections from now on; the socket may be one of the file system."""
        begin: Any = (
            self._loop.create_unix_server if listener.family == socket.AF_UNIX else self._loop.create_server
        )
        self._servers.append(await begin(self._protocol, sock=listener))

    async def adopt(self, predecessor: socket.socket) -> None:
        """Take over connections as they come through ``predecessor``, until its other end is closed."""
        predecessor.setblocking(False)
        while True:
            await self._readable(predecessor)
            data, descriptors, _, _ = socket.recv_fds(predecessor, 1, 1)
            for descriptor in descriptors:
                await self._loop.connect_accepted_socket(self._protocol, socket.socket(fileno=descriptor))
            if not data:
                predecessor.close()
                return

    async def leave(self, successor: socket.socket | None, last: socket.socket | None = None) -> None:
        """Accept nothing more; give idle connections to the ``successor``, or close them. See `finish`.

        Args:
            last: A listener nobody accepts from afterwards: who has connected to it already is still served.
        """
        waiting = [] if last is None else _accepted(last)
        for server in self._servers:
            server.close()
        for connection in waiting:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        if last is not None:
            await asyncio.sleep(FLUSH_PAUSE)  # Who has connected by now gets to say what is wanted.
        self.is_leaving, self._successor = True, successor
        for one in list(self._connections):
            self.part_with(one)
        self._look_whether_empty()

    async def finish(self, timeout: float) -> None:
        """After `leave`: wait up to ``timeout`` seconds for the requests in flight."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), timeout)
        if self._date is not None:
            self._date.cancel()
        if self._successor is not None:
            self._successor.close()

    def part_with(self, connection: Connection) -> None:
        """Give away or close a connection of a leaving worker, when it is between two requests."""
        if connection.transport.is_closing() or not connection.is_idle:
            return
        if connection.transport.get_write_buffer_size():
            self._loop.call_later(FLUSH_PAUSE, self.part_with, connection)
        elif self._successor is None:
            connection.transport.close()
        else:
            self._give(connection, self._successor)

    def made(self, connection: Connection) -> None:
        """A connection has begun; a worker that is leaving already passes it on."""
        self._connections.add(connection)
        if self.is_leaving:
            connection.part_soon()

    def lost(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        self._look_whether_empty()

    def _look_whether_empty(self) -> None:
        if self.is_leaving and not self._connections:
            self._empty.set()

    @property
    def closes_connections(self) -> bool:
        """True if responses are the last ones on their connections."""
        return self.is_leaving and self._successor is None

    def _give(self, connection: Connection, successor: socket.socket) -> None:
        connection.transport.pause_reading()
        try:
            socket.send_fds(successor, [b"c"], [connection.transport.get_extra_info("socket").fileno()])
        except OSError:
            # The successor has died already. What the client sends next is nobody's.
            connection.transport.close()
        else:
            # Only our copy is closed: the connection lives on in the successor's.
            connection.transport.abort()

    def _protocol(self) -> Connection:
        return Connection(self)

    async def _readable(self, end: socket.socket) -> None:
        ready = asyncio.Event()
        self._loop.add_reader(end, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_reader(end)

    def _tell_time(self) -> None:
        """Keep the ``date`` header of responses, which is of this second."""
        self.state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
        self._date = self._loop.call_later(1.0, self._tell_time)


class Connection(HttpToolsProtocol):
    """One client's connection, which knows whether it is between two requests."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(serving.config, serving.state, {})
        self._serving = serving
        self._is_receiving = False
        #: Bytes of the head that is not all here; None between two heads.
        self._head_bytes: int | None = None
        self._refusal: RequestError | None = None
        #: All headers of a request that asked for another protocol and is read again without that.
        self._asked: list[tuple[bytes, bytes]] | None = None
        self._head = Wait(serving.patience.head)
        self._body = BodyWait(serving.patience.body)
        self._answer = AnswerWait(serving.patience.answer)

    @property
    def is_idle(self) -> bool:
        """True if no request has begun that is not answered."""
        cycle: RequestResponseCycle | None = self.cycle
        is_answered = cycle is None or cycle.response_complete
        return is_answered and not self._is_receiving and not self.pipeline

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        super().connection_made(transport)
        self._head.begin(self.transport)
        self._serving.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        for wait in (self._head, self._body, self._answer):
            wait.end()
        self._serving.lost(self)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it is a head without an end."""
        before = self._head_bytes or 0
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self._head_bytes is not None and not self.transport.is_closing():
            self._head_bytes = before + len(data)
            if self._head_bytes > MAX_HEAD:
                self._refuse(too_many_headers())

    def _parse(self, data: bytes) -> None:
        """Read bytes. The parser ends at a request that asks for another protocol, and takes its body for that one's.

        So another parser reads such a request again, without the wish, and what comes behind its head.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                method, version = self.parser.get_method(), self.parser.get_http_version()
                self._asked = list(self.headers)
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                head = head_without_upgrade(method, self.url, version, self._asked)
                data = head + data[upgrade.args[0] :]
            else:
                return

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser, or `check_head`, could not take."""
        self._refuse(self._refusal or RequestError(400, msg))

    def _refuse(self, error: RequestError) -> None:
        """Answer and close; where another answer is on its way, only close."""
        cycle: RequestResponseCycle | None = self.cycle
        is_next = cycle is None or cycle.response_complete
        is_unanswered = self._head_bytes is None and cycle is not None and not cycle.response_started
        if is_next or is_unanswered:
            self.transport.write(_refusal(error))
        self.transport.close()

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        self._is_receiving = True
        self._head_bytes = 0
        self._head.begin(self.transport)
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Take some of the body, and wait for more."""
        self._body.end()
        self._body.begin(self.transport)
        super().on_body(body)

    def pause_writing(self) -> None:
        """Wait until the client takes what there is."""
        self._answer.begin(self.transport)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self._answer.end()
        super().resume_writing()

    def on_message_complete(self) -> None:
        """Note that a request is all here."""
        if self.parser.should_upgrade():
            return  # It is read again, see `_parse`.
        self._is_receiving = False
        self._body.end()
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        """Answer; the last answer of a session says that it is the last."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            return  # It is read again, see `_parse`.
        self._head.end()
        if self._asked is not None:
            self.headers[:], self._asked = self._asked, None
        try:
            check_head(self.parser.get_http_version(), self.parser.get_method(), self.url, self.headers)
        except RequestError as error:
            self._refusal = error
            raise  # The parser stops, and it is refused.
        self._head_bytes = None
        self._body.begin(self.transport)
        super().on_headers_complete()
        if self._serving.closes_connections:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """Go on, or leave: what the client sends from now on is for the successor to read."""
        super().on_response_complete()
        if self._serving.is_leaving and self.is_idle and not self.transport.is_closing():
            self.transport.pause_reading()
            self.part_soon()

    def part_soon(self) -> None:
        """Leave after this turn: the caller has not finished with this connection."""
        self.loop.call_soon(self._serving.part_with, self)


def _accepted(listener: socket.socket) -> list[socket.socket]:
    """Accept all that have connected by now."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(listener.accept()[0])
    return found


def _refusal(error: RequestError) -> bytes:
    body = f"{error}\n"
    lines = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "content-type: text/plain; charset=utf-8",
        f"content-length: {len(body.encode())}",
        "connection: close",
    )
    return "\r\n".join([*lines, "", body]).encode()
