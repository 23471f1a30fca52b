"""The way from the front of a `pywrangler serve` to the workers: which script a request is for, and who answers it.

Bodies stream in both directions. The next request goes to the next worker; one that died is not asked again until it is
back, and what it certainly has not begun is sent to another.

A worker may also be there and answer nothing: stopped, or blocked by its code. A request may take as long as it likes,
so that is no sign. While one is under way, a worker from which nothing comes is asked for its health; where that is not
answered either, the others come first, and after `SILENT_S` seconds what it was sent is given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import httpx

from wrangler_py.errors import RequestError
from wrangler_py.server.answer import text
from wrangler_py.server.asgi import Receive, Scope, Send, header, raw_path, too_large
from wrangler_py.server.fetch import Incoming

if TYPE_CHECKING:
    from wrangler_py.runtime.channel import Route

#: Headers that are of one connection (RFC 9110, section 7.6.1), and those that are made anew on each side.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
MADE_HERE = frozenset({b"expect", b"x-forwarded-for", b"x-forwarded-proto", b"cf-connecting-ip"})
#: Methods that may be tried again: nothing changes by asking twice (RFC 9110, section 9.2.1).
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
#: Workers that are tried for one request.
TRIES = 3
#: Connections to a worker that are kept, and for how many seconds: fewer than it keeps them itself.
KEPT, KEPT_FOR = 64, 30.0
#: Seconds until a connection to a worker is given up: nobody takes it from the kernel's queue, and that is full.
CONNECT_S = 5.0
#: Seconds between two looks at a worker that has requests, and those that it has to say that it is well.
LOOK_S, PROBE_S = 2.0, 2.0
#: Seconds without any sign of life after which requests are given up: as long as a lease lasts (`engine.lease`).
SILENT_S = 10.0
_HEALTH = b"/cdn-cgi/pywrangler/health"
Headers = list[tuple[bytes, bytes]]

_log = logging.getLogger(__name__)


class TooLargeError(Exception):
    """The request's body has more bytes than may be."""


class SilentError(Exception):
    """The worker has shown no sign of life for too long."""


class Upstream:
    """The connections to one worker.

    Used as a context by the task of each request: a task whose worker falls silent gets `SilentError`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT, keepalive_expiry=KEPT_FOR)
        # Nothing is encrypted on the way; so the certificates of the world need not be read, which takes a while.
        self._transport = httpx.AsyncHTTPTransport(uds=path, limits=limits, verify=False)
        #: The tasks of the requests in flight, and those of them that were given up.
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._given_up: set[asyncio.Task[Any]] = set()
        self._is_left = asyncio.Event()
        self._is_leaving = False
        #: True once it has not answered the question for its health, until it shows a sign of life.
        self.is_silent = False
        self._loop = asyncio.get_running_loop()
        self._heard_at = 0.0
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._in_flight.add(task)
        if self._watching is None:
            self._watching = self._loop.create_task(self._watch())
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._in_flight.discard(task)
        self._look()
        if task in self._given_up:
            self._given_up.discard(task)
            if isinstance(error, asyncio.CancelledError) and not task.uncancel():
                raise SilentError from None

    def _look(self) -> None:
        if self._is_leaving and not self._in_flight:
            self._is_left.set()

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response, whose body is not read yet."""
        response = await self._transport.handle_async_request(request)
        self._heard()
        return response

    async def leave(self) -> None:
        """Wait for the requests in flight, then close all connections."""
        self._is_leaving = True
        self._look()
        await self._is_left.wait()
        if self._watching is not None:
            self._watching.cancel()
        await self._transport.aclose()

    # signs of life

    def _heard(self) -> None:
        self._heard_at = self._loop.time()
        if self.is_silent:
            self.is_silent = False
            _log.warning("the worker at %s answers again", self._path)

    async def _watch(self) -> None:
        """Look after the worker while it has requests, or is silent: it gets new ones once it answers again."""
        self._heard_at = self._loop.time()
        while self._in_flight or self.is_silent:
            await asyncio.sleep(LOOK_S)
            if self._loop.time() - self._heard_at >= LOOK_S:
                await self._ask()
        self._watching = None

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(PROBE_S):
                response = await self.send(httpx.Request("GET", "http://localhost/", extensions=_PROBE))
                await response.aclose()
        except httpx.TransportError as error:
            if _is_death(error):
                self.is_silent, self._heard_at = False, self._loop.time()
            else:
                self._unheard()
        except TimeoutError:
            self._unheard()

    def _unheard(self) -> None:
        silent_s = self._loop.time() - self._heard_at
        if not self.is_silent:
            self.is_silent = True
            _log.warning(
                "the worker at %s does not answer: it was stopped, or its code blocks the event loop. "
                "Requests go to the others first",
                self._path,
            )
        if silent_s >= SILENT_S:
            self._given_up |= self._in_flight
            for task in self._in_flight:
                task.cancel()


