"""The line between the supervisor and a worker: JSON messages, one a line, and open sockets that travel with them.

A worker reads on a thread of its own. So it hears its supervisor while user code blocks the event loop, is told that
the terminal is its own while a debugger holds that loop, and notices at once when its supervisor is gone.
"""

from __future__ import annotations

import array
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from wrangler_py.runtime.options import HostOptions, LogFormat, LogLevel

#: Bytes and sockets taken in at once.
CHUNK, MAX_SOCKETS = 65_536, 8
_DESCRIPTORS = array.array("i")


class Problem(msgspec.Struct, frozen=True):
    """A user's mistake on its way to the screen."""

    message: str
    hint: str | None = None
    traceback: str = ""


class Load(msgspec.Struct, tag="load", frozen=True):
    """To a worker: read this configuration, import the code, open the state. Carries the listening socket.

    ``label`` stands before each line it writes, if the session has several Workers.
    """

    config: str
    state_dir: str
    #: The name its leases bear: its supervisor chooses it, and so can tell them apart when it has died.
    owner: str
    env: str | None = None
    variables: dict[str, str] = {}
    overrides: dict[str, Any] = {}
    options: HostOptions = HostOptions()
    log_level: LogLevel = LogLevel.LOG
    allowed_hosts: list[str] = []
    test_scheduled: bool = False
    debug_port: int | None = None
    colour: bool = False
    has_terminal: bool = False
    label: str = ""
    log_format: LogFormat = "text"
    #: Given where several versions run side by side: then this process runs that one's instances only.
    version: str = ""
    #: Which of a version's workers this is.
    index: int = 0
    sockets: int = 1


class LoadFront(msgspec.Struct, tag="load_front", frozen=True):
    """To a worker process: be the front of `pywrangler serve`. Carries the socket that the world connects to."""

    state_dir: str
    options: HostOptions = HostOptions()
    #: The script that answers where a request names none.
    default: str | None = None
    max_body: int = 0
    log_level: LogLevel = LogLevel.LOG
    log_format: LogFormat = "text"
    allowed_hosts: list[str] = []
    colour: bool = False
    sockets: int = 1


class Serve(msgspec.Struct, tag="serve", frozen=True):
    """To a worker: accept connections. May carry the socket on which its predecessor's connections arrive."""

    sockets: int = 0


class Death(msgspec.Struct, frozen=True):
    """The end of a worker whose leases are named ``owner``; what it was executing is `engine.quarantine.Evidence`."""

    owner: str
    instances: list[tuple[str, str]] = []
    #: Workflow, instance, step, number, whether it is one of the rollback.
    attempts: list[tuple[str, str, str, int, bool]] = []
    is_certain: bool = False
    #: Its supervisor ended it: that counts for no instance.
    is_stopped: bool = False


class Drive(msgspec.Struct, tag="drive", frozen=True):
    """To a worker: take a lease and run instances.

    Dead are the owners of the ``deaths``, and all owners in the store whose names do not begin with ``living``: those
    are of another session, and this one has the state's lock.
    """

    deaths: list[Death] = []
    living: str = ""
    sockets: int = 0


class Drain(msgspec.Struct, tag="drain", frozen=True):
    """To a worker: leave. Seconds for steps in flight, then for requests in flight. May carry where connections go."""

    grace: float
    linger: float
    sockets: int = 0


class Lead(msgspec.Struct, tag="lead", frozen=True):
    """To a worker: run what only one process of a script may: consumers of queues, schedules, Durable Objects."""

    sockets: int = 0


class StandBy(msgspec.Struct, tag="stand_by", frozen=True):
    """To a worker: leave those to another, after ``grace`` seconds for what is in flight; answered by `StoodBy`."""

    grace: float
    sockets: int = 0


class Rest(msgspec.Struct, tag="rest", frozen=True):
    """To a worker: run nothing more, after ``grace`` seconds for what is in flight, but go on answering; `Released`."""

    grace: float
    sockets: int = 0


class Route(msgspec.Struct, frozen=True):
    """Where a script's requests go: the sockets (paths) of its active version's workers."""

    version: str
    sockets: list[str]


class Routes(msgspec.Struct, tag="routes", frozen=True):
    """To the front: who answers from now on. `Routed` says that nobody who is not named has a request in flight.

    ``is_ready``: every script has a worker that serves.
    """

    number: int
    scripts: dict[str, Route]
    is_ready: bool
    sockets: int = 0


class Bury(msgspec.Struct, tag="bury", frozen=True):
    """To the front: these owners of leases have died; others may have their instances at once."""

    deaths: list[Death]
    sockets: int = 0


class Answered(msgspec.Struct, tag="answered", frozen=True):
    """To the front: what it `Asked` is done, or why not."""

    number: int
    problem: Problem | None = None
    sockets: int = 0


class Leaving(msgspec.Struct, tag="leaving", frozen=True):
    """To the front: it is going to be told to leave; whoever chooses where to send requests need not choose it."""

    sockets: int = 0


class Terminal(msgspec.Struct, tag="terminal", frozen=True):
    """To a worker: the terminal is yours until you say otherwise; None: there is none."""

    path: str | None
    sockets: int = 0


