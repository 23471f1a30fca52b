"""The place of one process: whoever dies in it is replaced, until the place is given up."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from wrangler_py.runtime.backoff import Backoff
from wrangler_py.runtime.channel import Death, Drain, Failed, FromWorker, Problem, Ready, ToWorker
from wrangler_py.runtime.process import WorkerProcess

if TYPE_CHECKING:
    from wrangler_py.runtime.fleet.journal import Journal

#: Seconds beyond all grace until a process that does not leave is killed.
PATIENCE = 2.0


class Stage(Protocol):
    """What all posts of a session share. Owners of its leases have names that begin with ``lease_prefix``."""

    lease_prefix: str
    journal: Journal

    @property
    def is_ending(self) -> bool:
        """True once the session is told to end: nobody is replaced any more."""
        ...


class Boss(Protocol):
    """Who is told what happens at a post."""

    def ready(self, post: Post, ready: Ready) -> None:
        """The process has loaded what it was told to."""
        ...

    def failed(self, post: Post, problem: Problem) -> None:
        """The process can do nothing, and ends."""
        ...

    def heard(self, post: Post, message: FromWorker) -> None:
        """The process says something else."""
        ...

    def died(self, post: Post, death: Death, cause: str) -> None:
        """The process has ended, told to or not."""
        ...


class Post:
    """A place with a socket of its own. ``order`` makes what a new process is told, of the name of its leases.

    ``title``, ``script`` and ``version`` name it in the log.
    """

    def __init__(
        self,
        stage: Stage,
        boss: Boss,
        listener: socket.socket,
        order: Callable[[str], ToWorker],
        *,
        title: str,
        script: str = "",
        version: str = "",
    ) -> None:
        self.listener = listener
        self.title, self.script, self.version = title, script, version
        self._stage, self._boss, self._order = stage, boss, order
        self._loop = asyncio.get_running_loop()
        self._process: WorkerProcess | None = None
        self._backoff = Backoff()
        self._ready_since: float | None = None
        self._refill: asyncio.TimerHandle | None = None
        #: Whether nobody is to be here any more.
        self.is_given_up = False
        #: Whether its process was told to serve and to drive.
        self.is_employed = False

    @property
    def is_ready(self) -> bool:
        """Return True if a process is here that has loaded."""
        return self._ready_since is not None

    @property
    def is_empty(self) -> bool:
        """Return True if there is no process."""
        return self._process is None

    @property
    def pid(self) -> int | None:
        """Return the process id, if there is one."""
        return None if self._process is None else self._process.pid

    def fill(self) -> None:
        """Start a process."""
        self._refill = None
        if self.is_given_up or self._stage.is_ending:
            return
        process = self._process = WorkerProcess(self._stage.lease_prefix)
        self._loop.add_reader(process.wire.end.fileno(), self._hear, process)
        process.send(self._order(process.owner), [self.listener])

    def send(self, message: ToWorker, sockets: Sequence[socket.socket] = ()) -> bool:
        """Tell the process something; False if there is none."""
        return self._process is not None and self._process.send(message, sockets)

    def _hear(self, process: WorkerProcess) -> None:
        messages = process.wire.messages()
        if messages is None:
            self._loop.remove_reader(process.wire.end.fileno())
            return
        for message in messages:
            self._take(message)

    def _take(self, message: FromWorker) -> None:
        match message:
            case Ready():
                self._ready_since = time.monotonic()
                self._boss.ready(self, message)
            case Failed(problem=problem):
                self._boss.failed(self, problem)
            case _:
                self._boss.heard(self, message)

    def bury(self) -> None:
        """Let go of the process if it has ended, and start another if one is to be here."""
        process = self._process
        if process is None or process.is_alive:
            return
        while messages := process.wire.messages():
            for message in messages:
                self._take(message)
        served = 0.0 if self._ready_since is None else time.monotonic() - self._ready_since
        self._process = self._ready_since = None
        self.is_employed = False
        self._loop.remove_reader(process.wire.end.fileno())
        death = process.death
        if not (self.is_given_up or self._stage.is_ending):
            self._replace(process, served)
        process.close()
        self._boss.died(self, death, process.cause)

    def _replace(self, process: WorkerProcess, served: float) -> None:
        wait = self._backoff.died(served)
        what = f"{self.title} died ({process.cause}){process.told}"
        self._stage.journal.warn(
            "died",
            f"{what}; starting it again{f' in {wait:g} s' if wait else ''}.",
            script=self.script,
            version=self.version,
            culprit=process.culprit,
        )
        self._refill = self._loop.call_later(wait, self.fill)

    def leave(self, grace: float, linger: float) -> None:
        """Give the place up: let its process finish, for as many seconds (`Drain`), and then go."""
        self.give_up()
        self.send(Drain(grace, linger))
        self._loop.call_later(grace + linger + PATIENCE, self.kill)

    def give_up(self) -> None:
        """Replace nobody here any more."""
        self.is_given_up = True
        if self._refill is not None:
            self._refill.cancel()

    def kill(self) -> None:
        """End the process now, whatever it does."""
        if self._process is not None:
            self._process.kill()
