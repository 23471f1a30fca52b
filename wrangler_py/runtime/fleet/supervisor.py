"""A `pywrangler serve`: the lock on the state, the socket, the signals, the front, and the fleet of workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from wrangler_py.clock import SystemClock
from wrangler_py.runtime.channel import (
    Asked,
    Death,
    Drain,
    FromWorker,
    Leaving,
    LoadFront,
    Problem,
    Ready,
    Registered,
    Routed,
    Serve,
    ToWorker,
)
from wrangler_py.runtime.fleet.fleet import Fleet
from wrangler_py.runtime.fleet.journal import Journal
from wrangler_py.runtime.fleet.post import PATIENCE, Post
from wrangler_py.runtime.fleet.sockets import sockets_folder
from wrangler_py.runtime.listening import bind, is_open_to_others, names_of, url_of
from wrangler_py.runtime.options import ServeOptions
from wrangler_py.runtime.sessions import Session, SessionFile, StateLock, check_state, close_to_others
from wrangler_py.storage.deployments import Deployments
from wrangler_py.storage.waiting import serving_nobody

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds at least that requests in flight get when the session ends, and those that workers then still have.
LAST_LINGER = 2.0
EXIT_FAILED = 1


def run(options: ServeOptions) -> int:
    """Serve what is deployed until a signal; return the exit code: 0 after SIGTERM, else 128 + the signal.

    Raises:
        StateError, PortInUseError, UserError: it cannot begin.
    """
    with contextlib.ExitStack() as stack:
        lock = StateLock(options.state_dir)
        lock.acquire()
        stack.callback(lock.release)
        check_state(options.state_dir)
        listener = bind(options.ip, options.port)
        stack.callback(listener.close)
        deployments = Deployments.open(options.state_dir, SystemClock())
        stack.callback(deployments.close)
        deployments.sweep()
        sockets = sockets_folder(options.state_dir)
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        return asyncio.run(_run(options, listener, deployments, sockets))


async def _run(
    options: ServeOptions, listener: socket.socket, deployments: Deployments, sockets: Path
) -> int:
    with serving_nobody():  # The front and the workers do.
        return await Supervisor(options, listener, deployments, sockets).run()


class Supervisor:
    """Runs a session on one event loop. For its processes it is the `Stage`, for the front's post the `Boss`."""

    def __init__(
        self, options: ServeOptions, listener: socket.socket, deployments: Deployments, sockets: Path
    ) -> None:
        self.lease_prefix = f"{uuid.uuid4().hex[:12]}-"
        self.journal = Journal(options)
        self._options, self._listener, self._deployments = options, listener, deployments
        self._started_at = round(time.time() * 1000)
        self._session_file = SessionFile(options.state_dir)
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = self._loop.create_future()
        self._died = asyncio.Event()
        self._front = Post(self, self, listener, self._order, title="The front")
        self._fleet = Fleet(
            self,
            options,
            folder=deployments.folder,
            sockets=sockets,
            tell=self._tell_front,
            publish=self._publish,
        )
        self._has_served = False

    @property
    def is_ending(self) -> bool:
        """True once the session is told to end."""
        return self._end.done()

    async def run(self) -> int:
        """Serve until the end; return the exit code."""
        for number in STOP_SIGNALS:
            self._loop.add_signal_handler(number, self._stop, number)
        self._loop.add_signal_handler(signal.SIGCHLD, self._look_for_dead)
        self._front.fill()
        self._fleet.follow(self._deployments.active())
        try:
            return await self._end
        finally:
            await self._leave()

    def _tell_front(self, message: ToWorker) -> bool:
        return self._front.is_ready and self._front.send(message)

    def _order(self, owner: str) -> LoadFront:
        _ = owner
        options = self._options
        return LoadFront(
            state_dir=str(options.state_dir),
            default=options.default,
            max_body=options.max_body,
            log_level=options.log_level,
            log_format=options.log_format,
            options=options.host,
            allowed_hosts=[*names_of(self._listener), *options.allowed_hosts],
            colour=self.journal.colour,
        )

    # what the front tells

    def ready(self, post: Post, ready: Ready) -> None:
        """Let the front serve."""
        _ = ready
        if not self._has_served and (notice := close_to_others(self._options.state_dir)):
            self.journal.warn("permissions", notice)
        post.send(Serve())
        self._fleet.meet_front(self._deployments.active())
        self._publish()
        if not self._has_served:
            self._has_served = True
            self._greet()

    def _greet(self) -> None:
        url = url_of(self._listener)
        self.journal.say(
            "state", f"State in {self._options.state_dir}, synchronous=FULL: survives power loss"
        )
        if is_open_to_others(self._listener):
            self.journal.say("open", "Others in the network can connect; put what speaks TLS before it.")
        self.journal.say("ready", f"Ready on {url}")

    def failed(self, post: Post, problem: Problem) -> None:
        """End, if there was never a front; else another is tried."""
        _ = post
        self.journal.problem(problem)
        if not self._has_served:
            self._finish(EXIT_FAILED)

    def heard(self, post: Post, message: FromWorker) -> None:
        """Do what the front asks."""
        _ = post
        match message:
            case Asked():
                self._fleet.asked(message)
            case Registered(active=active, unfinished=unfinished):
                self._fleet.follow(active, unfinished)
            case Routed(number=number):
                self._fleet.routed(number)

    def died(self, post: Post, death: Death, cause: str) -> None:
        """See `Boss`: it is replaced."""
        _ = post, death, cause

    def _publish(self) -> None:
        """Write down where everything answers, for commands and for the Workers themselves."""
        pids = self._fleet.pids
        self._session_file.write(
            Session(
                url=url_of(self._listener),
                port=self._listener.getsockname()[1],
                pid=os.getpid(),
                started_at=self._started_at,
                state_dir=str(self._options.state_dir),
                worker_pid=self._front.pid,
                scripts=self._fleet.scripts,
                worker_pids=pids,
            )
        )

    def _look_for_dead(self) -> None:
        self._front.bury()
        self._fleet.bury_dead()
        self._died.set()

    # the end

    def _stop(self, number: signal.Signals) -> None:
        if self.is_ending:
            self._kill_all()
        self._finish(0 if number is signal.SIGTERM else 128 + number)

    def _finish(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    async def _leave(self) -> None:
        """Hand instances on, answer what was asked, then go: in this order, so that no request is refused."""
        grace = self._options.grace
        ends_at = self._loop.time() + grace
        self.journal.say("leaving", "Leaving: steps in flight finish, then requests.")
        self._tell_front(Leaving())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._fleet.rest(grace), grace + PATIENCE)
        self._session_file.remove()
        linger = max(LAST_LINGER, ends_at - self._loop.time())
        # The front is then the last to hold it: what connects is accepted by the front, or refused.
        self._listener.close()
        self._front.send(Drain(0, linger))
        await self._until(lambda: self._front.is_empty, linger + PATIENCE)
        self._fleet.leave(LAST_LINGER)
        await self._until(lambda: self._fleet.is_gone, LAST_LINGER + PATIENCE)
        self._kill_all()

    async def _until(self, is_so: Callable[[], bool], timeout: float) -> None:
        """Wait for the end of processes, no longer than ``timeout`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                self._look_for_dead()
                while not is_so():
                    self._died.clear()
                    await self._died.wait()

    def _kill_all(self) -> None:
        self._front.kill()
        self._fleet.kill_all()
