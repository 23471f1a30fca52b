"""``workers.wsgi``: a WSGI application (Flask, Django) behind a Worker; each request has its own thread."""

from __future__ import annotations

import asyncio
import contextvars
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from wrangler_py.sdk.entrypoints import WorkerEntrypoint
from wrangler_py.sdk.gateway import Options, Target
from wrangler_py.sdk.web.headers import Headers
from wrangler_py.sdk.web.response import Response
from wrangler_py.sdk.web.streams import ReadableStream

if TYPE_CHECKING:
    from wrangler_py.sdk.context import Context
    from wrangler_py.sdk.web.request import Request

__all__ = ["Options", "entrypoint", "fetch"]

T = TypeVar("T")
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


async def fetch(
    app: App, request: Request, env: Any, ctx: Context | None = None, *, options: Options | None = None
) -> Response:
    """Return ``app``'s response to ``request``; the body streams as the app yields it.

    The app finds the bindings in ``environ["workers.env"]``.

    Raises:
        RuntimeError: the app did not call ``start_response``.
        Exception: whatever the app raised before its first chunk.
    """
    _ = ctx, options
    call = _Call(app, _environ(request, await request.bytes(), env))
    thread = _Thread()
    try:
        await thread.run(call.begin)
    except BaseException:
        thread.close()
        raise
    status, headers = call.head()
    answer = _Answer(call, thread)
    code, _, reason = status.partition(" ")
    response = Response.received(
        int(code), reason, Headers(headers), ReadableStream(answer), "", redirected=False
    )
    if response.body is None:
        await answer.aclose()
    return response


def entrypoint(app: App, *, options: Options | None = None) -> type[WorkerEntrypoint]:
    """Return a ``Default`` class that answers every request with ``app``."""

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            return await fetch(app, request, self.env, self.ctx, options=options)

    return Default


class _Call:
    """One request to an app. Everything here runs on the request's thread."""

    def __init__(self, app: App, environ: dict[str, Any]) -> None:
        self._app = app
        self._environ = environ
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        self._written: list[bytes] = []
        self._result: Iterable[bytes] = ()
        self._chunks: Iterator[bytes] = iter(())

    def begin(self) -> None:
        """Run the app until its status and headers are final: that is, until its first chunk (PEP 3333)."""
        try:
            self._result = self._app(self._environ, self._start_response)
            self._chunks = iter(self._result)
            self._written += [chunk] if (chunk := self._next()) else []
            self.head()
        except BaseException:
            self.close()
            raise

    def head(self) -> tuple[str, list[tuple[str, str]]]:
        """Return status line and headers."""
        if self._head is None:
            raise RuntimeError("the WSGI app did not call start_response()")
        return self._head

    def chunk(self) -> bytes | None:
        """Return the next chunk that is not empty; None at the end."""
        return self._written.pop(0) if self._written else self._next()

    def close(self) -> None:
        """Tell the app that its result is not needed any more."""
        close = getattr(self._result, "close", None)
        self._result = ()
        if close is not None:
            close()

    def _next(self) -> bytes | None:
        return next(filter(None, self._chunks), None)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if self._head is not None and exc_info is None:
            raise AssertionError("start_response() was called twice")
        self._head = (status, headers)
        return self._written.append


class _Answer:
    """The body of a response, one chunk at a time; closing it closes the app's result."""

    def __init__(self, call: _Call, thread: _Thread) -> None:
        self._call = call
        self._thread = thread
        self._ended = False

    def __aiter__(self) -> _Answer:
        return self

    async def __anext__(self) -> bytes:
        chunk = None if self._ended else await self._thread.run(self._call.chunk)
        if chunk is None:
            await self.aclose()
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        if not self._ended:
            self._ended = True
            await self._thread.run(self._call.close)
            self._thread.close()


class _Thread:
    """One thread for a whole request, with its context variables: an app may keep things on it."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        self._executor = ThreadPoolExecutor(1, "wsgi")

    async def run(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._context.run, function)

    def close(self) -> None:
        self._executor.shutdown(wait=False)


def _environ(request: Request, body: bytes, env: Any) -> dict[str, Any]:
    target = Target.of(request)
    return {
        "REQUEST_METHOD": str(request.method),
        "SCRIPT_NAME": "",
        "PATH_INFO": target.path.decode("latin-1"),
        "QUERY_STRING": target.query,
        "SERVER_NAME": target.host,
        "SERVER_PORT": str(target.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": target.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "workers.env": env,
        **_header_variables(request.headers),
        "CONTENT_LENGTH": str(len(body)),
    }


def _header_variables(headers: Headers) -> dict[str, str]:
    # PEP 3333: text in the environment is bytes in disguise, one character for each.
    text = {
        name.upper().replace("-", "_"): value.encode().decode("latin-1") for name, value in headers.items()
    }
    return {name if name == "CONTENT_TYPE" else f"HTTP_{name}": value for name, value in text.items()}
