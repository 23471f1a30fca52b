"""`Request`."""

from __future__ import annotations

from http import HTTPMethod
from typing import TYPE_CHECKING, Any, cast

from wrangler_py.sdk.web.body import Readable
from wrangler_py.sdk.web.headers import Headers
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.sdk.web.urls import URL

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTIONS = frozenset({"method", "headers", "body", "redirect", "cf"})
#: Options of the web's own fetch that a Worker may pass and that mean nothing to one.
_WITHOUT_EFFECT = frozenset(
    {
        "cache",
        "credentials",
        "duplex",
        "integrity",
        "keepalive",
        "mode",
        "priority",
        "referrer",
        "referrerPolicy",
    }
)
_REDIRECTS = ("follow", "manual", "error")


class Request(Readable):
    """A request to or from a Worker.

    ``input`` is an absolute URL or another request, whose parts are used where no option replaces them (its
    body is then used up). Options, by keyword: ``method``, ``headers``, ``body``, ``cf``, and ``redirect``:
    follow, manual or error.

    Raises:
        TypeError: no absolute URL, an unknown option, a body that cannot be one, or a body with GET or HEAD.
        OSError: the body of ``input`` was used before.
    """

    def __init__(self, input: Any, **options: Any) -> None:
        _refuse_unknown(options)
        given = {key: value for key, value in options.items() if value is not None}
        source = input if isinstance(input, Request) else None
        self._url = source.url if source else URL(input).href
        self._method = _method(given.get("method", source.method if source else "GET"))
        self._redirect = _redirect(given.get("redirect", source.redirect if source else "follow"))
        self._cf = given.get("cf", source.cf if source else None)
        headers = given.get("headers", source.headers if source else None)
        super().__init__(Headers(headers), self._require_allowed(_body(given, source)))

    def _require_allowed(self, body: object) -> object:
        if body is not None and self._method in {"GET", "HEAD"}:
            raise TypeError(f"a {self._method} request cannot have a body")
        return body

    @property
    def method(self) -> HTTPMethod:
        """The method; one that `http.HTTPMethod` does not know is plain text."""
        return self._method

    @property
    def url(self) -> str:
        """The absolute URL."""
        return self._url

    @property
    def redirect(self) -> str:
        """What ``fetch`` does about redirects: follow, manual or error."""
        return self._redirect

    @property
    def cf(self) -> Any:
        """What Cloudflare's network knows about the request; here None unless it was given."""
        return self._cf

    def clone(self) -> Request:
        """Return a copy with a body of its own.

        Raises:
            OSError: the body was used.
        """
        copy = type(self)(
            self._url, method=self._method, headers=Headers(self._headers), redirect=self._redirect
        )
        copy._cf, copy._stream = self._cf, self._tee()
        return copy

    def __repr__(self) -> str:
        return f"Request(method={str(self.method)!r}, url={self.url!r})"


def _refuse_unknown(options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in _OPTIONS and name not in _WITHOUT_EFFECT:
            raise TypeError(f"unknown option {name!r} of a request; there are: {', '.join(sorted(_OPTIONS))}")


def _method(value: object) -> HTTPMethod:
    text = str(value).upper()
    return HTTPMethod(text) if text in HTTPMethod.__members__ else cast("HTTPMethod", text)


def _redirect(value: str) -> str:
    if value not in _REDIRECTS:
        raise TypeError(f"redirect is one of {', '.join(_REDIRECTS)}, not {value!r}")
    return value


def _body(given: Mapping[str, Any], source: Request | None) -> object:
    if "body" in given:
        return given["body"]
    if source is None or source.body is None:
        return None
    return ReadableStream(source.body.take())
