"""The life of a worker process, which runs user code and answers its requests."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from pathlib import Path

from wrangler_py import config as configuration
from wrangler_py.errors import StoreUnavailableError, UserError, WorkerLoadError
from wrangler_py.runtime.channel import (
    Drain,
    Drive,
    Failed,
    Lead,
    LeaveTerminal,
    Load,
    Parted,
    Problem,
    Ready,
    Released,
    Rest,
    Serve,
    StandBy,
    StoodBy,
    Terminal,
    ToWorker,
    WantTerminal,
    WorkerWire,
)
from wrangler_py.runtime.deaths import ends_of
from wrangler_py.runtime.debugger import Debugger
from wrangler_py.runtime.editor import EditorDebugger
from wrangler_py.runtime.host import Host
from wrangler_py.runtime.inventory import list_bindings
from wrangler_py.runtime.logs import RequestLog, send_library_logs
from wrangler_py.runtime.options import Part
from wrangler_py.server.app import App, create_app
from wrangler_py.server.log import open_log
from wrangler_py.server.serving import Serving

#: Objects made between two looks of the garbage collector. Python's 700 makes it look all the time under load.
GC_THRESHOLD = 20_000

Heard = tuple[ToWorker, list[socket.socket]]


class Worker:
    """The life of a worker process, from `Load` to `Drain`."""

    def __init__(self, wire: WorkerWire, order: Load, listener: socket.socket) -> None:
        self._wire, self._order, self._listener = wire, order, listener
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()
        self._host: Host | None = None
        self._adopting: asyncio.Task[None] | None = None
        self._console, self._log = open_log(order, script=order.label, version=order.version)
        self._debugger = Debugger(
            self._console,
            has_terminal=order.has_terminal,
            ask=lambda: wire.send(WantTerminal()),
            give_back=lambda: wire.send(LeaveTerminal()),
            excuse=self._excuse,
        )

    async def live(self) -> int:
        """Load, serve, leave; return the exit code."""
        self._console.install()
        self._debugger.install()
        self._wire.listen(self._hear, lambda: os._exit(1))
        try:
            host = await self._open()
        except (UserError, StoreUnavailableError) as error:
            self._wire.send(Failed(_problem(error)))
            return 1
        serving = Serving(RequestLog(self._app(host), self._log))
        # What is loaded by now stays: the collector need not look at it again.
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        await self._serve(host, serving)
        self._console.finish()
        return 0

    async def _open(self) -> Host:
        order = self._order
        loaded = configuration.load(
            Path(order.config), env=order.env, variables=order.variables, overrides=order.overrides
        )
        loaded.diagnostics.raise_for_errors()
        assert loaded.config is not None
        part = Part(order.version, order.index) if order.version else None
        host = await Host.open(
            loaded.config, Path(order.state_dir), options=order.options, owner=order.owner, part=part
        )
        self._host = host
        self._follow(host)
        self._wire.send(
            Ready(
                name=loaded.config.name,
                version=host.version,
                bindings=list_bindings(loaded.config),
                warnings=loaded.diagnostics.render(),
                broken=None if host.load_error is None else _problem(host.load_error),
            )
        )
        return host

    def _follow(self, host: Host) -> None:
        send_library_logs(self._console, self._order.log_level, host.roots)
        self._log.attach(host.engine, host.roots, lambda _: not self._debugger.is_open)

    def _app(self, host: Host) -> App:
        order = self._order
        return create_app(host, allowed_hosts=order.allowed_hosts, test_scheduled=order.test_scheduled)

    async def _serve(self, host: Host, serving: Serving) -> None:
        """Do what the supervisor says, until it says to leave."""
        while True:
            match await self._heard.get():
                case Serve(), sockets:
                    await self._accept(serving, sockets)
                case Drive(deaths=deaths, living=living), _:
                    await host.start([one.owner for one in deaths], living=living, **ends_of(deaths))
                    self._let_editor_attach()
                case Lead(), _:
                    await host.lead()
                case StandBy(grace=grace), _:
                    await host.stand_by(grace)
                    self._wire.send(StoodBy())
                case Rest(grace=grace), _:
                    await host.drain(grace)
                    self._wire.send(Released())
                case Drain() as farewell, sockets:
                    await self._leave(host, serving, farewell, sockets)
                    return

    async def _accept(self, serving: Serving, sockets: list[socket.socket]) -> None:
        await serving.accept(self._listener)
        if sockets:
            self._adopting = self._loop.create_task(serving.adopt(sockets[0]))

    async def _leave(
        self, host: Host, serving: Serving, farewell: Drain, sockets: list[socket.socket]
    ) -> None:
        await serving.leave(sockets[0] if sockets else None)
        self._wire.send(Parted())
        host.engine.end_subscriptions()
        await host.drain(farewell.grace)
        self._wire.send(Released())
        await serving.finish(farewell.linger)
        await host.close()

    def _let_editor_attach(self) -> None:
        if self._order.debug_port is not None:
            EditorDebugger(self._order.debug_port, self._console.line, self._excuse).start()

    def _excuse(self, seconds: float) -> None:
        if self._host is not None:
            self._host.engine.extend_deadlines(seconds)

    def _hear(self, message: ToWorker, sockets: list[socket.socket]) -> None:
        """Take a message, on the wire's own thread."""
        if isinstance(message, Terminal):
            self._debugger.answered(message.path)
        else:
            self._loop.call_soon_threadsafe(self._heard.put_nowait, (message, sockets))


def _problem(error: UserError | StoreUnavailableError) -> Problem:
    hint = error.hint if isinstance(error, UserError) else None
    traceback = error.traceback if isinstance(error, WorkerLoadError) else ""
    return Problem(str(error), hint, traceback)