class BindingLine(msgspec.Struct, frozen=True):
    """One binding as the banner shows it."""

    name: str
    kind: str
    detail: str = ""


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """From a worker: loaded, nothing accepted yet. ``broken`` says why the code cannot run, if so."""

    name: str
    version: str
    bindings: list[BindingLine] = []
    warnings: str = ""
    broken: Problem | None = None


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """From a worker: it can do nothing at all; the configuration or the state cannot be used."""

    problem: Problem


class Parted(msgspec.Struct, tag="parted", frozen=True):
    """From a worker: it has no connection any more but those with a request in flight."""


class Released(msgspec.Struct, tag="released", frozen=True):
    """From a worker: it drives no instance any more; another may."""


class StoodBy(msgspec.Struct, tag="stood_by", frozen=True):
    """From a worker: what only one process may run, it does not run any more."""


class Asked(msgspec.Struct, tag="asked", frozen=True):
    """From the front: a deploy wants something (`server.rollout`); answered by `Answered` of the same number."""

    number: int
    what: Literal["prepare", "discard", "activate", "remove"]
    script: str
    version: str = ""


class Registered(msgspec.Struct, tag="registered", frozen=True):
    """From the front: what is stored about who is to be there.

    ``active`` is each script's active version; ``unfinished`` are the versions by which instances were begun that have
    not ended.
    """

    active: dict[str, str]
    unfinished: dict[str, list[str]]


class Routed(msgspec.Struct, tag="routed", frozen=True):
    """From the front: no request goes, or is still on its way, to whom the `Routes` of this number do not name."""

    number: int


class WantTerminal(msgspec.Struct, tag="want_terminal", frozen=True):
    """From a worker: a debugger wants to read keys."""


class LeaveTerminal(msgspec.Struct, tag="leave_terminal", frozen=True):
    """From a worker: the debugger's prompt is gone."""


ToWorker = (
    Load
    | LoadFront
    | Serve
    | Drive
    | Lead
    | StandBy
    | Rest
    | Drain
    | Routes
    | Bury
    | Answered
    | Leaving
    | Terminal
)
FromWorker = (
    Ready | Failed | Parted | Released | StoodBy | Asked | Registered | Routed | WantTerminal | LeaveTerminal
)
M = TypeVar("M", ToWorker, FromWorker)


class Wire:
    """Sends messages over one end of a socket pair, and cuts what arrives into messages. One thread may read."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._sending = threading.Lock()
        self._rest = b""
        self._arrived: deque[socket.socket] = deque()

    def send(self, message: ToWorker | FromWorker, sockets: Sequence[socket.socket] = ()) -> bool:
        """Send one message, with sockets of which the other side gets its own copies. False if nobody listens."""
        line = msgspec.json.encode(message) + b"\n"
        try:
            with self._sending:
                sent = socket.send_fds(self.end, [line], [one.fileno() for one in sockets])
                self.end.sendall(line[sent:])
        except OSError:
            return False
        return True

    def receive(self, flags: int = 0) -> list[bytes] | None:
        """Return the lines that have come, after waiting for some; None when the other side is gone."""
        try:
            # Not `socket.recv_fds`: it leaves out ``flags``.
            data, extra, _, _ = self.end.recvmsg(
                CHUNK, socket.CMSG_LEN(MAX_SOCKETS * _DESCRIPTORS.itemsize), flags
            )
        except BlockingIOError:
            return []
        except OSError:
            return None
        for level, kind, descriptors in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._arrived.extend(map(_adopt, _whole_descriptors(descriptors)))
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def take(self, count: int) -> list[socket.socket]:
        """Return the ``count`` sockets that came with the message being looked at."""
        return [self._arrived.popleft() for _ in range(count)]

    def close(self) -> None:
        """Hang up."""
        self.end.close()


def _whole_descriptors(data: bytes) -> array.array[int]:
    descriptors = array.array(_DESCRIPTORS.typecode)
    descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return descriptors


def _adopt(descriptor: int) -> socket.socket:
    return socket.socket(fileno=descriptor)


_to_worker = msgspec.json.Decoder(ToWorker)
_from_worker = msgspec.json.Decoder(FromWorker)


class SupervisorWire(Wire):
    """The supervisor's end; it never waits for a worker that is silent."""

    def messages(self) -> list[FromWorker] | None:
        """Return what has come; None when the worker is gone."""
        lines = self.receive(socket.MSG_DONTWAIT)
        return None if lines is None else [_from_worker.decode(line) for line in lines]


class WorkerWire(Wire):
    """The worker's end."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self._waiting: deque[ToWorker] = deque()

    def next(self) -> ToWorker | None:
        """Wait for one message; None when the supervisor is gone."""
        while not self._waiting:
            lines = self.receive()
            if lines is None:
                return None
            self._waiting.extend(_to_worker.decode(line) for line in lines)
        return self._waiting.popleft()

    def listen(
        self, heard: Callable[[ToWorker, list[socket.socket]], None], gone: Callable[[], None]
    ) -> threading.Thread:
        """Call ``heard`` for every message, and ``gone`` when the supervisor is, on a thread that does only this."""

        def read() -> None:
            while (message := self.next()) is not None:
                heard(message, self.take(message.sockets))
            gone()

        thread = threading.Thread(target=read, name="pywrangler-control", daemon=True)
        thread.start()
        return thread
