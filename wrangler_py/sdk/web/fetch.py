"""``fetch``: real HTTP, by httpx. One client for each event loop keeps connections open until its end."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from wrangler_py.sdk.web.headers import Headers
from wrangler_py.sdk.web.request import Request
from wrangler_py.sdk.web.response import Response
from wrangler_py.sdk.web.streams import ReadableStream, chunks_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Unpack

    import httpx

    from wrangler_py.sdk.web.types import FetchKwargs

R = TypeVar("R", bound=Response)

#: Headers that belong to one connection, or that follow from URL and body, and are written anew.
_OF_THE_CONNECTION = frozenset(
    {"connection", "host", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)
_MAX_REDIRECTS = 20
_CONNECT_SECONDS = 30.0

_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = (
    weakref.WeakKeyDictionary()
)


async def fetch(resource: str | Request, **options: Unpack[FetchKwargs]) -> Response:
    """Send a request and return its response as soon as the headers are there; the body streams.

    Options as for `Request`; ``fetcher`` is another ``fetch`` to send it with, as that of a service binding.
    A status of 400 or more is a response like others.

    Raises:
        TypeError: the request cannot be made: no absolute http(s) URL, an unknown option, a wrong body.
        ConnectionError: no response: the host is unknown, refuses, hangs up, or redirects where it must not.
    """
    fetcher = options.pop("fetcher", None)
    request = Request(resource, **options) if options or not isinstance(resource, Request) else resource
    if fetcher is not None:
        answer: Response = await fetcher(request)
        return answer
    return await send(request, Response)


async def send(request: Request, kind: type[R]) -> R:
    """Send ``request`` over the network; return the response as a ``kind``."""
    import httpx

    if not request.url.startswith(("http://", "https://")):
        raise TypeError(f"fetch() speaks http and https; cannot load {request.url}")
    client = _client()
    try:
        answer = await client.send(
            _outgoing(client, request), stream=True, follow_redirects=request.redirect == "follow"
        )
    except httpx.InvalidURL as error:
        raise TypeError(f"Invalid URL: {request.url!r} ({error})") from None
    except (httpx.RequestError, httpx.StreamError) as error:
        raise ConnectionError(f"fetch {request.method} {request.url} failed: {_reason(error)}") from error
    if request.redirect == "error" and answer.has_redirect_location:
        await answer.aclose()
        raise ConnectionError(f"fetch {request.method} {request.url} was redirected, and redirect is 'error'")
    return _response(answer, client, kind)


async def close_client() -> None:
    """Close the connections that `fetch` holds for the running event loop."""
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()


def _client() -> httpx.AsyncClient:
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        client = _clients[loop] = _new_client()
    return client


def _new_client() -> httpx.AsyncClient:
    import http.cookiejar

    import httpx

    # A Worker's fetch keeps no cookies, names no user agent and waits as long as the other side needs.
    no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    client = httpx.AsyncClient(
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        max_redirects=_MAX_REDIRECTS,
        cookies=no_cookies,
    )
    del client.headers["user-agent"]
    return client


def _outgoing(client: httpx.AsyncClient, request: Request) -> httpx.Request:
    content = None if request.body is None else request.body.take()
    # Of generators, httpx knows that they cannot be sent again after a redirect.
    upload = content if content is None or isinstance(content, bytes) else chunks_of(content)
    headers = [pair for pair in request.headers.items() if pair[0] not in _OF_THE_CONNECTION]
    if isinstance(content, bytes):
        headers = [pair for pair in headers if pair[0] != "content-length"]
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return client.build_request(str(request.method), request.url, headers=raw, content=upload)


def _response(answer: httpx.Response, client: httpx.AsyncClient, kind: type[R]) -> R:
    headers = Headers(
        [(name, value) for name, value in answer.headers.multi_items() if name != "transfer-encoding"]
    )
    if _is_decoded(headers, client.headers):
        # The body is handed out unpacked: what described the packed one would be wrong.
        headers.delete("content-encoding")
        headers.delete("content-length")
    body = ReadableStream(_Download(answer))
    weakref.finalize(body, _abandon, asyncio.get_running_loop(), answer).atexit = False
    url, redirected = str(answer.url), bool(answer.history)
    return kind.received(answer.status_code, answer.reason_phrase, headers, body, url, redirected=redirected)


def _is_decoded(received: Headers, offered: Mapping[str, str]) -> bool:
    encodings = {name.strip().lower() for name in (received.get("content-encoding") or "").split(",")}
    return encodings <= {name.strip() for name in offered["accept-encoding"].split(",")}


class _Download:
    """The chunks of a response's body; closing it gives the connection back, also before the first chunk."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        self._chunks: AsyncIterator[bytes] = answer.aiter_bytes()

    def __aiter__(self) -> _Download:
        return self

    async def __anext__(self) -> bytes:
        import httpx

        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            await self._answer.aclose()
            raise
        except (httpx.RequestError, httpx.StreamError) as error:
            url = self._answer.url
            raise ConnectionError(f"the response of {url} broke off: {_reason(error)}") from error

    async def aclose(self) -> None:
        await self._answer.aclose()


_closing: set[asyncio.Task[None]] = set()


def _abandon(loop: asyncio.AbstractEventLoop, answer: httpx.Response) -> None:
    """Give back the connection of a body that nobody read to its end."""
    if not answer.is_closed and not loop.is_closed():
        loop.call_soon_threadsafe(_close_soon, loop, answer)


def _close_soon(loop: asyncio.AbstractEventLoop, answer: httpx.Response) -> None:
    task = loop.create_task(answer.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


def _reason(error: Any) -> str:
    return str(error) or type(error).__name__
