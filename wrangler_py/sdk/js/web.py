"""The web's types as JavaScript spells them: those of `workers` with more names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from wrangler_py.sdk.pyodide.ffi import JsBuffer, JsException, to_js
from wrangler_py.sdk.web import blob, body, forms, request, response
from wrangler_py.sdk.web.fetch import send

__all__ = ["Blob", "File", "FormData", "Request", "Response", "fetch"]

_SNAKE = {"statusText": "status_text", "lastModified": "last_modified"}


def _options(given: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return options given as an object or as keywords, under Python's names."""
    return {_SNAKE.get(name, name): value for name, value in {**(given or {}), **more}.items()}


class _Body(body.Readable):
    """JavaScript's names for reading a body."""

    @property
    def bodyUsed(self) -> bool:
        """True if the body was read."""
        return self.body_used

    async def arrayBuffer(self) -> JsBuffer:
        """Return the body's bytes."""
        return await self.buffer()

    async def formData(self) -> forms.FormData:
        """Return the form in the body."""
        return await self.form_data()


class Request(_Body, request.Request):
    """``Request``."""

    @classmethod
    def new(cls, input: Any, init: Mapping[str, Any] | None = None, **options: Any) -> Self:
        """Construct."""
        return cls(input, **_options(init, options))

    async def json(self, **kwargs: Any) -> Any:
        """Return the body's JSON value; objects have attribute access and ``to_py()``."""
        return to_js(await super().json(**kwargs))


class Response(_Body, response.Response):
    """``Response``."""

    @classmethod
    def new(cls, body: Any = None, init: Mapping[str, Any] | None = None, **options: Any) -> Self:
        """Construct."""
        return cls(body, **_options(init, options))

    @property
    def statusText(self) -> str:
        """The reason phrase."""
        return self.status_text

    @classmethod
    def from_json(
        cls, data: Any, status: Any = None, status_text: str = "", headers: Any = None, **options: Any
    ) -> Self:
        """Return a response that carries ``data``: ``Response.json(data, {"status": 201})``."""
        init = status if isinstance(status, Mapping) else {"status": 200 if status is None else status}
        given = {"status_text": status_text, "headers": headers, **_options(init, options)}
        return super().from_json(data, **given)

    async def _read_json(self, **kwargs: Any) -> Any:
        return to_js(await super()._read_json(**kwargs))


class FormData(forms.FormData):
    """``FormData``."""

    @classmethod
    def new(cls) -> Self:
        """Construct."""
        return cls()


class Blob(blob.Blob):
    """``Blob``."""

    @classmethod
    def new(cls, parts: Any = (), options: Mapping[str, Any] | None = None, **more: Any) -> Self:
        """Construct; ``type`` is the media type."""
        given = _options(options, more)
        return cls(parts, given.get("type"), given.get("endings"))

    @property
    def type(self) -> str:
        """The media type."""
        return self.content_type

    async def arrayBuffer(self) -> JsBuffer:
        """Return the bytes."""
        return JsBuffer(self.content())


class File(blob.File):
    """``File``."""

    @classmethod
    def new(cls, parts: Any, name: str, options: Mapping[str, Any] | None = None, **more: Any) -> Self:
        """Construct; ``type`` is the media type."""
        given = _options(options, more)
        return cls(parts, name, given.get("type"), given.get("endings"), given.get("last_modified"))

    @property
    def type(self) -> str:
        """The media type."""
        return self.content_type

    @property
    def lastModified(self) -> int:
        """Milliseconds since 1970."""
        return self.last_modified

    async def arrayBuffer(self) -> JsBuffer:
        """Return the bytes."""
        return JsBuffer(self.content())


async def fetch(resource: Any, init: Mapping[str, Any] | None = None, **options: Any) -> Response:
    """Send a request and return its response, as `workers.fetch`.

    Raises:
        JsException: no response, or the request cannot be made; JavaScript knows one ``TypeError`` for both.
    """
    try:
        return await send(Request(resource, **_options(init, options)), Response)
    except (ConnectionError, TypeError) as error:
        raise JsException(str(error), name="TypeError") from error