def _is_death(error: BaseException | None) -> bool:
    """Return True if a worker has died, which whoever has sent it something hears of; False if its queue is full."""
    if not isinstance(error, httpx.ConnectError):
        return True
    while error is not None:
        if isinstance(error, ConnectionRefusedError | FileNotFoundError):
            return True
        error = error.__cause__ or error.__context__
    return False


_PROBE = {"target": _HEALTH, "timeout": {}}


class Proxy:
    """An ASGI application that has the workers answer. ``default`` is the script of requests that name none."""

    def __init__(self, default: str | None, max_body: int) -> None:
        self._default, self._max_body = default, max_body
        self._scripts: Mapping[str, Route] = {}
        self._upstreams: dict[str, Upstream] = {}
        self._turn = count()

    async def use(self, scripts: Mapping[str, Route]) -> None:
        """Send requests there from now on; return when none is on its way to anybody else."""
        self._scripts = scripts
        wanted = {path for route in scripts.values() for path in route.sockets}
        left = [self._upstreams.pop(path) for path in set(self._upstreams) - wanted]
        await asyncio.gather(*(one.leave() for one in left))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            script = self._script_of(scope)
            self._check_length(scope)
        except RequestError as error:
            await text(error.status, f"{error}\n").send(send, head=scope["method"] == "HEAD")
            return
        exchange = _Exchange(scope, Incoming(receive), send, self._max_body)
        await exchange.run(self._choose(script))

    def _script_of(self, scope: Scope) -> str:
        label = (header(scope, b"host") or "").partition(":")[0].partition(".")[0].lower()
        if label in self._scripts:
            return label
        if self._default in self._scripts:
            assert self._default is not None
            return self._default
        if len(self._scripts) == 1 and self._default is None:
            return next(iter(self._scripts))
        raise RequestError(404, self._which(scope))

    def _which(self, scope: Scope) -> str:
        if not self._scripts:
            return "No script is deployed here yet. Deploy one: pywrangler deploy"
        port = (scope.get("server") or ("", None))[1]
        names = ", ".join(f"{name}.localhost{f':{port}' if port else ''}" for name in sorted(self._scripts))
        return f"No script is named by the host of this request. There are: {names}"

    def _check_length(self, scope: Scope) -> None:
        length = header(scope, b"content-length")
        if length is not None and length.isdigit() and int(length) > self._max_body:
            raise too_large(self._max_body)

    def _choose(self, script: str) -> list[Upstream]:
        """Return the workers to try, the one whose turn it is first."""
        sockets = self._scripts[script].sockets
        first = next(self._turn)
        found = [
            self._upstream(sockets[(first + more) % len(sockets)]) for more in range(max(TRIES, len(sockets)))
        ]
        return sorted(found, key=_is_silent)[:TRIES]

    def _upstream(self, path: str) -> Upstream:
        found = self._upstreams.get(path)
        if found is None:
            found = self._upstreams[path] = Upstream(path)
        return found


def _is_silent(upstream: Upstream) -> bool:
    return upstream.is_silent


