"""A record of the user code that executes now, in memory that outlives the process: read after a death.

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

#: Bytes of one slot: 1 where it is in use, two with the length of its text, and the text. Longer ones are cut.
SLOT = 1024
_HEAD = 3
#: The first slots: how many handlers of requests and the like are under way, what the event loop executes, who is on
#: trial (`engine.trials`). All others belong to threads.
_HANDLERS, _LOOP, _TRIAL, _THREADS = range(4)
_LOOP_AT = _LOOP * SLOT
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
        return entry_of(*self[:5], is_rollback=self.is_rollback)

    @classmethod
    def decode(cls, text: str) -> Executing | None:
        """Read the text of an entry; None where it was cut."""
        parts = text.split("\0")
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


def entry_of(
    workflow: str,
    instance_id: str,
    step: str = "",
    attempt: int = 0,
    attempts: int = 0,
    *,
    is_rollback: bool = False,
) -> bytes:
    """Return the entry of an `Executing` of these fields."""
    return _entry(f"{workflow}\0{instance_id}\0{step}\0{attempt}\0{attempts}\0{is_rollback}")


def _entry(text: str) -> bytes:
    data = text.encode(errors="replace")[: SLOT - _HEAD]
    return b"\1" + len(data).to_bytes(2, "little") + data


class LastWords(NamedTuple):
    """The user code that a process was executing when it died."""

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
        #: True if anybody can read it.
        self.is_kept = False
        self._memory: mmap.mmap | None = None
        self._on_loop = b""
        self._handlers = 0
        self._free: deque[int] = deque()
        self._lock = threading.Lock()

    def keep_in(self, descriptor: int) -> None:
        """Record in the shared memory of a file from now on."""
        self._memory, self.is_kept = mmap.mmap(descriptor, 0), True
        self._free = deque(range(_THREADS, len(self._memory) // SLOT))

    def begin(self, entry: bytes) -> bytes:
        """Record what the event loop executes from now on; return what it did before, for `resume`."""
        before, self._on_loop = self._on_loop, entry
        self._write(_LOOP_AT, entry)
        return before

    def resume(self, before: bytes) -> None:
        """Record that the event loop goes on with what it did before."""
        self._on_loop = before
        self._write(_LOOP_AT, before)

    def in_thread(self, entry: bytes, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do some work on a thread that is not the event loop's, and record it."""
        try:
            slot = self._free.popleft()
        except IndexError:
            return work(*arguments)
        self._write(slot * SLOT, entry)
        try:
            return work(*arguments)
        finally:
            self._write(slot * SLOT, b"")
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
            self._write(_HANDLERS * SLOT, _entry(str(self._handlers)))

    def try_(self, suspects: Sequence[Executing]) -> None:
        """Record who is on trial."""
        lines = [_text(one.encode()) for one in suspects]
        self._write(_TRIAL * SLOT, _entry(_END.join(lines)))

    def _write(self, at: int, entry: bytes) -> None:
        memory = self._memory
        if memory is None:
            return
        if entry:
            memory[at : at + len(entry)] = entry
        else:
            memory[at] = 0


#: The record of this process.
RECORD = Record()


def read_last_words(memory: bytes) -> LastWords:
    """Return what the record of another process says, which has died."""
    texts = [_text(memory[at : at + SLOT]) for at in range(0, len(memory), SLOT)]
    threads = [one for text in texts[_THREADS:] for one in _decode(text)]
    handlers = int(texts[_HANDLERS]) if texts[_HANDLERS].isdecimal() else 0
    return LastWords(_decode(texts[_LOOP]), tuple(threads), _decode(texts[_TRIAL]), handlers)


def _text(slot: bytes) -> str:
    if not slot[0]:
        return ""
    size = int.from_bytes(slot[1:_HEAD], "little")
    return slot[_HEAD : _HEAD + size].decode(errors="replace")


def _decode(text: str) -> tuple[Executing, ...]:
    found = (Executing.decode(line) for line in text.split(_END) if line)
    return tuple(one for one in found if one is not None)
