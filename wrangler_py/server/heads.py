"""Which heads of requests are let in: as large as Cloudflare takes them, and with one meaning only.

A server that lets an ambiguous one through lets a proxy before it and the Worker behind it see two different requests.
What the grammar itself forbids (line breaks in a value, two lengths) the parser has refused before.
"""

from __future__ import annotations

from collections.abc import Sequence

from wrangler_py.errors import RequestError

#: docs of Workers, "Limits": the length of a URL, and the bytes of all headers together.
MAX_URL = 16 * 1024
MAX_HEADERS = 128 * 1024
#: Bytes after which a head that has not ended is given up.
MAX_HEAD = MAX_URL + MAX_HEADERS
Headers = Sequence[tuple[bytes, bytes]]


def check_head(version: str, method: bytes, url: bytes, headers: Headers) -> None:
    """Look at a request whose head is all here; names are in lower case.

    Raises:
        RequestError: 400, 405, 414, 431, 501 or 505.
    """
    if version not in {"1.0", "1.1"}:
        raise RequestError(505, "This server speaks HTTP/1.1.")
    if method == b"CONNECT":
        raise RequestError(405, "This server is no proxy.")
    if len(url) > MAX_URL:
        raise RequestError(414, f"The URL is longer than {MAX_URL} bytes.")
    # Beside name and value a line has a colon, a space and its end.
    if sum(len(name) + len(value) + 4 for name, value in headers) > MAX_HEADERS:
        raise too_many_headers()
    _check_host(version, headers)
    _check_body(headers)


def _check_host(version: str, headers: Headers) -> None:
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        # RFC 9112, section 3.2.
        raise RequestError(400, "A request has one Host header.")


def _check_body(headers: Headers) -> None:
    """Check that there is one way to tell where the body ends (RFC 9112, section 6)."""
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if not codings:
        return
    if codings != [b"chunked"]:
        raise RequestError(501, "The only transfer coding taken is chunked.")
    if any(name == b"content-length" for name, _ in headers):
        raise RequestError(400, "A request has a Content-Length or a Transfer-Encoding, not both.")


def head_without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """Return the head of a request without its wish for another protocol, which no server has to grant.

    RFC 9110, section 7.8: a server ignores ``Upgrade``, and answers the request as it stands.
    """
    lines = [b"%s %s HTTP/%s" % (method, url, version.encode())]
    lines += [b"%s: %s" % (name, value) for name, value in headers if name != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])


def too_many_headers() -> RequestError:
    """Return what is raised for a head that is too large."""
    return RequestError(431, f"The headers are larger than {MAX_HEADERS} bytes together.")
