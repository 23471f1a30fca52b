"""Workers in this process that reach each other over real sockets, through the real server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from wrangler_py.bindings.dispatch import Dispatcher
from wrangler_py.bindings.peers import SessionPeers
from wrangler_py.bindings.resources import Resources, Target
from wrangler_py.bindings.service import ServiceBinding
from wrangler_py.clock import SystemClock
from wrangler_py.config import Config
from wrangler_py.runtime.handlers import Handlers
from wrangler_py.runtime.loader import WorkerCode
from wrangler_py.sdk.context import WaitUntil
from wrangler_py.sdk.workers import Response, WorkerEntrypoint
from wrangler_py.server.app import create_app
from wrangler_py.server.serving import Serving

PLACE = Path("/nowhere")


class Echo(WorkerEntrypoint):
    async def echo(self, value, **named):
        return [value, named] if named else value

    def from_a_thread(self):
        return threading.current_thread() is threading.main_thread()

    async def props(self):
        return self.ctx.props

    async def fetch(self, request):
        if request.url.endswith("/redirect"):
            return Response.redirect("http://there.test/elsewhere")
        if request.url.endswith("/fail"):
            raise LookupError("not today")
        seen = f"{request.method} {request.url} {request.headers.get('x-a')} "
        return Response(seen + await request.text(), 201, "Made", {"x-b": "c"})


class Named(WorkerEntrypoint):
    async def fetch(self):
        return Response(f"named {self.ctx.props.get('who')}")

    async def hello(self):
        return "hello from Named"


THERE = {"Default": Echo, "Named": Named}


class Registry(dict[str, str]):
    """Where each Worker listens, and how often somebody asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def find(self, script: str) -> str | None:
        self.asked += 1
        return self.get(script)


class Worker:
    """One Worker; ``classes`` are those of its main module."""

    def __init__(
        self, name: str, registry: Registry, *, has_global_handlers: bool = False, **module: Any
    ) -> None:
        self.name, self.registry = name, registry
        self.peers = SessionPeers(name, registry.find)
        config = Config(path=PLACE / "wrangler.toml", root=PLACE, name=name)
        self.resources = Resources(config, PLACE, SimpleNamespace(clock=SystemClock()), self.peers)
        self.env = SimpleNamespace()
        self.work = WaitUntil()
        code = WorkerCode(SimpleNamespace(**module), {}, has_global_handlers)
        self.resources.code = Handlers(code, self.env, self.work)
        self.dispatcher = self.peers.home = Dispatcher(self.resources)
        self.engine, self.config, self.roots, self.load_error = None, config, (), None

    def service(self, script: str, entrypoint: str = "", **props: Any) -> ServiceBinding:
        return ServiceBinding(self.peers, script, Target("entrypoint", entrypoint, props=props), script)

    async def listen(self, port: int = 0) -> Worker:
        listener = socket.create_server(("127.0.0.1", port))
        listener.setblocking(False)
        self.serving = Serving(create_app(self))
        await self.serving.accept(listener)
        self.port = listener.getsockname()[1]
        self.registry[self.name] = f"http://127.0.0.1:{self.port}"
        return self

    async def stop(self) -> None:
        """Close the listener and every connection, also those in use."""
        await self.serving.leave(None)
        for connection in list(self.serving._connections):
            connection.transport.abort()
        await self.serving.finish(1)


def between(body: Callable[[Worker, Worker], Awaitable[Any]], there: dict[str, Any], **options: Any) -> Any:
    """Run ``body(here, there)``: two Workers; the second has the classes of ``there`` and listens."""

    async def main() -> Any:
        registry = Registry()
        caller = await Worker("here", registry).listen()
        callee = await Worker("there", registry, **there, **options).listen()
        try:
            return await body(caller, callee)
        finally:
            for one in (caller, callee):
                one.peers.close()
                await one.stop()
                await one.work.drain(1)

    return asyncio.run(main())
