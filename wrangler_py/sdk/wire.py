"""Where requests come in and responses go out: all that the server needs to know of their insides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrangler_py.sdk.web.headers import Headers
from wrangler_py.sdk.web.request import Request
from wrangler_py.sdk.web.response import WITHOUT_BODY, Response
from wrangler_py.sdk.web.streams import ReadableStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping

RawHeaders = list[tuple[bytes, bytes]]

#: Headers of one connection (RFC 9110, section 7.6.1): not for a message that is passed on from elsewhere.
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding"})


@dataclass(frozen=True)
class WireRequest:
    """A request as it is passed on. A ``body`` that is an iterator must be closed when nobody reads it."""

    method: str
    url: str
    headers: RawHeaders
    body: bytes | AsyncIterator[bytes] | None


@dataclass(frozen=True)
class WireResponse:
    """A response as it is sent. A ``body`` that is an iterator must be closed when the client goes."""

    status: int
    status_text: str
    headers: RawHeaders
    body: bytes | AsyncIterator[bytes]


def make_request(
    method: str,
    url: str,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes | AsyncIterable[bytes] | None,
    *,
    cf: Mapping[str, Any] | None = None,
) -> Request:
    """Return an incoming request. ``body`` is not read before user code asks for it.

    Its ``redirect`` is ``manual``: a Worker that passes it on passes redirects on too, as on Cloudflare.

    Raises:
        TypeError: ``url`` is not an absolute URL, or a header is not one.
    """
    fields = [(_decode(name), _decode(value)) for name, value in headers]
    request = Request(url, method=method, headers=fields, redirect="manual", cf=cf)
    request._stream = None if body is None else ReadableStream(body)
    return request


def unpack(response: object) -> WireResponse:
    """Return what to send for ``response``, whose body is then used up.

    Raises:
        TypeError: it is not a `Response`, or it is `Response.error()`.
        OSError: its body was read before.
    """
    if not isinstance(response, Response):
        raise TypeError(f"a fetch handler returns a Response, not {type(response).__name__}")
    if response.type == "error":
        raise TypeError("a fetch handler returned Response.error(), which cannot be sent")
    body = b"" if response.body is None else response.body.take()
    return WireResponse(response.status, response.status_text, _raw_headers(response, body), body)


def unpack_request(request: Request) -> WireRequest:
    """Return what to pass on of ``request``, whose body is then used up.

    Raises:
        OSError: its body was read before.
    """
    body = None if request.body is None else request.body.take()
    headers = Headers([pair for pair in request.headers.items() if pair[0] not in _OF_THE_CONNECTION])
    if isinstance(body, bytes):
        headers["content-length"] = str(len(body))
    return WireRequest(str(request.method), request.url, _raw(headers), body)


def make_response(
    status: int,
    status_text: str,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes | AsyncIterable[bytes] | None,
    url: str = "",
) -> Response:
    """Return a response that came from elsewhere, whatever its status. ``body`` is not read before user code asks."""
    fields = Headers([(_decode(name), _decode(value)) for name, value in headers])
    stream = None if body is None else ReadableStream(body)
    return Response.received(status, status_text, fields, stream, url, redirected=False)


def as_js(request: Request) -> Request:
    """Return ``request`` as the JS object that older handlers are given; it takes over the body."""
    from wrangler_py.sdk import js

    return js.Request(request)


def _raw_headers(response: Response, body: bytes | AsyncIterator[bytes]) -> RawHeaders:
    headers = Headers([pair for pair in response.headers.items() if pair[0] not in _OF_THE_CONNECTION])
    if response.status in WITHOUT_BODY:
        headers.delete("content-length")
    elif isinstance(body, bytes) and (response.body is not None or "content-length" not in headers):
        headers["content-length"] = str(len(body))
    return _raw(headers)


def _raw(headers: Headers) -> RawHeaders:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _decode(raw: bytes) -> str:
    """Header text is UTF-8; what is not is read byte by byte, so that nothing is lost."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
