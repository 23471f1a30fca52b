"""A session: the socket, the lock, the file watch, and the worker behind them.

Workers come and go, the session stays. New code is loaded by a new worker beside the old one; only when it is ready
does it take over the socket, the open connections and the instances. So no request is refused, broken code changes
nothing, and a worker that dies is replaced at once: whoever connects meanwhile waits in the socket's queue.
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
from wrangler_py.runtime.backoff import Backoff
from wrangler_py.runtime.channel import (
    Drain,
    Drive,
    Failed,
    FromWorker,
    LeaveTerminal,
    Load,
    Parted,
    Problem,
    Ready,
    Released,
    Serve,
    WantTerminal,
)
from wrangler_py.runtime.desk import Desk
from wrangler_py.runtime.editor import check_debugger
from wrangler_py.runtime.keys import Keys, may_ask
from wrangler_py.runtime.listening import bind, names_of, url_of
from wrangler_py.runtime.options import DEV_GRACE, DevOptions
from wrangler_py.runtime.process import WorkerProcess
from wrangler_py.runtime.report import Reason, Report
from wrangler_py.runtime.screen import Screen
from wrangler_py.runtime.sessions import Session, SessionFile, StateLock, state_directory
from wrangler_py.runtime.spawn import Child
from wrangler_py.runtime.watch import Watch

if TYPE_CHECKING:
    from wrangler_py.config import Config

#: Seconds that requests in flight get after the steps in flight: when code is replaced, and when the session ends.
LINGER, LAST_LINGER = 30.0, 2.0
#: Seconds beyond all grace until a worker that does not leave is killed.
PATIENCE = 2.0
#: Seconds without a prompt after which a debugger is taken to be gone: between two prompts lies a line of the program.
AFTER_DEBUGGER = 0.5
#: Seconds after a hand-over until the next worker is started in advance, out of the way of what answers now.
SPARE_DELAY = 0.3
#: Workers that may die in a row before a session that was never ready gives up.
FIRST_TRIES = 3
EXIT_FAILED = 1
INTERRUPTED = 128 + signal.SIGINT
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
        return asyncio.run(Supervisor(options, config, state_dir, listener).run(child))


def _read_config(options: DevOptions) -> Config:
    loaded = configuration.load(options.config, env=options.env, variables=dict(options.variables))
    loaded.diagnostics.raise_for_errors()
    if loaded.config is None:
        raise ConfigError(f"The configuration {options.config} cannot be used.")
    return loaded.config


class Supervisor:
    """Keeps one worker serving. Runs on one event loop; every method is called on it."""

    def __init__(self, options: DevOptions, config: Config, state_dir: Path, listener: socket.socket) -> None:
        self._options, self._config, self._state_dir = options, config, state_dir
        self._listener, self._started_at = listener, round(time.time() * 1000)
        self._screen = Screen(options.log_level)
        self._report = Report(self._screen, url_of(listener), state_dir, config.root)
        self._session_file = SessionFile(state_dir)
        #: The worker that answers; the one that loads; those that leave; one started in advance.
        self._current: WorkerProcess | None = None
        self._loading: WorkerProcess | None = None
        self._leaving: set[WorkerProcess] = set()
        self._spare: WorkerProcess | None = None
        #: Workers that may drive instances: told to, and not heard to have let go.
        self._driving: set[WorkerProcess] = set()
        #: Names of leases whose workers died; None: whatever the store holds is of another session, which is dead.
        self._dead_owners: list[str] | None = None
        self._changed: set[Path] = set()
        self._reason = Reason(frozenset())
        self._serving_since = 0.0
        self._backoff = Backoff()
        self._restart: asyncio.TimerHandle | None = None
        #: A hand-over on its way: who parts from its connections, and what to tell then.
        self._untold: tuple[WorkerProcess, Ready, Reason] | None = None

    async def run(self, first: Child) -> int:
        """Serve until the end; return the exit code."""
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = self._loop.create_future()
        self._nobody = asyncio.Event()
        self._desk = Desk(self._keys(), self._debugger_gone)
        self._listen_to_signals()
        watch = await self._watch()
        self._load(WorkerProcess(first))
        try:
            return await self._end
        finally:
            await self._leave()
            await watch.stop()

    def _keys(self) -> Keys | None:
        return Keys(self._pressed) if may_ask() else None

    def _listen_to_signals(self) -> None:
        for number in STOP_SIGNALS:
            self._loop.add_signal_handler(number, self._stop, 128 + number)
        self._loop.add_signal_handler(signal.SIGCHLD, self._look_for_dead)
        self._loop.add_signal_handler(signal.SIGCONT, self._continue)

    async def _watch(self) -> Watch:
        roots = {self._config.root}
        if self._config.main is not None and not self._config.main.is_relative_to(self._config.root):
            roots.add(self._config.main.parent)
        watch = Watch(roots, self._config.path, self._saved, self._cannot_watch)
        if self._options.reload:
            await watch.start()
        return watch

    # loading

    def _saved(self, paths: set[Path]) -> None:
        self._changed |= paths
        if self._desk.holder is None:
            self._reload()

    def _cannot_watch(self, reason: str) -> None:
        self._screen.warn(
            f"Files cannot be watched ({reason}); start the session again to load what you change."
        )

    def _reload(self) -> None:
        if self._end.done():
            return
        if self._loading is not None:
            self._changed |= self._reason.files
            self._discard(self._loading)
        self._backoff.forget()
        self._start_loading()

    def _start_loading(self) -> None:
        self._cancel_restart()
        worker, self._spare = self._spare, None
        if worker is None or not worker.is_alive:
            worker = WorkerProcess()
        self._load(worker)

    def _load(self, worker: WorkerProcess) -> None:
        options = self._options
        self._loading = worker
        self._reason, self._changed = Reason(frozenset(self._changed)), set()
        self._loop.add_reader(worker.wire.end.fileno(), self._hear, worker)
        worker.send(
            Load(
                config=str(self._config.path),
                state_dir=str(self._state_dir),
                owner=worker.owner,
                env=options.env,
                variables=dict(options.variables),
                options=options.host,
                log_level=options.log_level,
                allowed_hosts=names_of(self._listener),
                test_scheduled=options.test_scheduled,
                debug_port=options.debug_port,
                colour=self._screen.colour,
                has_terminal=may_ask(),
            ),
            [self._listener],
        )

    def _hear(self, worker: WorkerProcess) -> None:
        messages = worker.wire.messages()
        if messages is None:
            self._loop.remove_reader(worker.wire.end.fileno())
            return
        for message in messages:
            self._take(worker, message)

    def _take(self, worker: WorkerProcess, message: FromWorker) -> None:
        match message:
            case Ready() if worker is self._loading:
                self._loaded(worker, message)
            case Failed() if worker is self._loading:
                self._could_not_load(worker, message.problem)
            case Parted():
                self._parted(worker)
            case Released():
                self._driving.discard(worker)
                self._drive()
            case WantTerminal():
                self._desk.ask(worker)
            case LeaveTerminal():
                self._desk.leave(worker)

    def _loaded(self, worker: WorkerProcess, ready: Ready) -> None:
        if self._current is not None and self._desk.holder is self._current:
            # A debugger was opened while this loaded. It is loaded again when the debugger has gone.
            self._loading = None
            self._changed |= self._reason.files
            self._discard(worker)
            return
        if ready.broken is not None:
            if self._current is not None and not self._current.is_broken:
                self._could_not_load(worker, ready.broken)
                return
            worker.is_broken = True
        self._switch_to(worker, ready)

    def _could_not_load(self, worker: WorkerProcess, problem: Problem) -> None:
        self._loading = None
        self._discard(worker)
        if self._current is not None:
            self._screen.problem(problem, "The code from before this change goes on serving.")
            self._prepare_spare()
        elif not self._report.is_empty:
            self._screen.problem(problem, "Nothing serves until this is mended and saved.")
        else:
            self._screen.problem(problem)
            self._finish(EXIT_FAILED)

    # handing over

    def _switch_to(self, worker: WorkerProcess, ready: Ready) -> None:
        old, self._current, self._loading = self._current, worker, None
        self._serving_since = time.monotonic()
        self._publish(worker, ready.name)
        if old is None:
            worker.send(Serve())
            self._tell(ready, self._reason)
        else:
            self._hand_over(old, worker)
            self._untold = old, ready, self._reason
        self._drive()
        self._prepare_spare()

    def _hand_over(self, old: WorkerProcess, worker: WorkerProcess) -> None:
        """Let ``worker`` accept, and ``old`` give it its idle connections and then leave."""
        giving, taking = socket.socketpair()
        with giving, taking:
            worker.send(Serve(sockets=1), [taking])
            old.send(Drain(DEV_GRACE, LINGER, sockets=1), [giving])
        self._leaving.add(old)
        self._loop.call_later(DEV_GRACE + LINGER + PATIENCE, self._kill_if_there, old)

    def _parted(self, old: WorkerProcess) -> None:
        """The old code answers no new request any more: now it is true to say so."""
        if self._untold is not None and self._untold[0] is old:
            (_, ready, reason), self._untold = self._untold, None
            self._tell(ready, reason)

    def _drive(self) -> None:
        """Let the current worker run instances, as soon as no other does."""
        worker = self._current
        if worker is None or self._driving or self._end.done():
            return
        if worker.send(Drive(self._dead_owners)):
            self._driving.add(worker)
            self._dead_owners = []

    def _prepare_spare(self) -> None:
        if self._options.reload:
            self._loop.call_later(SPARE_DELAY, self._start_spare)

    def _start_spare(self) -> None:
        if self._spare is None and not self._end.done():
            self._spare = WorkerProcess()

    def _publish(self, worker: WorkerProcess, name: str) -> None:
        self._session_file.write(
            Session(
                url=url_of(self._listener),
                port=self._listener.getsockname()[1],
                pid=os.getpid(),
                started_at=self._started_at,
                state_dir=str(self._state_dir),
                worker_pid=worker.pid,
                scripts={name: url_of(self._listener)},
            )
        )

    def _tell(self, ready: Ready, reason: Reason) -> None:
        self._report.serves(ready, reason, self._desk.open)

    # dying

    def _look_for_dead(self) -> None:
        for worker in self._workers():
            if not worker.is_alive:
                self._bury(worker)
        if not self._workers():
            self._nobody.set()

    def _workers(self) -> set[WorkerProcess]:
        named = (self._current, self._loading, self._spare)
        return {worker for worker in named if worker is not None} | self._leaving

    def _bury(self, worker: WorkerProcess) -> None:
        self._hear_last_words(worker)
        was_current, was_loading = worker is self._current, worker is self._loading
        self._forget(worker)
        if self._end.done():
            return
        if was_current:
            self._died(worker, time.monotonic() - self._serving_since)
        elif was_loading:
            self._died_loading(worker)
        self._drive()

    def _hear_last_words(self, worker: WorkerProcess) -> None:
        """Read what it said before it ended; only then what it has not said counts."""
        while messages := worker.wire.messages():
            for message in messages:
                self._take(worker, message)

    def _forget(self, worker: WorkerProcess) -> None:
        if worker in self._driving:
            self._driving.discard(worker)
            self._dead_owners = [*(self._dead_owners or ()), worker.owner]
        self._leaving.discard(worker)
        self._current, self._loading, self._spare = (
            None if each is worker else each for each in (self._current, self._loading, self._spare)
        )
        self._parted(worker)
        self._desk.forget(worker)
        self._loop.remove_reader(worker.wire.end.fileno())
        worker.close()

    def _died(self, worker: WorkerProcess, served: float) -> None:
        wait = self._backoff.died(served)
        self._screen.warn(f"The worker died ({_cause(worker)}); starting it again{_in(wait)}.")
        if self._loading is None:
            self._restart_in(wait)

    def _died_loading(self, worker: WorkerProcess) -> None:
        problem = Problem(f"The worker died while it loaded your code ({_cause(worker)}).")
        if self._current is not None:
            self._screen.problem(problem, "The code from before this change goes on serving.")
            return
        wait = self._backoff.died(0.0)
        if self._report.is_empty and self._backoff.deaths >= FIRST_TRIES:
            self._screen.problem(problem)
            self._finish(EXIT_FAILED)
            return
        self._screen.problem(problem, f"It is started again{_in(wait)}.")
        self._restart_in(wait)

    def _restart_in(self, seconds: float) -> None:
        self._cancel_restart()
        self._restart = self._loop.call_later(seconds, self._start_loading)

    def _cancel_restart(self) -> None:
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None

    def _discard(self, worker: WorkerProcess) -> None:
        """End a worker that never served."""
        self._loop.remove_reader(worker.wire.end.fileno())
        self._desk.forget(worker)
        worker.kill()
        worker.close()

    def _kill_if_there(self, worker: WorkerProcess) -> None:
        if worker not in self._leaving:
            return
        if worker is self._desk.holder:
            self._loop.call_later(PATIENCE, self._kill_if_there, worker)
        else:
            worker.kill()

    # the terminal

    def _pressed(self, key: str) -> None:
        match key.lower():
            case "b":
                import webbrowser

                self._loop.run_in_executor(None, webbrowser.open, url_of(self._listener))
            case "c":
                self._screen.clear()
            case "x" | "q":
                self._finish(0)

    def _debugger_gone(self) -> None:
        if self._changed:
            self._loop.call_later(AFTER_DEBUGGER, self._reload_if_free)

    def _reload_if_free(self) -> None:
        if self._changed and self._desk.holder is None:
            self._reload()

    def _continue(self) -> None:
        if not self._report.is_empty:
            self._desk.open()

    # the end

    def _stop(self, code: int) -> None:
        if self._end.done():
            self._kill_all()
        self._finish(code)

    def _finish(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    async def _leave(self) -> None:
        """Let the workers finish what they can in a moment, and leave everything as it was found."""
        self._cancel_restart()
        self._session_file.remove()
        self._listener.close()
        self._say_goodbye()
        self._look_for_dead()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._nobody.wait(), DEV_GRACE + LAST_LINGER + PATIENCE)
        self._kill_all()
        self._desk.close()

    def _say_goodbye(self) -> None:
        if self._current is not None:
            self._leaving.add(self._current)
            self._current = None
        for worker in (self._loading, self._spare, self._desk.holder):
            if worker is not None:
                worker.kill()
        for worker in self._leaving:
            worker.send(Drain(DEV_GRACE, LAST_LINGER))

    def _kill_all(self) -> None:
        for worker in self._workers():
            worker.kill()


def _cause(worker: WorkerProcess) -> str:
    code = worker.exit_code or 0
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _in(seconds: float) -> str:
    return f" in {seconds:g} s" if seconds else ""
