"""A session: the lock on the state, the terminal, the signals, and the script that is served.

Workers come and go (`script`), the session stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wrangler_py import config as configuration
from wrangler_py.errors import ConfigError
from wrangler_py.runtime.desk import Desk
from wrangler_py.runtime.editor import check_debugger
from wrangler_py.runtime.keys import Keys, may_ask
from wrangler_py.runtime.listening import bind, url_of
from wrangler_py.runtime.options import DEV_GRACE, DevOptions
from wrangler_py.runtime.report import Report
from wrangler_py.runtime.screen import Screen
from wrangler_py.runtime.script import LAST_LINGER, PATIENCE, Script
from wrangler_py.runtime.sessions import Session, SessionFile, StateLock, state_directory
from wrangler_py.runtime.spawn import Child

if TYPE_CHECKING:
    from wrangler_py.config import Config

#: Seconds without a prompt after which a debugger is taken to be gone: between two prompts lies a line of the program.
AFTER_DEBUGGER = 0.5
EXIT_FAILED = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(options: DevOptions, first: Child | None = None) -> int:
    """Run a session until it is told to end; return the exit code: 0 for key ``x``, else 128 + the signal.

    ``first`` is the first worker, if the caller has started it already.

    Raises:
        ConfigError, StateError, PortInUseError, UserError: it cannot begin.
    """
    check_debugger(options.debug_port)
    with contextlib.ExitStack() as stack:
        # The first thing, because it takes the longest: a worker's imports run beside everything below.
        child = stack.enter_context(first or Child())
        config = _read_config(options)
        state_dir = state_directory(config, options.persist_to)
        lock = StateLock(state_dir)
        lock.acquire()
        stack.callback(lock.release)
        port = config.dev.port if options.port is None else options.port
        listener = bind(options.ip or config.dev.ip, port)
        stack.callback(listener.close)
        return asyncio.run(_run(options, config, state_dir, listener, child))


async def _run(
    options: DevOptions, config: Config, state_dir: Path, listener: socket.socket, first: Child
) -> int:
    return await Supervisor(options, config, state_dir, listener).run(first)


def _read_config(options: DevOptions) -> Config:
    loaded = configuration.load(options.config, env=options.env, variables=dict(options.variables))
    loaded.diagnostics.raise_for_errors()
    if loaded.config is None:
        raise ConfigError(f"The configuration {options.config} cannot be used.")
    return loaded.config


class Supervisor:
    """Runs a session. Runs on one event loop; every method is called on it. For its script it is the `Stage`."""

    def __init__(self, options: DevOptions, config: Config, state_dir: Path, listener: socket.socket) -> None:
        self.options, self.state_dir = options, state_dir
        self._started_at = round(time.time() * 1000)
        self._screen = Screen(options.log_level)
        self._session_file = SessionFile(state_dir)
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = self._loop.create_future()
        self._nobody = asyncio.Event()
        self.desk = Desk(Keys(self._pressed) if may_ask() else None, self._debugger_gone)
        self._script = self._script_of(config, listener)

    def _script_of(self, config: Config, listener: socket.socket) -> Script:
        self._report = Report(self._screen, url_of(listener), self.state_dir, config.root, self.desk.open)
        return Script(config, listener, self._screen, self._report, self)

    async def run(self, first: Child) -> int:
        """Serve until the end; return the exit code."""
        self._listen_to_signals()
        await self._script.begin(first)
        try:
            return await self._end
        finally:
            await self._leave()
            await self._script.stop_watching()

    def _listen_to_signals(self) -> None:
        for number in STOP_SIGNALS:
            self._loop.add_signal_handler(number, self._stop, 128 + number)
        self._loop.add_signal_handler(signal.SIGCHLD, self._look_for_dead)
        self._loop.add_signal_handler(signal.SIGCONT, self._continue)

    # what the script tells

    @property
    def is_ending(self) -> bool:
        """True once the session is told to end."""
        return self._end.done()

    def serves(self, script: Script) -> None:
        """Publish where ``script`` answers."""
        worker = script.worker
        self._session_file.write(
            Session(
                url=script.url,
                port=script.port,
                pid=os.getpid(),
                started_at=self._started_at,
                state_dir=str(self.state_dir),
                worker_pid=None if worker is None else worker.pid,
                scripts={script.name: script.url},
            )
        )

    def gave_up(self, script: Script) -> bool:
        """End: there is nothing else to serve."""
        _ = script
        self._finish(EXIT_FAILED)
        return False

    def _look_for_dead(self) -> None:
        self._script.bury_dead()
        if not self._script.workers:
            self._nobody.set()

    # the terminal

    def _pressed(self, key: str) -> None:
        match key.lower():
            case "b":
                import webbrowser

                self._loop.run_in_executor(None, webbrowser.open, self._script.url)
            case "c":
                self._screen.clear()
            case "x" | "q":
                self._finish(0)

    def _debugger_gone(self) -> None:
        self._loop.call_later(AFTER_DEBUGGER, self._script.reload_if_free)

    def _continue(self) -> None:
        if not self._report.is_empty:
            self.desk.open()

    # the end

    def _stop(self, code: int) -> None:
        if self.is_ending:
            self._script.kill_all()
        self._finish(code)

    def _finish(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    async def _leave(self) -> None:
        """Let the workers finish what they can in a moment, and leave everything as it was found."""
        self._session_file.remove()
        self._script.say_goodbye()
        self._look_for_dead()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._nobody.wait(), DEV_GRACE + LAST_LINGER + PATIENCE)
        self._script.kill_all()
        self.desk.close()
