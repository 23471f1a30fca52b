"""``python -m wrangler_py.server.worker FD``: a worker process, started and steered by `runtime.supervisor` over ``FD``.

Everything imported here is imported before the supervisor says what to load.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from wrangler_py import config as configuration
from wrangler_py.errors import PywranglerError, UserError, WorkerLoadError
from wrangler_py.runtime.bindings_list import list_bindings
from wrangler_py.runtime.channel import (
    Drain,
    Drive,
    Failed,
    LeaveTerminal,
    Load,
    Problem,
    Ready,
    Released,
    Serve,
    Terminal,
    ToWorker,
    WantTerminal,
    WorkerWire,
)
from wrangler_py.runtime.debugger import Debugger
from wrangler_py.runtime.editor import listen_for_editor
from wrangler_py.runtime.host import Host
from wrangler_py.runtime.logs import RequestLog, SessionLog, send_library_logs
from wrangler_py.runtime.output import Console
from wrangler_py.runtime.process import ignore_terminal_signals
from wrangler_py.server.app import create_app
from wrangler_py.server.serving import Serving

Heard = tuple[ToWorker, list[socket.socket]]
#: What runs outside of user code: freed of the garbage collector's looks once it is loaded.
GC_THRESHOLD = 50_000


class Worker:
    """The life of a worker process, from `Load` to `Drain`."""

    def __init__(self, wire: WorkerWire, order: Load, listener: socket.socket) -> None:
        self._wire, self._order, self._listener = wire, order, listener
        self._console = Console(sys.stdout, sys.stderr, colour=order.colour)
        self._log = SessionLog(self._console, order.log_level)
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()

    async def live(self) -> int:
        """Load, serve, leave; return the exit code."""
        self._loop = asyncio.get_running_loop()
        self._console.install()
        try:
            host = await self._open()
        except UserError as error:
            self._wire.send(Failed(_problem(error)))
            return 1
        self._serving = Serving(RequestLog(self._app(host), self._log))
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 20)
        await self._serve(host)
        self._console.finish()
        return 0

    async def _open(self) -> Host:
        order = self._order
        loaded = configuration.load(Path(order.config), env=order.env, variables=order.variables)
        loaded.diagnostics.raise_for_errors()
        assert loaded.config is not None
        self._debugger = self._make_debugger()
        self._wire.listen(self._hear, lambda: os._exit(1))
        host = await Host.open(loaded.config, Path(order.state_dir), options=order.options, owner=order.owner)
        send_library_logs(self._console, order.log_level, host.roots)
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
