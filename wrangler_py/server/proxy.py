"""The way from the front of a `pywrangler serve` to the workers: which script a request is for, and who answers it.

Bodies stream in both directions. The next request goes to the next worker; one that died is not asked again until it is
back, and what it certainly has not begun is sent to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Self

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
Headers = list[tuple[bytes, bytes]]


class TooLargeError(Exception):
    """The request's body has more bytes than may be."""


class Upstream:
    """The connections to one worker."""

    def __init__(self, path: str) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT, keepalive_expiry=KEPT_FOR)
        # Nothing is encrypted on the way; so the certificates of the world need not be read, which takes a while.
        self._transport = httpx.AsyncHTTPTransport(uds=path, limits=limits, verify=False)
        self._in_flight = 0
        self._is_left = asyncio.Event()
        self._is_leaving = False

    def __enter__(self) -> Self:
        self._in_flight += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._in_flight -= 1
        self._look()

    def _look(self) -> None:
        if self._is_leaving and not self._in_flight:
            self._is_left.set()

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response, whose body is not read yet."""
        return await self._transport.handle_async_request(request)

    async def leave(self) -> None:
        """Wait for the requests in flight, then close all connections."""
        self._is_leaving = True
        self._look()
        await self._is_left.wait()
        await self._transport.aclose()


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
        return [self._upstream(sockets[(first + more) % len(sockets)]) for more in range(TRIES)]

    def _upstream(self, path: str) -> Upstream:
        found = self._upstreams.get(path)
        if found is None:
            found = self._upstreams[path] = Upstream(path)
        return found


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
            except httpx.TransportError as error:
                if self._has_begun:
                    raise  # Half a response: the connection breaks, so that nobody takes it for a whole one.
                if tried < len(upstreams) and self._may_repeat(error):
                    continue
                await self._refuse(502, "The worker died while it answered this request.")
            return

    def _may_repeat(self, error: httpx.TransportError) -> bool:
        """Return True if nothing was begun, or nothing is changed by beginning again."""
        if isinstance(error, httpx.ConnectError):
            return not self._has_body or not self._incoming.has_begun
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
            extensions={"target": target, "timeout": {}},
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