class _Exchange:
    """One request on its way to a worker, and the response on its way back."""

    def __init__(self, scope: Scope, incoming: Incoming, send: Send, max_body: int) -> None:
        self._scope, self._incoming, self._send = scope, incoming, send
        self._room = max_body
        self._has_body = header(scope, b"transfer-encoding") is not None or (
            header(scope, b"content-length") not in {None, "0"}
        )
        if not self._has_body:
            incoming.end()
        self._has_begun = False

    async def run(self, upstreams: list[Upstream]) -> None:
        """Go through with it, unless the client goes away."""
        answering = asyncio.ensure_future(self._answer(upstreams))
        leaving = asyncio.ensure_future(self._incoming.gone())
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not answering.done():
                answering.cancel()
            leaving.cancel()
            results = await asyncio.gather(answering, leaving, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _answer(self, upstreams: list[Upstream]) -> None:
        for tried, upstream in enumerate(upstreams, 1):
            try:
                with upstream:
                    await self._through(upstream)
            except TooLargeError:
                await self._refuse(413, "The request body is too large.")
            except ConnectionResetError:
                return  # The client has gone before it had sent its whole request.
            except SilentError:
                if self._has_begun:
                    raise
                if any(not one.is_silent for one in upstreams[tried:]) and self._is_repeatable:
                    continue
                await self._refuse(504, _SILENT)
            except httpx.TransportError as error:
                if self._has_begun:
                    raise  # Half a response: the connection breaks, so that nobody takes it for a whole one.
                if tried < len(upstreams) and self._may_repeat(error):
                    continue
                await self._refuse(502, "The worker died while it answered this request.")
            return

    def _may_repeat(self, error: httpx.TransportError) -> bool:
        """Return True if nothing was begun, or nothing is changed by beginning again."""
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return not self._has_body or not self._incoming.has_begun
        return self._is_repeatable

    @property
    def _is_repeatable(self) -> bool:
        return not self._has_body and self._scope["method"] in SAFE

    async def _refuse(self, status: int, message: str) -> None:
        if not self._has_begun:
            await text(status, f"{message}\n").send(self._send, head=self._scope["method"] == "HEAD")

    async def _through(self, upstream: Upstream) -> None:
        response = await upstream.send(self._request())
        try:
            await self._begin(response)
            async for chunk in _raw(response):
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            await response.aclose()

    async def _begin(self, response: httpx.Response) -> None:
        self._has_begun = True
        headers = _kept(response.headers.raw, HOP_BY_HOP | {b"date"})
        await self._send({"type": "http.response.start", "status": response.status_code, "headers": headers})

    def _request(self) -> httpx.Request:
        query = self._scope["query_string"]
        target = raw_path(self._scope).encode("latin-1") + (b"?" + query if query else b"")
        return httpx.Request(
            self._scope["method"],
            "http://localhost/",
            headers=self._headers(),
            content=self._body() if self._has_body else None,
            extensions={"target": target, "timeout": {"connect": CONNECT_S}},
        )

    def _headers(self) -> Headers:
        given = self._scope["headers"]
        headers = _kept(given, HOP_BY_HOP | MADE_HERE)
        if self._has_body and not any(name == b"content-length" for name, _ in headers):
            headers.append((b"transfer-encoding", b"chunked"))
        client = (self._scope.get("client") or ("",))[0].encode("latin-1")
        before = [value for name, value in given if name == b"x-forwarded-for"]
        if client:
            headers.append((b"cf-connecting-ip", client))
            headers.append((b"x-forwarded-for", b", ".join([*before, client])))
        headers.append((b"x-forwarded-proto", self._scope["scheme"].encode()))
        return headers

    async def _body(self) -> AsyncIterator[bytes]:
        async for chunk in self._incoming:
            self._room -= len(chunk)
            if self._room < 0:
                raise TooLargeError
            yield chunk


_SILENT = (
    "The worker that this request was sent to does not answer: it was stopped, or its code blocks the event loop. "
    "Whether it carries the request out is not known."
)


async def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the body as it is on the wire; it stays as it was compressed."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        yield chunk


def _kept(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> Headers:
    """Return the headers but those in ``dropped``, and those that ``Connection`` names; names in lower case."""
    found = [(name.lower(), value) for name, value in headers]
    named = {
        one.strip().lower() for name, value in found if name == b"connection" for one in value.split(b",")
    }
    return [(name, value) for name, value in found if name not in dropped and name not in named]
