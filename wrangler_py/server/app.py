"""One port for everything: the session's own paths, and the user's Worker (rest-and-cli, section 1)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wrangler_py.errors import InstanceNotFoundError, RequestError
from wrangler_py.server.answer import Answer, Sendable
from wrangler_py.server.asgi import DisconnectedError, Receive, Scope, Send, raw_path, segments
from wrangler_py.server.call import Call
from wrangler_py.server.envelope import Success, failure, rest_refusal, success
from wrangler_py.server.explorer import explorer_routes
from wrangler_py.server.fetch import serve_fetch
from wrangler_py.server.graphql import graphql_routes
from wrangler_py.server.guard import Guard, admit_this_machine
from wrangler_py.server.health import get_health
from wrangler_py.server.openapi import document_routes
from wrangler_py.server.rest import rest_routes
from wrangler_py.server.routing import Handler, Route, Router, routes
from wrangler_py.server.rpc import answer_worker
from wrangler_py.server.scheduled import run_scheduled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from wrangler_py.runtime.host import Host

    Outside = Callable[[Scope, Receive, Send], Awaitable[None]]
    Admit = Callable[[Scope, tuple[str, ...]], None]

SESSION: dict[str, Handler] = {
    "GET handler/scheduled": run_scheduled,
    "POST handler/scheduled": run_scheduled,
    "GET pywrangler/health": get_health,
    "POST pywrangler/rpc": answer_worker,
}
#: wrangler's older path for the same, which `--test-scheduled` turns on.
TEST_SCHEDULED = ("__scheduled",)


def create_app(
    host: Host,
    *,
    allowed_hosts: Collection[str] | None = None,
    test_scheduled: bool = False,
) -> App:
    """Return the ASGI app of a session.

    Args:
        host: what answers.
        allowed_hosts: names, with or without port, that the session's own paths answer to; loopback's always.
        test_scheduled: serve ``/__scheduled`` too, which is the user's path otherwise.
    """
    table = _all_routes(test_scheduled=test_scheduled)
    return App(host, Guard(allowed_hosts), table, test_scheduled=test_scheduled, admit=admit_this_machine)


class App:
    """An ASGI application; its host is opened and closed by whoever made it.

    ``outside`` answers what is not a path of the session's own (None: the user's code in the host does); ``admit``
    raises RequestError for those who may not speak to the session.
    """

    def __init__(
        self,
        host: Host,
        guard: Guard,
        table: Iterable[Route],
        *,
        test_scheduled: bool = False,
        outside: Outside | None = None,
        admit: Admit | None = None,
    ) -> None:
        self._host, self._guard, self._admit = host, guard, admit
        self._outside = outside or partial(serve_fetch, host)
        self._router = Router(table)
        self._test_scheduled = test_scheduled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's scope."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = segments(raw_path(scope))
        if not self._is_reserved(path):
            await self._outside(scope, receive, send)
            return
        try:
            answer = await self._answer_ours(scope, receive, path)
        except DisconnectedError:
            return
        await answer.send(send, head=scope["method"] == "HEAD")

    def _is_reserved(self, path: tuple[str, ...]) -> bool:
        if path[:1] == ("cdn-cgi",) or path[:2] == ("client", "v4"):
            return True
        return self._test_scheduled and path == TEST_SCHEDULED

    async def _answer_ours(self, scope: Scope, receive: Receive, path: tuple[str, ...]) -> Sendable:
        method = scope["method"]
        try:
            self._guard.check(scope, path)
            if self._admit is not None:
                self._admit(scope, path)
            if method == "OPTIONS":
                return Answer(204, headers=((b"allow", self._router.allowed(path).encode()),))
            route, parts = self._router.find(method, path)
        except RequestError as error:
            return failure(rest_refusal(error))
        return await _run(route, Call(self._host, scope, receive, parts))


async def _run(route: Route, call: Call) -> Sendable:
    try:
        found = await route.handler(call)
        return success(found) if isinstance(found, Success) else found
    except DisconnectedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is becomes an answer
        return failure(route.dialect(await _deepest(error, call), call.parts.get("instance", "")))


async def _deepest(error: Exception, call: Call) -> Exception:
    """Return the error to tell: the workflow of an instance that was not found may not exist itself."""
    if isinstance(error, InstanceNotFoundError):
        try:
            await call.engine.workflow(call.workflow)
        except Exception as deeper:  # noqa: BLE001 - whatever it is becomes the answer
            return deeper
    return error


def _all_routes(*, test_scheduled: bool) -> list[Route]:
    found = [*rest_routes(), *explorer_routes(), *routes("cdn-cgi", rest_refusal, SESSION)]
    found += [*document_routes(), *graphql_routes()]
    if test_scheduled:
        found += [Route(method, TEST_SCHEDULED, run_scheduled, rest_refusal) for method in ("GET", "POST")]
    return found


async def _live(receive: Receive, send: Send) -> None:
    """Go through ASGI's lifespan; there is nothing to set up, because the host belongs to the app's maker."""
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
