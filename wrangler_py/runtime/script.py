"""One script of a session: the workers that serve it, from the first load to the last goodbye.

New code is loaded by a new worker beside the old one; only when it is ready does it take over the socket, the open
connections and the instances. So no request is refused, broken code changes nothing, and a worker that dies is replaced
at once: whoever connects meanwhile waits in the socket's queue.
"""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wrangler_py.config import watched_files
from wrangler_py.runtime.backoff import Backoff
from wrangler_py.runtime.channel import (
    Death,
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
from wrangler_py.runtime.keys import may_ask
from wrangler_py.runtime.listening import names_of, url_of
from wrangler_py.runtime.options import DEV_GRACE, DevOptions
from wrangler_py.runtime.process import WorkerProcess
from wrangler_py.runtime.report import Reason, Report
from wrangler_py.runtime.watch import Watch

if TYPE_CHECKING:
    from wrangler_py.config import Config
    from wrangler_py.runtime.desk import Desk
    from wrangler_py.runtime.spawn import Child

#: Seconds that requests in flight get after the steps in flight: when code is replaced, and when the session ends.
LINGER, LAST_LINGER = 30.0, 1.5
#: Seconds until a worker that does not leave is killed: beyond all grace when code is replaced; beyond the grace of
#: steps when the session ends, whatever holds the worker up (its code, a locked database). What is stored stays whole.
PATIENCE, LAST_PATIENCE = 2.0, 2.0
#: Seconds after a hand-over until the next worker is started in advance, out of the way of what answers now.
SPARE_DELAY = 0.3
#: Workers that may die in a row before a script that was never ready gives up.
FIRST_TRIES = 3
OLD_GOES_ON = "The code from before this change goes on serving."
NOTHING_SERVES = "Nothing serves until this is mended and saved."


class Stage(Protocol):
    """What a script's workers share with the rest of their session.

    The owners of all its leases have names that begin with ``lease_prefix``.
    """

    options: DevOptions
    lease_prefix: str
    state_dir: Path
    desk: Desk

    @property
    def is_ending(self) -> bool:
        """True once the session is told to end: nothing is begun any more."""
        ...

    def serves(self, script: Script) -> None:
        """Take note that another worker of ``script`` answers from now on."""
        ...

    def gave_up(self, script: Script) -> bool:
        """Take note that ``script``, which has never served, cannot; say whether the session goes on without it."""
        ...

    def clash(self, script: Script) -> Problem | None:
        """Say why ``script``, as it is configured now, cannot be in one session with the others, if so."""
        ...


class Script:
    """Keeps one worker of a script serving. Every method is called on the session's event loop.

    ``label`` names it on the screen, if the session has several.
    """

    def __init__(
        self,
        config: Config,
        listener: socket.socket,
        report: Report,
        stage: Stage,
        *,
        label: str = "",
        debug_port: int | None = None,
    ) -> None:
        self.config, self.listener = config, listener
        self.url, self.port = url_of(listener), listener.getsockname()[1]
        #: The name it has now: a saved configuration may change it.
        self.name = config.name
        self._screen, self._report, self._stage = report.screen, report, stage
        self._label, self._debug_port = label, debug_port
        self._loop = asyncio.get_running_loop()
        self._watch: Watch | None = None
        #: The worker that answers; the one that loads; those that leave; one started in advance.
        self._current: WorkerProcess | None = None
        self._loading: WorkerProcess | None = None
        self._leaving: set[WorkerProcess] = set()
        self._spare: WorkerProcess | None = None
        #: Workers that may drive instances: told to, and not heard to have let go.
        self._driving: set[WorkerProcess] = set()
        #: Deaths of workers that had leases.
        self._deaths: list[Death] = []
        self._changed: set[Path] = set()
        self._reason = Reason(frozenset())
        self._serving_since = 0.0
        self._backoff = Backoff()
        self._restart: asyncio.TimerHandle | None = None
        #: A hand-over on its way: who parts from its connections, and what to tell then.
        self._untold: tuple[WorkerProcess, Ready, Reason] | None = None
        #: Whether there was ever a worker that served; whether there will be none until something is mended.
        self.has_served = self.has_given_up = False

    async def begin(self, first: Child) -> None:
        """Load the code, in a worker that was started already, and again whenever it is saved."""
        await self._follow_files()
        self._load(WorkerProcess(self._stage.lease_prefix, first))

    @property
    def worker(self) -> WorkerProcess | None:
        """Return the worker that answers."""
        return self._current

    @property
    def workers(self) -> set[WorkerProcess]:
        """Return all that have not been buried."""
        named = (self._current, self._loading, self._spare)
        return {worker for worker in named if worker is not None} | self._leaving

    # loading

    async def _follow_files(self) -> None:
        if not self._stage.options.reload:
            return
        config = self.config
        roots = {config.root} if config.main is None else {config.root, config.main.parent}
        self._watch = Watch(roots, watched_files(config), self._saved, self._cannot_watch)
        await self._watch.start()

    def _saved(self, paths: set[Path]) -> None:
        self._changed |= paths
        self.reload_if_free()

    def reload_if_free(self) -> None:
        """Load what was saved, unless a debugger has the terminal: then it waits until that has gone."""
        if self._changed and self._stage.desk.holder is None:
            self._reload()

    def _cannot_watch(self, reason: str) -> None:
        self._screen.warn(
            f"Files cannot be watched ({reason}); start the session again to load what you change."
        )

    def _reload(self) -> None:
        if self._stage.is_ending:
            return
        if self._loading is not None:
            self._changed |= self._reason.files
            self._discard(self._loading)
            self._loading = None
        if self.config.path in self._changed and (clash := self._stage.clash(self)):
            self._screen.problem(clash, self._consequence)
            return
        self._backoff.forget()
        self._start_loading()

    def _start_loading(self) -> None:
        self._cancel_restart()
        worker, self._spare = self._spare, None
        if worker is None or not worker.is_alive:
            worker = WorkerProcess(self._stage.lease_prefix)
        self._load(worker)

    def _load(self, worker: WorkerProcess) -> None:
        options = self._stage.options
        self._loading, self.has_given_up = worker, False
        self._reason, self._changed = Reason(frozenset(self._changed)), set()
        self._loop.add_reader(worker.wire.end.fileno(), self._hear, worker)
        worker.send(
            Load(
                config=str(self.config.path),
                state_dir=str(self._stage.state_dir),
                owner=worker.owner,
                env=options.env,
                variables=dict(options.variables),
                overrides=options.overrides_of(self.config.path),
                options=options.host,
                log_level=options.log_level,
                allowed_hosts=names_of(self.listener),
                test_scheduled=options.test_scheduled,
                debug_port=self._debug_port,
                colour=self._screen.colour,
                has_terminal=may_ask(),
                label=self._label,
            ),
            [self.listener],
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
                self._stage.desk.ask(worker)
            case LeaveTerminal():
                self._stage.desk.leave(worker)

    def _loaded(self, worker: WorkerProcess, ready: Ready) -> None:
        if self._current is not None and self._stage.desk.holder is self._current:
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
        if not self.has_served:
            self._give_up(problem)
            return
        self._screen.problem(problem, self._consequence)
        if self._current is not None:
            self._prepare_spare()

    @property
    def _consequence(self) -> str:
        """What a change means that cannot be loaded."""
        return NOTHING_SERVES if self._current is None else OLD_GOES_ON

    def _give_up(self, problem: Problem) -> None:
        self.has_given_up = True
        goes_on = self._stage.gave_up(self)
        self._screen.problem(problem, NOTHING_SERVES if goes_on else None)
        self._report.fails()

    # handing over

    def _switch_to(self, worker: WorkerProcess, ready: Ready) -> None:
        old, self._current, self._loading = self._current, worker, None
        self._serving_since = time.monotonic()
        self.name, self.has_served = ready.name, True
        self._stage.serves(self)
        if old is None:
            worker.send(Serve())
            self._report.serves(ready, self._reason)
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
            self._report.serves(ready, reason)

    def _drive(self) -> None:
        """Let the current worker run instances, as soon as no other does."""
        worker = self._current
        if worker is None or self._driving or self._stage.is_ending:
            return
        if worker.send(Drive(self._deaths, self._stage.lease_prefix)):
            self._driving.add(worker)
            self._deaths = []

    def _prepare_spare(self) -> None:
        if self._stage.options.reload:
            self._loop.call_later(SPARE_DELAY, self._start_spare)

    def _start_spare(self) -> None:
        if self._spare is None and not self._stage.is_ending:
            self._spare = WorkerProcess(self._stage.lease_prefix)

    # dying

    def bury_dead(self) -> None:
        """Let go of the workers that have ended, and start another where one is missed."""
        for worker in self.workers:
            if not worker.is_alive:
                self._bury(worker)

    def _bury(self, worker: WorkerProcess) -> None:
        self._hear_last_words(worker)
        was_current, was_loading = worker is self._current, worker is self._loading
        told = worker.told if was_current else ""
        self._forget(worker)
        if self._stage.is_ending:
            return
        if was_current:
            self._died(f"({worker.cause}){told}", time.monotonic() - self._serving_since)
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
            self._deaths = [*self._deaths, worker.death]
        self._leaving.discard(worker)
        self._current, self._loading, self._spare = (
            None if each is worker else each for each in (self._current, self._loading, self._spare)
        )
        self._parted(worker)
        self._stage.desk.forget(worker)
        self._loop.remove_reader(worker.wire.end.fileno())
        worker.close()

    def _died(self, how: str, served: float) -> None:
        wait = self._backoff.died(served)
        self._screen.warn(f"The worker died {how}; starting it again{_in(wait)}.")
        if self._loading is None:
            self._restart_in(wait)

    def _died_loading(self, worker: WorkerProcess) -> None:
        problem = Problem(f"The worker died while it loaded your code ({worker.cause}).")
        if self._current is not None:
            self._screen.problem(problem, OLD_GOES_ON)
            return
        wait = self._backoff.died(0.0)
        if not self.has_served and self._backoff.deaths >= FIRST_TRIES:
            self._give_up(problem)
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
        self._stage.desk.forget(worker)
        worker.kill()
        worker.close()

    def _kill_if_there(self, worker: WorkerProcess) -> None:
        if worker not in self._leaving:
            return
        if worker is self._stage.desk.holder:
            self._loop.call_later(PATIENCE, self._kill_if_there, worker)
        else:
            worker.kill()

    # the end

    def say_goodbye(self) -> None:
        """Let the workers finish what they can in a moment; end at once those that do nothing for anybody."""
        self._cancel_restart()
        self.listener.close()
        if self._current is not None:
            self._leaving.add(self._current)
            self._current = None
        for worker in (self._loading, self._spare):
            if worker is not None:
                worker.kill()
        for worker in self._leaving:
            if worker is self._stage.desk.holder:
                worker.kill()
            worker.send(Drain(DEV_GRACE, LAST_LINGER))

    def kill_all(self) -> None:
        """End every worker now."""
        for worker in self.workers:
            worker.kill()

    async def stop_watching(self) -> None:
        """Notice nothing that is saved any more."""
        if self._watch is not None:
            await self._watch.stop()


def _in(seconds: float) -> str:
    return f" in {seconds:g} s" if seconds else ""
