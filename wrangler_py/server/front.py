"""The front of a `pywrangler serve`: the process that the world connects to.

It answers the API over the store, steering instances that others drive, takes deploys, and passes everything else on to
the workers of the script it is for. It runs no user code, so nothing of theirs can take it down.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrangler_py.clock import SystemClock
from wrangler_py.errors import RequestError, StoreUnavailableError, UserError
from wrangler_py.runtime.channel import (
    Answered,
    Bury,
    Death,
    Drain,
    Failed,
    Leaving,
    LoadFront,
    Parted,
    Problem,
    Ready,
    Registered,
    Released,
    Routed,
    Routes,
    Serve,
    ToWorker,
    WorkerWire,
)
from wrangler_py.runtime.deaths import ends_of
from wrangler_py.runtime.host import Host
from wrangler_py.runtime.logs import RequestLog, send_library_logs
from wrangler_py.server.answer import Answer
from wrangler_py.server.app import App
from wrangler_py.server.asgi import Scope, header
from wrangler_py.server.envelope import rest_refusal
from wrangler_py.server.explorer import explorer_routes
from wrangler_py.server.graphql import graphql_routes
from wrangler_py.server.guard import Guard
from wrangler_py.server.health import get_health
from wrangler_py.server.log import open_log
from wrangler_py.server.openapi import document_routes
from wrangler_py.server.proxy import Proxy
from wrangler_py.server.releases import Releases
from wrangler_py.server.rest import rest_routes
from wrangler_py.server.rollout import FleetRollout
from wrangler_py.server.routing import Route, routes
from wrangler_py.server.scripts import Scripts
from wrangler_py.server.serving import Serving
from wrangler_py.server.wrangler_calls import WranglerCalls
from wrangler_py.server.wrangler_resources import WranglerResources
from wrangler_py.storage.deployments import Deployments, Tokens
from wrangler_py.storage.waiting import waited

if TYPE_CHECKING:
    from wrangler_py.server.call import Call

#: Seconds between two looks at which versions still have instances.
LOOK_S = 2.0
OPEN = {("cdn-cgi", "pywrangler", "health"), ("cdn-cgi", "pywrangler", "ready")}


class Front:
    """The life of the front, from `LoadFront` to `Drain`."""

    def __init__(self, wire: WorkerWire, order: LoadFront, listener: socket.socket) -> None:
        self._wire, self._order, self._listener = wire, order, listener
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[ToWorker] = asyncio.Queue()
        self._console, self._log = open_log(order, script="", version="")
        self._proxy = Proxy(order.default, order.max_body)
        self._is_ready = self._is_leaving = False
        #: What goes on beside: kept here, or the event loop would forget it.
        self._beside: set[asyncio.Task[None]] = set()

    async def live(self) -> int:
        """Serve, leave; return the exit code."""
        self._console.install()
        self._wire.listen(self._hear, lambda: os._exit(1))
        try:
            await self._open()
        except (UserError, StoreUnavailableError) as error:
            self._wire.send(Failed(Problem(str(error), getattr(error, "hint", None))))
            return 1
        self._wire.send(Ready("", ""))
        await self._serve(Serving(RequestLog(self._app(), self._log)))
        return 0

    def _hear(self, message: ToWorker, sockets: list[socket.socket]) -> None:
        """Take a message, on the wire's own thread."""
        _ = sockets
        self._loop.call_soon_threadsafe(self._heard.put_nowait, message)

    async def _open(self) -> None:
        state_dir, clock = Path(self._order.state_dir), SystemClock()
        send_library_logs(self._console, self._order.log_level, ())
        self._host = await Host.open_front(state_dir, self._order.options)
        self._deployments = await waited(Deployments.open, state_dir, clock)
        self._tokens = await waited(Tokens.open, state_dir, clock)
        self._rollout = FleetRollout(self._wire.send, self._host, self._deployments.folder)
        await self._announce()

    def _app(self) -> App:
        return App(
            self._host,
            Guard(self._order.allowed_hosts),
            self._table(),
            outside=self._proxy,
            admit=self._admit,
        )

    def _admit(self, scope: Scope, path: tuple[str, ...]) -> None:
        """Raise RequestError (401) for who has no token. Whether this lives, everybody may know."""
        if path in OPEN:
            return
        kind, _, secret = (header(scope, b"authorization") or "").partition(" ")
        if kind.lower() != "bearer" or not self._tokens.verify(secret.strip()):
            raise RequestError(401, "Authentication error")

    def _table(self) -> list[Route]:
        own = {"GET pywrangler/health": get_health, "GET pywrangler/ready": self._get_ready}
        releases = Releases(self._deployments, self._rollout)
        deploying = (
            *Scripts(self._deployments, releases).routes(),
            *WranglerCalls(releases).routes(),
            *WranglerResources(releases).routes(),
        )
        found = [*rest_routes(), *explorer_routes(), *document_routes(), *graphql_routes(), *deploying]
        return [*found, *routes("cdn-cgi", rest_refusal, own)]

    async def _get_ready(self, call: Call) -> Answer:
        """Answer 200 where requests may be sent: every script has a worker, and this does not leave."""
        _ = call
        state = "leaving" if self._is_leaving else "ready" if self._is_ready else "starting"
        return Answer(200 if state == "ready" else 503, state.encode() + b"\n")

    async def _serve(self, serving: Serving) -> None:
        """Do what the supervisor says, until it says to leave."""
        self._do_beside(self._look())
        while True:
            match await self._heard.get():
                case Serve():
                    await serving.accept(self._listener)
                case Routes() as found:
                    self._is_ready = found.is_ready
                    self._do_beside(self._route(found))
                case Bury(deaths=deaths):
                    await self._bury(deaths)
                case Answered() as answer:
                    self._rollout.answered(answer)
                case Leaving():
                    self._is_leaving = True
                case Drain(linger=linger):
                    await self._leave(serving, linger)
                    return

    def _do_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _route(self, found: Routes) -> None:
        await self._proxy.use(found.scripts)
        self._wire.send(Routed(found.number))

    async def _bury(self, deaths: list[Death]) -> None:
        """Let go of what dead processes drove: the living ones see it, and take it over."""
        engine = self._host.engine
        with contextlib.suppress(StoreUnavailableError):  # Then their leases expire by themselves.
            owners = [one.owner for one in deaths]
            await engine.store.reap(now=engine.clock.now(), keep=(), owners=owners, **ends_of(deaths))

    async def _look(self) -> None:
        """Tell the supervisor, now and then, what is stored about who is to be there."""
        while True:
            with contextlib.suppress(StoreUnavailableError):
                await self._tell_stored()
            await asyncio.sleep(LOOK_S)

    async def _tell_stored(self) -> None:
        store = self._host.engine.store
        scripts = self._deployments.active()
        unfinished = {script: sorted(await store.unfinished_versions(script)) for script in scripts}
        await self._announce()
        # Read as the last thing: what is sent after a deploy must not be older than that.
        self._wire.send(Registered(self._deployments.active(), unfinished))

    async def _announce(self) -> None:
        """Make the workflows of active versions known, if that has not been done."""
        for script, version in self._deployments.active().items():
            with contextlib.suppress(UserError):  # Its workers say what is wrong with it.
                await self._rollout.announce(script, version)

    async def _leave(self, serving: Serving, linger: float) -> None:
        await serving.leave(None, last=self._listener)
        self._wire.send(Parted())
        await serving.finish(linger)
        self._wire.send(Released())
        for task in self._beside:
            task.cancel()
        await self._host.close()
        for opened in (self._deployments, self._tokens):
            opened.close()
