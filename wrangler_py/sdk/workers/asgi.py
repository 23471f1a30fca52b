"""``workers.asgi``: an ASGI application (FastAPI, Starlette, ...) behind a Worker.

``return await asgi.fetch(app, request, self.env)`` answers a request with ``app``, which finds the bindings
in ``request.scope["env"]``. The app's lifespan starts with its first request and ends with the process.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from wrangler_py.sdk.context import Context, current_context
from wrangler_py.sdk.entrypoints import WorkerEntrypoint
from wrangler_py.sdk.gateway import Options, Target
from wrangler_py.sdk.web.headers import Headers
from wrangler_py.sdk.web.response import WITHOUT_BODY, Response
from wrangler_py.sdk.web.streams import ReadableStream, chunks_of

if TYPE_CHECKING:
    from wrangler_py.sdk.web.request import Request

__all__ = ["Options", "close_applications", "entrypoint", "fetch"]

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]

_log = logging.getLogger(__name__)
_ASGI = {"version": "3.0", "spec_version": "2.3"}
#: Chunks an app may be ahead of the client.
_AHEAD = 16


async def fetch(
    app: App, request: Request, env: Any, ctx: Context | None = None, *, options: Options | None = None
) -> Response:
    """Return ``app``'s response to ``request``; a body sent in pieces streams.

    What the app does after its response (background tasks) goes on as if handed to ``ctx.waitUntil``.

    Raises:
        RuntimeError: the app's lifespan failed to start, or the app ended without a response.
        Exception: whatever the app raised before its response began.
    """
    _ = options
    state = await _lifespan(app).started()
    call = _Call(request)
    task = asyncio.ensure_future(app(_scope(request, env, state), call.receive, call.send))
    task.add_done_callback(call.ended)
    try:
        await call.began()
    except BaseException:
        task.cancel()
        raise
    _keep(task, call, ctx or current_context.get())
    return call.response()


def entrypoint(app: App, *, options: Options | None = None) -> type[WorkerEntrypoint]:
    """Return a ``Default`` class that answers every request with ``app``."""

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            return await fetch(app, request, self.env, self.ctx, options=options)

    return Default


async def close_applications() -> None:
    """End the lifespan of every app that was started on the running event loop."""
    for lifespan in _lifespans.pop(asyncio.get_running_loop(), {}).values():
        await lifespan.shut_down()


def __getattr__(name: str) -> Any:
    if name == "env":
        return _fastapi_env()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _fastapi_env() -> Any:
    """Return FastAPI's dependency for ``scope["env"]``: ``async def page(env=asgi.env)``."""
    import importlib

    fastapi = importlib.import_module("fastapi")

    async def env(request: Any) -> Any:
        return request.scope["env"]

    env.__annotations__["request"] = fastapi.Request
    return fastapi.Depends(env)


# one request ------------------------------------------------------------------------------------------------


class _Call:
    """One request to an app: what the app is told, and what it sends."""

    def __init__(self, request: Request) -> None:
        stream = request.body
        self._chunks = chunks_of(b"" if stream is None else stream.take())
        self._request_over = False
        self._gone = asyncio.Event()
        self._complete = False
        self._start: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._sent: asyncio.Queue[Message | BaseException] = asyncio.Queue(_AHEAD)
        #: What the app raised when its response was over, or nobody read it any more.
        self.late_error: BaseException | None = None

    async def receive(self) -> Message:
        """The app asks for the request's body, then waits for the end of the exchange."""
        if self._request_over:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        chunk = await anext(self._chunks, None)
        self._request_over = chunk is None
        return {"type": "http.request", "body": chunk or b"", "more_body": not self._request_over}

    async def send(self, message: Message) -> None:
        """The app answers. What it says after the client has gone is dropped."""
        if message["type"] == "http.response.start":
            self._start.set_result(message)
        elif message["type"] == "http.response.body" and not self._gone.is_set():
            self._complete = not message.get("more_body")
            await self._sent.put(message)

    async def began(self) -> None:
        """Wait for the response to begin; raise what the app raised instead."""
        await asyncio.shield(self._start)

    def ended(self, task: asyncio.Future[None]) -> None:
        """The app returned or raised: a body that is still open breaks off here."""
        error = None if task.cancelled() else task.exception()
        if not self._start.done():
            self._start.set_exception(error or RuntimeError("the ASGI app ended without a response"))
        elif self._complete or self._gone.is_set():
            self.late_error = error
        else:
            _put_last(self._sent, error or RuntimeError("the ASGI app ended before its response did"))

    def response(self) -> Response:
        """Return the response: with its whole body if that is here already, else streaming."""
        start = self._start.result()
        fields = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in start.get("headers", ())
        ]
        return Response.received(
            start["status"], "", Headers(fields), self._body(start["status"]), "", redirected=False
        )

    def _body(self, status: int) -> ReadableStream:
        first = None if self._sent.empty() else self._sent.get_nowait()
        if status in WITHOUT_BODY or (isinstance(first, dict) and not first.get("more_body")):
            self._gone.set()
            return ReadableStream(first["body"] if isinstance(first, dict) and first.get("body") else b"")
        return ReadableStream(_Answer(self._sent, self._gone, first))


