"""How a request reaches the REST API when no session runs: an ASGI app in this process."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn, Self

from wrangler_py.cli.transport import HEADERS, Answer
from wrangler_py.errors import SessionError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType


def access(*, reads: bool) -> AbstractContextManager[None]:
    """Return the context to open stored state in; with ``reads`` nothing of it is written."""
    from wrangler_py.storage.reading import reading_only

    return reading_only() if reads else nullcontext()


class StoredTransport:
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

    def events(self, path: str, after: str | None) -> NoReturn:
        """Raise: where nobody runs instances, none moves."""
        raise SessionError(
            f"No session is running that could tell of {path} after {after or 'its beginning'}."
        )

    async def _request(self, method: str, path: str, body: bytes | None) -> Answer:
        response = await self._client.request(method, path, content=body, headers=HEADERS)
        return Answer(response.status_code, response.content)
