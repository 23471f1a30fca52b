"""`Response`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, overload

from wrangler_py.sdk.web.body import Body, Readable, dump_json
from wrangler_py.sdk.web.headers import Headers, HeadersInit
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.sdk.web.urls import URL

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from wrangler_py.sdk.web.forms import FormData

WITHOUT_BODY = frozenset({101, 204, 205, 304})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class FetchResponse(Readable):
    """A response: what is read of one."""

    def __init__(
        self, headers: Headers, body: object, status: int, status_text: str, *, kind: str = "default"
    ) -> None:
        super().__init__(headers, body)
        self._status = status
        self._status_text = status_text
        self._kind = kind
        self._url = ""
        self._redirected = False

    @classmethod
    def received(
        cls,
        status: int,
        status_text: str,
        headers: Headers,
        body: ReadableStream | None,
        url: str,
        *,
        redirected: bool,
    ) -> Self:
        """Return the response that came over the network from ``url``, whatever its status."""
        response = cls.__new__(cls)
        FetchResponse.__init__(
            response, headers, None if status in WITHOUT_BODY else body, status, status_text
        )
        response._url, response._redirected = url, redirected
        return response

    @property
    def status(self) -> int:
        """The status code."""
        return self._status

    @property
    def status_text(self) -> str:
        """The reason phrase."""
        return self._status_text

    @property
    def ok(self) -> bool:
        """True if the status is one of success, 200 to 299."""
        return 200 <= self._status <= 299

    @property
    def url(self) -> str:
        """Where the response came from; empty for one that was made here."""
        return self._url

    @property
    def redirected(self) -> bool:
        """True if redirects led to it."""
        return self._redirected

    @property
    def type(self) -> str:
        """``default``, or ``error``."""
        return self._kind

    @property
    def js_response(self) -> Any:
        """The response itself."""
        return self

    def raise_for_status(self) -> None:
        """Raise OSError for a status from 400 to 599."""
        if 400 <= self._status <= 599:
            whose = "Client" if self._status <= 499 else "Server"
            raise OSError(f"{self._status} {whose} Error: {self._status_text} for url: {self._url}")

    async def string(self) -> str:
        """Return the body as UTF-8 text."""
        return await self.text()

    async def memoryview(self) -> memoryview:
        """Return a view of the body's bytes."""
        return (await self.buffer()).to_memoryview()

    async def formData(self) -> FormData:
        """Return the form in the body; an older name of ``form_data``."""
        return await self.form_data()

    def clone(self) -> Self:
        """Return a copy with a body of its own.

        Raises:
            OSError: the body was used.
        """
        copy = self._copy()
        copy._stream = self._tee()
        return copy

    def replace_body(self, body: Body | None) -> Self:
        """Return a response like this one with another body."""
        copy = self._copy()
        Readable.__init__(copy, copy._headers, body)
        return copy

    def _copy(self) -> Self:
        copy = self.__class__.__new__(self.__class__)
        FetchResponse.__init__(
            copy, Headers(self._headers), None, self._status, self._status_text, kind=self._kind
        )
        copy._url, copy._redirected = self._url, self._redirected
        return copy

    async def _read_json(self, **kwargs: Any) -> Any:
        return await super().json(**kwargs)


class _Json:
    """``Response.json(data)`` builds a response, ``await response.json()`` reads one."""

    @overload
    def __get__(self, response: None, kind: type[Response]) -> Callable[..., Response]: ...
    @overload
    def __get__(
        self, response: Response, kind: type[Response]
    ) -> Callable[..., Coroutine[Any, Any, Any]]: ...
    def __get__(self, response: Response | None, kind: type[Response]) -> Callable[..., Any]:
        return kind.from_json if response is None else response._read_json


class Response(FetchResponse):
    """The response of a Worker.

    Raises:
        TypeError: ``body`` is of a type that cannot be one, or the status allows none.
        ValueError: ``status`` is not between 200 and 599; or there are options beside a response as ``body``.
        OSError: ``body`` is a stream or response that was read before.
    """

    def __init__(
        self,
        body: Body | Response | None = None,
        status: HTTPStatus | int | None = None,
        status_text: str = "",
        headers: HeadersInit | None = None,
        web_socket: None = None,
    ) -> None:
        _refuse_web_socket(web_socket)
        if isinstance(body, Response):
            _refuse_options(status, status_text, headers)
            self._become(body)
            return
        super().__init__(Headers(headers), body, _status(200 if status is None else status), status_text)
        if body is not None and self._status in WITHOUT_BODY:
            raise TypeError(f"a response with status {self._status} cannot have a body")

    def _become(self, other: Response) -> None:
        body = None if other.body is None else ReadableStream(other.body.take())
        FetchResponse.__init__(
            self, Headers(other.headers), body, other.status, other.status_text, kind=other.type
        )
        self._url, self._redirected = other.url, other.redirected

    json = _Json()

    @classmethod
    def from_json(
        cls,
        data: Any,
        status: HTTPStatus | int = HTTPStatus.OK,
        status_text: str = "",
        headers: HeadersInit | None = None,
    ) -> Self:
        """Return a response that carries ``data`` as JSON text, as `json.dumps` writes it."""
        merged = Headers(headers)
        merged.setdefault("content-type", "application/json")
        return cls(dump_json(data), status, status_text, merged)

    @classmethod
    def redirect(cls, url: str, status: HTTPStatus | int = HTTPStatus.FOUND) -> Self:
        """Return a response that sends the client to ``url``, which must be absolute.

        Raises:
            TypeError: ``url`` is not absolute.
            ValueError: ``status`` is not one of a redirect.
        """
        if int(status) not in _REDIRECTS:
            raise ValueError(f"{int(status)} is not a status of a redirect (301, 302, 303, 307, 308)")
        return cls(None, status, headers={"location": URL(url).href})

    @classmethod
    def error(cls) -> Self:
        """Return the response that stands for a failure of the network: status 0, type ``error``."""
        response = cls()
        response._status, response._kind = 0, "error"
        return response

    def __repr__(self) -> str:
        shown = {
            "status_text": self.status_text,
            "content_type": self.headers.get("content-type"),
            "url": self.url,
        }
        details = [f"{name}={value!r}" for name, value in shown.items() if value]
        return f"Response({', '.join([f'status={self.status}', *details])})"


def _refuse_web_socket(web_socket: object) -> None:
    if web_socket is not None:
        raise TypeError("WebSockets are not available in a local Python Worker")


def _refuse_options(status: object, status_text: str, headers: object) -> None:
    if status is not None or status_text or headers is not None:
        raise ValueError("a Response made from a Response takes no status, status_text or headers of its own")


def _status(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"status is a number, not {type(value).__name__}")
    if not 200 <= value <= 599:
        raise ValueError(f"status must be between 200 and 599, not {int(value)}")
    return int(value)
