"""What user code executes in this process now, in memory that outlives it: the supervisor reads it after a death.

Recorded is only what executes, not what awaits: a callback on the event loop between two of its awaits, one in a thread
for as long as it lasts. So the record names a culprit, not all that were under way. A process has one record, as it has
one standard output; until `Record.keep_in` nothing is recorded.
"""

from __future__ import annotations

import mmap
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

#: Bytes of one slot: the length of an entry, and the entry. Longer ones are cut.
SLOT = 1024
#: The first slots: how many handlers of requests and the like are under way, what the event loop executes, who is on
#: trial (`engine.trials`). All others belong to threads.
_HANDLERS, _LOOP, _TRIAL, _THREADS = range(4)
_NOTHING = b"\0\0"
_END = "\n"


class Executing(NamedTuple):
    """Code of an instance that executes: a step's callback, or ``run()`` itself where ``step`` is empty."""

    workflow: str
    instance_id: str
    step: str = ""
    attempt: int = 0
    #: Attempts that it has in all, 0: without limit.
    attempts: int = 0
    is_rollback: bool = False

    def encode(self) -> bytes:
        """Return the entry of the record."""
        return "\0".join(map(str, self)).encode(errors="replace")

    @classmethod
    def decode(cls, entry: str) -> Executing | None:
        """Read one entry; None where it was cut."""
        parts = entry.split("\0")
        if len(parts) != len(cls._fields):
            return None
        workflow, instance_id, step, attempt, attempts, is_rollback = parts
        return cls(workflow, instance_id, step, int(attempt), int(attempts), is_rollback == "True")

    def __str__(self) -> str:
        """Return it in words."""
        instance = f"instance {self.workflow}/{self.instance_id}"
        if not self.step:
            return instance
        of = f" of {self.attempts}" if self.attempts else ""
        step = f"step `{self.step}` of {instance} (attempt {self.attempt}{of})"
        return f"the rollback of {step}" if self.is_rollback else step


class LastWords(NamedTuple):
    """What a process was executing when it died."""

    on_loop: tuple[Executing, ...] = ()
    in_threads: tuple[Executing, ...] = ()
    on_trial: tuple[Executing, ...] = ()
    #: Handlers of requests, queues and schedules under way.
    handlers: int = 0

    @property
    def suspects(self) -> tuple[Executing, ...]:
        """Return the code that may have killed the process, as far as that is known."""
        # A `run()` that has just handed a step to a thread is no suspect beside that step.
        in_steps = {(one.workflow, one.instance_id) for one in self.in_threads}
        on_loop = [one for one in self.on_loop if one.step or (one.workflow, one.instance_id) not in in_steps]
        executing = (*on_loop, *self.in_threads)
        return executing or (() if self.handlers else self.on_trial)

    @property
    def is_certain(self) -> bool:
        """Return True if there is one suspect, and nothing else that is known to have executed."""
        return len(self.suspects) == 1 and (bool(self.on_loop) or not self.handlers)


class Record:
    """The record of this process. The event loop's thread writes it, and the threads of steps their own slots."""

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._on_loop = b""
        self._handlers = 0
        self._free: deque[int] = deque()
        self._lock = threading.Lock()

    def keep_in(self, descriptor: int) -> None:
        """Record in the shared memory of a file from now on."""
        self._memory = mmap.mmap(descriptor, 0)
        self._free = deque(range(_THREADS, len(self._memory) // SLOT))

    @property
    def is_kept(self) -> bool:
        """Return True if anybody can read it."""
        return self._memory is not None

    def begin(self, entry: bytes) -> bytes:
        """Record what the event loop executes from now on; return what it did before, for `resume`."""
        before, self._on_loop = self._on_loop, entry
        self._write(_LOOP, entry)
        return before

    def resume(self, before: bytes) -> None:
        """Record that the event loop goes on with what it did before."""
        self._on_loop = before
        self._write(_LOOP, before)

    def in_thread(self, entry: bytes, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do some work on a thread that is not the event loop's, and record it."""
        try:
            slot = self._free.popleft()
        except IndexError:
            return work(*arguments)
        self._write(slot, entry)
        try:
            return work(*arguments)
        finally:
            self._write(slot, b"")
            self._free.append(slot)

    @contextmanager
    def handler(self) -> Iterator[None]:
        """Count a handler as under way, during the block."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._handlers += change
            self._write(_HANDLERS, str(self._handlers).encode())

    def try_(self, suspects: Sequence[Executing]) -> None:
        """Record who is on trial."""
        self._write(_TRIAL, _END.encode().join(one.encode() for one in suspects))

    def _write(self, slot: int, entry: bytes) -> None:
        memory = self._memory
        if memory is None:
            return
        at = slot * SLOT
        if not entry:
            memory[at : at + 2] = _NOTHING
            return
        entry = entry[: SLOT - 2]
        size = len(entry)
        memory[at + 2 : at + 2 + size] = entry
        memory[at : at + 2] = size.to_bytes(2, "little")


#: The record of this process.
RECORD = Record()


def read_last_words(memory: bytes) -> LastWords:
    """Return what the record of another process says, which has died."""
    entries = [_entry(memory[at : at + SLOT]) for at in range(0, len(memory), SLOT)]
    threads = [one for entry in entries[_THREADS:] for one in _decode(entry)]
    handlers = int(entries[_HANDLERS]) if entries[_HANDLERS].isdecimal() else 0
    return LastWords(_decode(entries[_LOOP]), tuple(threads), _decode(entries[_TRIAL]), handlers)


def _entry(slot: bytes) -> str:
    size = int.from_bytes(slot[:2], "little")
    return slot[2 : 2 + size].decode(errors="replace")


def _decode(entry: str) -> tuple[Executing, ...]:
    found = (Executing.decode(line) for line in entry.split(_END) if line)
    return tuple(one for one in found if one is not None)
