"""What a request or response carries: which values may be a body, and how a body is read, once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wrangler_py.sdk.pyodide.ffi import JsBuffer, JsNull
from wrangler_py.sdk.web import forms
from wrangler_py.sdk.web.blob import Blob
from wrangler_py.sdk.web.forms import FormData
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.sdk.web.urls import URLSearchParams

if TYPE_CHECKING:
    import builtins

    from wrangler_py.sdk.web.headers import Headers

JSBody = Blob | JsBuffer | FormData | ReadableStream | URLSearchParams
Body = str | bytes | JSBody

_TEXT = "text/plain;charset=UTF-8"
_FORM = "application/x-www-form-urlencoded;charset=UTF-8"


class Readable:
    """Something with headers and a body. A body is read once: again raises ``OSError: Body already used``."""

    def __init__(self, headers: Headers, body: object) -> None:
        self._headers = headers
        self._stream, content_type = _extract(body, type(self).__name__)
        if content_type and "content-type" not in headers:
            headers["content-type"] = content_type

    @property
    def headers(self) -> Headers:
        """The headers: a mapping without case."""
        return self._headers

    @property
    def body(self) -> ReadableStream | None:
        """The body as a stream; None if there is none."""
        return self._stream

    @property
    def body_used(self) -> bool:
        """True if the body was read."""
        return self._stream is not None and self._stream.used

    @property
    def js_object(self) -> Any:
        """The object itself."""
        return self

    async def text(self) -> str:
        """Return the body as UTF-8 text."""
        return (await self._read()).decode("utf-8-sig", errors="replace")

    async def json(self, **kwargs: Any) -> Any:
        """Return the body's JSON value; keyword arguments go to `json.loads`."""
        return json.loads(await self.text(), **kwargs)

    async def buffer(self) -> JsBuffer:
        """Return the body's bytes as an ArrayBuffer."""
        return JsBuffer(await self._read())

    async def blob(self) -> Blob:
        """Return the body as a blob of the ``content-type`` that the headers name."""
        return Blob(await self._read(), self.headers.get("content-type"))

    async def form_data(self) -> FormData:
        """Return the form in the body, urlencoded or multipart.

        Raises:
            TypeError: the ``content-type`` is not one of a form, or the body is not in that format.
        """
        return forms.parse(await self._read(), self.headers.get("content-type", ""))

    async def bytes(self) -> builtins.bytes:
        """Return the body's bytes."""
        return await self._read()

    async def _read(self) -> builtins.bytes:
        return b"" if self._stream is None else await self._stream.collect()

    def _tee(self) -> ReadableStream | None:
        """Return a second copy of the body, which stays readable here."""
        if self._stream is None:
            return None
        self._stream, copy = self._stream.tee()
        return copy


def dump_json(data: Any) -> str:
    """Return ``data`` as JSON text; ``jsnull`` is null."""
    return json.dumps(data, default=_json_null)


def _json_null(value: object) -> None:
    if not isinstance(value, JsNull):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _extract(body: object, owner: str) -> tuple[ReadableStream | None, str | None]:
    """Return the stream of ``body`` and the content type it brings (Fetch Standard, "extract a body")."""
    if body is None or isinstance(body, JsNull):
        return None, None
    if isinstance(body, ReadableStream):
        body.require_unused()
        return body, None
    data, content_type = _content(body, owner)
    return ReadableStream(data), content_type


def _content(body: object, owner: str) -> tuple[bytes, str | None]:
    match body:
        case str():
            return body.encode(), _TEXT
        case bytes():
            return bytes(body), None
        case FormData():
            return forms.serialise(body)
        case URLSearchParams():
            return body.toString().encode(), _FORM
        case Blob():
            return body.content(), body.content_type or None
    raise TypeError(f"Unsupported type in {owner}: {type(body).__name__}")
