"""A session: the lock on the state, the terminal, the signals, and the scripts that are served.

Workers come and go (`script`), the session stays. The first script listens where the session was told to; each other
one has a socket of its own, and all share the first one's state.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wrangler_py import config as configuration
from wrangler_py.config.together import check_together
from wrangler_py.errors import ConfigError
from wrangler_py.runtime.channel import Problem
from wrangler_py.runtime.desk import Desk
from wrangler_py.runtime.editor import check_debugger
from wrangler_py.runtime.keys import Keys, may_ask
from wrangler_py.runtime.listening import bind, url_of
from wrangler_py.runtime.options import DEV_GRACE, DevOptions
from wrangler_py.runtime.report import Opening, Report
from wrangler_py.runtime.screen import Screen
from wrangler_py.runtime.script import LAST_PATIENCE, Script
from wrangler_py.runtime.sessions import (
    Session,
    SessionFile,
    StateLock,
    check_state,
    close_to_others,
    configs_of,
    state_directory,
)
from wrangler_py.runtime.spawn import Child

if TYPE_CHECKING:
    from wrangler_py.config import Config

    #: A script's configuration and the socket it listens on.
    Served = tuple[Config, socket.socket]

#: Seconds without a prompt after which a debugger is taken to be gone: between two prompts lies a line of the program.
AFTER_DEBUGGER = 0.5
#: Where scripts listen that were given no address, at a free port.
LOOPBACK = "127.0.0.1"
EXIT_FAILED = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(options: DevOptions, first: Child | None = None) -> int:
    """Run a session until it is told to end; return the exit code: 0 for key ``x``, else 128 + the signal.

    ``first`` is a first worker, if the caller has started it already.

    Raises:
        ConfigError, StateError, PortInUseError, UserError: it cannot begin.
    """
    check_debugger(options.debug_port)
    with contextlib.ExitStack() as stack:
        # The first thing, because it takes the longest: workers' imports run beside everything below.
        children = [first or Child(), *(Child() for _ in options.config[1:])]
        for child in children:
            stack.enter_context(child)
        configs = [_read_config(options, path) for path in options.config]
        check_together(configs)
        state_dir = state_directory(configs[0], options.persist_to)
        lock = StateLock(state_dir)
        lock.acquire()
        stack.callback(lock.release)
        check_state(state_dir)
        listeners = [_listen(options, configs[0]), *(bind(LOOPBACK, 0) for _ in configs[1:])]
        for listener in listeners:
            stack.callback(listener.close)
        served = list(zip(configs, listeners, strict=True))
        return asyncio.run(_run(options, state_dir, served, children))


async def _run(options: DevOptions, state_dir: Path, served: Sequence[Served], children: list[Child]) -> int:
    return await Supervisor(options, state_dir, served).run(children)


def _listen(options: DevOptions, config: Config) -> socket.socket:
    return bind(options.ip or config.dev.ip, config.dev.port if options.port is None else options.port)


def _read_config(options: DevOptions, path: Path) -> Config:
    loaded = configuration.load(
        path, env=options.env, variables=dict(options.variables), overrides=options.overrides_of(path)
    )
    loaded.diagnostics.raise_for_errors()
    if loaded.config is None:
        raise ConfigError(f"The configuration {path} cannot be used.")
    return loaded.config


class Supervisor:
    """Runs a session. Runs on one event loop; every method is called on it. For its scripts it is the `Stage`."""

    def __init__(self, options: DevOptions, state_dir: Path, served: Sequence[Served]) -> None:
        self.options, self.state_dir = options, state_dir
        self.lease_prefix = f"{uuid.uuid4().hex[:12]}-"
        self._started_at = round(time.time() * 1000)
        self._screen = Screen(options.log_level)
        self._has_served = False
        self._session_file = SessionFile(state_dir)
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = self._loop.create_future()
        self._nobody = asyncio.Event()
        self.desk = Desk(Keys(self._pressed) if may_ask() else None, self._debugger_gone)
        self._opening = Opening(self._screen, state_dir, self.desk.open)
        are_many = len(served) > 1
        self._scripts = [
            self._script(number, *one, one[0].name if are_many else "") for number, one in enumerate(served)
        ]

    def _script(self, number: int, config: Config, listener: socket.socket, label: str) -> Script:
        screen = self._screen.of(label) if label else self._screen
        report = Report(screen, self._opening, url_of(listener), config.root)
        debug_port = None if self.options.debug_port is None else self.options.debug_port + number
        return Script(config, listener, report, self, label=label, debug_port=debug_port)

    async def run(self, children: Sequence[Child]) -> int:
        """Serve until the end; return the exit code. ``children`` has a first worker for each script."""
        self._listen_to_signals()
        for script, child in zip(self._scripts, children, strict=True):
            await script.begin(child)
        try:
            return await self._end
        finally:
            await self._leave()
            for script in self._scripts:
                await script.stop_watching()

    def _listen_to_signals(self) -> None:
        for number in STOP_SIGNALS:
            self._loop.add_signal_handler(number, self._stop, 128 + number)
        self._loop.add_signal_handler(signal.SIGCHLD, self._look_for_dead)
        self._loop.add_signal_handler(signal.SIGCONT, self._continue)

    # what scripts tell

    @property
    def is_ending(self) -> bool:
        """True once the session is told to end."""
        return self._end.done()

    def serves(self, script: Script) -> None:
        """Publish where everything answers, now that ``script`` does, by this worker."""
        _ = script
        if not self._has_served:
            self._has_served = True
            self._close_to_others()
        self._publish()

    def _close_to_others(self) -> None:
        if notice := close_to_others(self.state_dir):
            self._screen.warn(notice)

    def _publish(self) -> None:
        """Tell where scripts answer; also one that still loads: who calls it waits in its socket's queue."""
        first = self._scripts[0]
        served = [one for one in self._scripts if one.has_served or not one.has_given_up]
        pids = {one.name: one.worker.pid for one in served if one.worker is not None}
        self._session_file.write(
            Session(
                url=first.url,
                port=first.port,
                pid=os.getpid(),
                started_at=self._started_at,
                state_dir=str(self.state_dir),
                worker_pid=pids.get(first.name),
                scripts={one.name: one.url for one in served},
                worker_pids=pids,
                configs=configs_of({one.name: one.config.path for one in served}),
            )
        )

    def gave_up(self, script: Script) -> bool:
        """End if ``script`` was the last that might have served."""
        _ = script
        if all(one.has_given_up for one in self._scripts):
            self._finish(EXIT_FAILED)
        elif any(one.has_served for one in self._scripts):
            self._publish()
        return not self.is_ending

    def clash(self, script: Script) -> Problem | None:
        """Look whether the scripts may still run together, as the configuration of ``script`` is written now."""
        configs = [self._written_now(one) if one is script else one.config for one in self._scripts]
        try:
            check_together([config for config in configs if config is not None])
        except ConfigError as error:
            return Problem(str(error), error.hint)
        return None

    def _written_now(self, script: Script) -> Config | None:
        path, options = script.config.path, self.options
        return configuration.load(path, env=options.env, overrides=options.overrides_of(path)).config

    def _look_for_dead(self) -> None:
        for script in self._scripts:
            script.bury_dead()
        if not any(script.workers for script in self._scripts):
            self._nobody.set()

    # the terminal

    def _pressed(self, key: str) -> None:
        match key.lower():
            case "b":
                import webbrowser

                self._loop.run_in_executor(None, webbrowser.open, self._scripts[0].url)
            case "c":
                self._screen.clear()
            case "x" | "q":
                self._finish(0)

    def _debugger_gone(self) -> None:
        for script in self._scripts:
            self._loop.call_later(AFTER_DEBUGGER, script.reload_if_free)

    def _continue(self) -> None:
        if self._opening.is_over:
            self.desk.open()

    # the end

    def _stop(self, code: int) -> None:
        if self.is_ending:
            self._kill_all()
        self._finish(code)

    def _finish(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    async def _leave(self) -> None:
        """Let the workers finish what they can in a moment, and leave everything as it was found."""
        self._session_file.remove()
        for script in self._scripts:
            script.say_goodbye()
        self._look_for_dead()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._nobody.wait(), DEV_GRACE + LAST_PATIENCE)
        self._kill_all()
        self.desk.close()

    def _kill_all(self) -> None:
        for script in self._scripts:
            script.kill_all()
