"""How a request of the command line reaches the REST API: a session over HTTP, or an app in this process.

A session is asked with the standard library's client: importing httpx costs more than all else a command does
(130 ms of the 400 ms that `workflows list` may take). The app in this process needs httpx's ASGI transport.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from wrangler_py.errors import SessionError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

#: Seconds a session may take to answer.
TIMEOUT = 30.0
HEADERS = {"accept": "application/json", "content-type": "application/json"}


class Answer(NamedTuple):
    """An HTTP status and a body."""

    status: int
    body: bytes


class Transport(Protocol):
    """Sends one request: ``path`` with its query, ``body`` already JSON."""

    #: True if nobody runs instances behind it.
    is_stored: bool

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Return the answer. Raises SessionError if there is none."""
        ...


class SessionTransport:
    """Speaks HTTP to a running session."""

    is_stored = False

    def __init__(self, host: str, port: int, *, timeout: float = TIMEOUT) -> None:
        self.host, self.port, self.timeout = host, port, timeout

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Send it on a connection of its own: a worker replaced meanwhile never leaves us a dead one."""
        from http.client import HTTPConnection, HTTPException

        connection = HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            connection.request(method, path, body, HEADERS)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        except TimeoutError as error:
            raise self._silent() from error
        except (OSError, HTTPException) as error:
            raise self._unreachable() from error
        finally:
            connection.close()

    def _silent(self) -> SessionError:
        return SessionError(
            f"The local dev session on port {self.port} did not answer within {self.timeout:g} seconds.",
            hint="A step or request handler that blocks the event loop can cause this; look at its terminal.",
        )

    def _unreachable(self) -> SessionError:
        return SessionError(
            f"Could not connect to local dev session on port {self.port}. "
            'Make sure "pywrangler dev" is running.',
            hint="Without --port and --ip the session is found by itself, or the stored state is used.",
        )


class ColdTransport:
    """Speaks to an ASGI app over the stored state, in this process; a context manager."""

    is_stored = True

    def __init__(self, opening: AbstractAsyncContextManager[Any]) -> None:
        self._opening = opening
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        try:
            self._client = self._runner.run(self._open())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._stack.aclose())
        finally:
            self._runner.__exit__(kind, error, traceback)

    async def _open(self) -> Any:
        import httpx

        app = await self._stack.enter_async_context(self._opening)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
        return await self._stack.enter_async_context(client)

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Run the app for this one request."""
        return self._runner.run(self._request(method, path, body))

    async def _request(self, method: str, path: str, body: bytes | None) -> Answer:
        response = await self._client.request(method, path, content=body, headers=HEADERS)
        return Answer(response.status_code, response.content)