class _Answer:
    """The body as the app sends it, chunk by chunk; closing it tells the app that the client has gone."""

    def __init__(
        self,
        sent: asyncio.Queue[Message | BaseException],
        gone: asyncio.Event,
        first: Message | BaseException | None,
    ) -> None:
        self._sent = sent
        self._gone = gone
        self._first = first

    def __aiter__(self) -> _Answer:
        return self

    async def __anext__(self) -> bytes:
        if self._gone.is_set():
            raise StopAsyncIteration
        first, self._first = self._first, None
        message = await self._sent.get() if first is None else first
        if isinstance(message, BaseException):
            raise message
        if not message.get("more_body"):
            self._gone.set()
        return bytes(message.get("body", b""))

    async def aclose(self) -> None:
        self._gone.set()
        while not self._sent.empty():
            self._sent.get_nowait()  # an app that waits for room in the queue goes on


def _put_last(queue: asyncio.Queue[Message | BaseException], error: BaseException) -> None:
    try:
        queue.put_nowait(error)
    except asyncio.QueueFull:
        queue.get_nowait()
        queue.put_nowait(error)


def _scope(request: Request, env: Any, state: dict[str, Any]) -> dict[str, Any]:
    target = Target.of(request)
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": "1.1",
        "method": str(request.method),
        "scheme": target.scheme,
        "server": (target.host, target.port),
        "client": None,
        "root_path": "",
        "path": target.path.decode(errors="replace"),
        "raw_path": target.raw_path,
        "query_string": target.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in request.headers.items()],
        "state": dict(state),
        "env": env,
    }


_running: set[asyncio.Future[None]] = set()


def _keep(task: asyncio.Future[None], call: _Call, context: Context | None) -> None:
    """Let the app run to its end, for the sake of what it does after its response."""
    work = asyncio.ensure_future(_until_ended(task, call))
    if context is not None:
        context.waitUntil(work)
    else:
        _running.add(work)
        work.add_done_callback(_ended_alone)


async def _until_ended(task: asyncio.Future[None], call: _Call) -> None:
    await asyncio.wait([task])
    if call.late_error is not None:
        raise call.late_error


def _ended_alone(work: asyncio.Future[None]) -> None:
    _running.discard(work)
    if not work.cancelled() and (error := work.exception()) is not None:
        _log.error("the ASGI app failed after its response", exc_info=error)


# lifespan ---------------------------------------------------------------------------------------------------


class _Lifespan:
    """The life of one app in this process: started once, before its first request; shut down at the end."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._state: dict[str, Any] = {}
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())

    async def started(self) -> dict[str, Any]:
        """Wait until the app is ready; return its state."""
        await asyncio.shield(self._started)
        return self._state

    async def shut_down(self) -> None:
        """Let the app end."""
        await self._inbox.put({"type": "lifespan.shutdown"})
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        await self._inbox.put({"type": "lifespan.startup"})
        scope = {"type": "lifespan", "asgi": _ASGI, "state": self._state}
        try:
            await self.app(scope, self._inbox.get, self._send)
        except Exception as error:  # noqa: BLE001 - so an app says that it has none (ASGI, "Lifespan Protocol")
            _log.debug("the ASGI app has no lifespan: %s", error)
        finally:
            if not self._started.done():
                self._started.set_result(None)

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._started.set_result(None)
        elif message["type"] == "lifespan.startup.failed":
            reason = message.get("message") or "no reason given"
            self._started.set_exception(RuntimeError(f"the ASGI app failed to start: {reason}"))


_lifespans: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Lifespan]] = (
    weakref.WeakKeyDictionary()
)


def _lifespan(app: App) -> _Lifespan:
    # By identity: an app may be unhashable; the lifespan keeps it alive, so that the number stays its own.
    of_this_loop = _lifespans.setdefault(asyncio.get_running_loop(), {})
    if id(app) not in of_this_loop:
        of_this_loop[id(app)] = _Lifespan(app)
    return of_this_loop[id(app)]
