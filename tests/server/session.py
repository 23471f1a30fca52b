"""A session without process or socket: the real app over a real engine, under virtual time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.world import World, in_world
from wrangler_py.clock import SystemClock
from wrangler_py.runtime.options import HostOptions
from wrangler_py.runtime.versions import Versions
from wrangler_py.server.app import create_app

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

REST = "/client/v4/accounts/local"
EXPLORER = "/cdn-cgi/local/explorer/api"


class FakeHost:
    """What the server asks of a host, with handlers given by the test instead of imported from a file."""

    def __init__(
        self, engine: Any, *, fetch: Any = None, scheduled: Any = None, root: Path | None = None
    ) -> None:
        self.engine = engine
        self.load_error: Any = None
        self.config: Any = None
        self.options = HostOptions()
        self.roots = (root,) if root else ()
        self.scheduled_calls: list[tuple[str, int]] = []
        self._fetch, self._scheduled = fetch, scheduled
        self.versions = Versions(None, "", Path("nowhere"), SystemClock())

    def configure(self, **fields: Any) -> None:
        self.config = SimpleNamespace(**fields)

    async def engine_of(self, workflow: str) -> Any:
        await self.engine.workflow(workflow)
        return self.engine

    async def fetch(self, request: Any) -> Any:
        return await self._fetch(request)

    async def scheduled(self, cron: str, at_ms: int) -> None:
        self.scheduled_calls.append((cron, at_ms))
        if self._scheduled:
            await self._scheduled(cron, at_ms)


class Session:
    """A client, the world behind it, and short words for what tests ask."""

    def __init__(self, world: World, host: FakeHost, client: httpx.AsyncClient) -> None:
        self.world, self.host, self.client = world, host, client

    async def rest(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.client.request(method, REST + path, **options)

    async def explorer(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.client.request(method, EXPLORER + path, **options)

    async def create(self, instance_id: str | None = None, **create: Any) -> Any:
        return await self.world.engine.create("w", id=instance_id, **create)


def in_session(
    folder: Path,
    body: Callable[[Session], Awaitable[Any]],
    *,
    run: Any = None,
    app: dict[str, Any] | None = None,
    fetch: Any = None,
    scheduled: Any = None,
    base_url: str = "http://127.0.0.1:8787",
    **options: Any,
) -> Any:
    """Run ``body(session)``; with ``run``, workflow ``w`` is bound to it."""

    async def within(world: World) -> Any:
        if run is not None:
            await world.define(run)
        host = FakeHost(world.engine, fetch=fetch, scheduled=scheduled, root=Path(__file__).parent)
        transport = httpx.ASGITransport(create_app(host, **(app or {})))
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            return await body(Session(world, host, client))

    return in_world(folder, within, **options)


async def echo(event: Any, step: Any) -> Any:
    """Return the parameters."""
    return event["payload"]


async def sleeper(event: Any, step: Any) -> str:
    """Work, sleep an hour, work."""

    @step.do("before")
    async def before() -> str:
        return "ready"

    await before()
    await step.sleep("nap", "1 hour")
    return "awake"


async def waiter(event: Any, step: Any) -> Any:
    """Wait for an approval."""
    return (await step.wait_for_event("approval", "approve"))["payload"]


def errors(response: httpx.Response) -> list[tuple[int, str]]:
    """Return the (code, message) pairs of an error envelope, after checking its shape."""
    body = response.json()
    assert set(body) == {"success", "errors", "messages", "result"}
    assert (body["success"], body["messages"], body["result"]) == (False, [], None)
    assert body["errors"]
    return [(error["code"], error["message"]) for error in body["errors"]]


def result(response: httpx.Response, *, info: bool = False) -> Any:
    """Return the result of a success envelope, after checking its shape."""
    body = response.json()
    assert response.status_code == 200, body
    wanted = {"success", "errors", "messages", "result"} | ({"result_info"} if info else set())
    assert set(body) == wanted
    assert (body["success"], body["errors"], body["messages"]) == (True, [], [])
    return body["result"]
