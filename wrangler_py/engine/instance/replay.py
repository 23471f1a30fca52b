"""Step keys, checkpoints, and what a replay does differently from the run before it.

`Replay` is an instance's history folded into what `run()` needs to go on: for each step its checkpoint, or how far
it got. It also watches the order in which a replay visits the stored steps, because code that changed under a
running instance is legal but must be *seen* (engine-semantics, section 3).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from wrangler_py.engine.entries import (
    StartData,
    decode_start,
    read_checkpoint,
    read_death,
    read_failure,
    read_group,
    read_resume,
    read_scope,
)
from wrangler_py.engine.model import ErrorRecord, HistoryEvent, HistoryType, Kind


class Scope(NamedTuple):
    """Where a step is called: the path of the task, and the number of the step in whose callback, 0 for none."""

    task: str = ""
    parent: int = 0


RUN = Scope()


class Recorded(msgspec.Struct, eq=False):
    """The history of one step."""

    kind: Kind
    name: str
    step: int
    data: bytes | None
    started_at: int = 0
    ended_at: int = 0
    #: After how many milliseconds `run()` gave it up; None: it did not.
    abandoned_ms: int | None = None
    attempts: int = 0
    attempt_open: bool = False
    retry_at: int | None = None
    #: Milliseconds the instance was paused while this step was pending.
    shift_ms: int = 0
    done: bool = False
    output: bytes | None = None
    error: ErrorRecord | None = None
    visited: bool = False

    @property
    def scope(self) -> Scope:
        """Where it was called."""
        named = read_scope(self.data) if self.data else None
        return RUN if named is None else Scope(*named)

    @property
    def start(self) -> StartData:
        """The data of its start event."""
        return decode_start(self.data)


def spare(records: Iterable[Recorded], culprit: str | None) -> None:
    """Forget the attempts that were under way when their process died of ``culprit``; its own counts."""
    for record in records:
        if record.attempt_open and record.name != culprit:
            record.attempt_open = False
            record.attempts -= 1


class Reached(msgspec.Struct):
    """A step that user code has called: what it is named and shown as, where it is, and what history knows of it."""

    name: str
    display: str
    scope: Scope
    recorded: Recorded | None


class _Namesakes:
    """The stored steps of one kind and name, in the order of their starts."""

    __slots__ = ("_expected", "_highest", "records", "visited")

    def __init__(self) -> None:
        self.records: list[Recorded] = []
        #: How many of them have come up.
        self.visited = 0
        #: Those of each place that it has not asked for yet.
        self._expected: dict[Scope, deque[Recorded]] | None = None
        self._highest: int | None = None

    def next_at(self, scope: Scope) -> Recorded | None:
        """Return what a place asks for when it asks once more, None if it asked less often the first time."""
        if self._expected is None:
            self._expected = defaultdict(deque)
            for record in self.records:
                self._expected[record.scope].append(record)
        expected = self._expected.get(scope)
        return expected.popleft() if expected else None

    def mark(self, record: Recorded) -> None:
        """Note that one of them has come up."""
        if not record.visited:
            record.visited = True
            self.visited += 1

    def next_count(self) -> int:
        """Return the count of a step that starts for the first time."""
        if self._highest is None:
            self._highest = max((_count(record.name) for record in self.records), default=0)
        self._highest += 1
        return self._highest


def _count(display: str) -> int:
    return int(display.rpartition("-")[2] or 0)


class Replay:
    """The folded history of an instance, and which of its steps this lifetime has visited."""

    def __init__(self, history: Iterable[HistoryEvent] = ()) -> None:
        #: By the number of the step.
        self.recorded: dict[int, Recorded] = {}
        self.last_step = 0
        self.steps_taken = 0
        self.stored_bytes = 0
        #: Numbers of the steps that had a rollback when they started.
        self.reversible: set[int] = set()
        #: The group in which the result of each ended step was handed to user code, and its place among all results,
        #: both counted from 1, by step number.
        self.ranks: dict[int, tuple[int, int]] = {}
        #: The last of those places.
        self.ends = 0
        #: The last attempt of each step that was executing when its process died, by whether it was one of the
        #: rollback, and the step's display name.
        self.fatal_attempts: dict[tuple[bool, str], int] = {}
        self._names: defaultdict[tuple[Kind, str], _Namesakes] = defaultdict(_Namesakes)
        #: The steps inside the callback of each step, by its number.
        self._children: defaultdict[int, list[Recorded]] = defaultdict(list)
        self._order = _Order()
        self._fold(history)

    # folding

    def _fold(self, history: Iterable[HistoryEvent]) -> None:
        for event in history:
            kind = _START_KINDS.get(event.type)
            if kind is not None:
                self._fold_start(event, kind)
            elif (record := self.recorded.get(event.step)) is not None:
                _PROGRESS.get(event.type, Replay._pass_over)(self, event, record)
            elif event.type is _RESUMED:
                self._shift(read_resume(event).paused_ms)
            elif event.type is _DIED:
                self._fold_death(event)
        self.last_step = max(self.recorded, default=0)

    def _pass_over(self, event: HistoryEvent, record: Recorded) -> None:
        """Make nothing of what says nothing about a step in `run()`: of its rollback, or that an attempt went well."""

    def _fold_group(self, event: HistoryEvent, record: Recorded) -> None:  # noqa: ARG002 - one of its steps
        known = [step for step in read_group(event) if step in self.ranks]
        first = min((self.ranks[step][0] for step in known), default=0)
        self.ranks.update((step, (first, self.ranks[step][1])) for step in known)

    def _fold_death(self, event: HistoryEvent) -> None:
        death = read_death(event)
        if event.name is not None:
            self.fatal_attempts[death.rollback, event.name] = event.attempt
        if death.is_certain:
            spare(self.recorded.values(), None if death.rollback else event.name)

    def _fold_start(self, event: HistoryEvent, kind: Kind) -> None:
        name, data = event.name or "", event.data
        record = self.recorded[event.step] = Recorded(kind, name, event.step, data, event.at)
        self._names[kind, name.rpartition("-")[0]].records.append(record)
        self.steps_taken += kind is not _SLEEP
        if _mentions(data, b'"parent"') and (parent := record.start.parent):
            self._children[parent].append(record)
        if _mentions(data, b'"rollback":true') and record.start.rollback:
            self.reversible.add(event.step)

    def _fold_attempt(self, event: HistoryEvent, record: Recorded) -> None:
        record.attempts, record.attempt_open, record.retry_at = event.attempt, True, None
        record.shift_ms = 0

    def _fold_attempt_failure(self, event: HistoryEvent, record: Recorded) -> None:
        record.attempt_open, record.retry_at = False, read_failure(event).retry_at
        record.shift_ms = 0

    def _fold_result(self, event: HistoryEvent, record: Recorded) -> None:
        data = event.data or b""
        record.done, record.attempt_open, record.output = True, False, event.data
        self._rank(record, event.at)
        self.stored_bytes += len(data)
        if (stream := read_checkpoint(data)) is not None:
            self.stored_bytes += stream.size

    def _fold_failure(self, event: HistoryEvent, record: Recorded) -> None:
        failure = read_failure(event)
        record.done, record.attempt_open, record.error = True, False, failure.error
        if failure.abandoned:
            self._fold_given_up(event, record)
        else:
            self._rank(record, event.at)

    def _fold_given_up(self, event: HistoryEvent, record: Recorded) -> None:
        record.abandoned_ms = event.at - record.started_at
        self._rank(record, event.at)

    def _rank(self, record: Recorded, at: int) -> None:
        record.ended_at = at
        self.ends += 1
        self.ranks[record.step] = (self.ends, self.ends)

    def _shift(self, paused_ms: int) -> None:
        for record in self.recorded.values():
            if not record.done:
                record.shift_ms += paused_ms

    # visiting

    def visit(self, kind: Kind, name: str, scope: Scope) -> Recorded | None:
        """Return what is known of the step that a task reaches now, None if that is no stored one of this place."""
        same = self._names[kind, name]
        found = same.next_at(scope)
        return None if found is None or found.visited else self._visited(same, found, scope)

    def may_have_moved(self, kind: Kind, name: str) -> bool:
        """Return True if a stored step of this kind and name has not come up yet."""
        same = self._names[kind, name]
        return same.visited < len(same.records)

    def adopt(self, kind: Kind, name: str, scope: Scope) -> Recorded | None:
        """Return the first stored step of a kind and name that did not come up where it was, None if there is none.

        Code that changed may call it from another task, and histories of old versions do not say from which. A step
        in a callback never takes the place of one outside, nor of one in another callback.
        """
        same = self._names[kind, name]
        for record in same.records:
            if not record.visited and record.scope.parent == scope.parent:
                self._order.adopted(record)
                return self._visited(same, record, scope)
        return None

    def _visited(self, same: _Namesakes, record: Recorded, scope: Scope) -> Recorded:
        same.mark(record)
        if not scope.parent:  # A callback that is called again may go another way.
            self._order.known(scope.task, record)
        if record.done:
            self._skip_children(record.step)
        return record

    def new_name(self, kind: Kind, name: str, scope: Scope) -> str:
        """Return the display name ``<name>-<count>`` of a step that starts for the first time."""
        display = f"{name}-{self._names[kind, name].next_count()}"
        if self.recorded and not scope.parent:
            self._order.new(scope.task, display)
        return display

    def _skip_children(self, step: int) -> None:
        """Count the steps inside a callback that will not be called again as visited."""
        for child in self._children.get(step, ()):
            self._names[child.kind, child.name.rpartition("-")[0]].mark(child)
            self._skip_children(child.step)

    @property
    def is_through(self) -> bool:
        """True once every stored step has been visited."""
        return all(record.visited for record in self.recorded.values())

    def _is_missed(self, record: Recorded) -> bool:
        if record.visited:
            return False
        outer = self.recorded.get(record.scope.parent)
        # A step inside a callback comes up when that is called again, if it then goes the same way.
        return outer is None or (outer.done and (outer.visited or self._is_missed(outer)))

    def divergence(self) -> list[str]:
        """Return, in words, how this replay differs from what was stored; empty if it does not.

        Meaningful once the replay has come to rest.
        """
        missed = [record.name for record in self.recorded.values() if self._is_missed(record)]
        return self._order.messages() + ([_missed(missed)] if missed else [])


#: By their class, the members of an Enum are found by Python code (3.11), which every stored step would pay for.
_SLEEP = Kind.SLEEP
_RESUMED, _DIED = HistoryType.WORKFLOW_RESUMED, HistoryType.PROCESS_DIED
_START_KINDS = {
    HistoryType.STEP_START: Kind.DO,
    HistoryType.SLEEP_START: Kind.SLEEP,
    HistoryType.WAIT_START: Kind.WAIT,
}
_PROGRESS: dict[HistoryType, Callable[[Replay, HistoryEvent, Recorded], None]] = {
    HistoryType.ATTEMPT_START: Replay._fold_attempt,
    HistoryType.ATTEMPT_FAILURE: Replay._fold_attempt_failure,
    HistoryType.STEP_SUCCESS: Replay._fold_result,
    HistoryType.SLEEP_COMPLETE: Replay._fold_result,
    HistoryType.WAIT_COMPLETE: Replay._fold_result,
    HistoryType.RESULT_GROUP: Replay._fold_group,
    HistoryType.RESULT_ABANDONED: Replay._fold_given_up,
    HistoryType.STEP_FAILURE: Replay._fold_failure,
    HistoryType.SLEEP_ABANDONED: Replay._fold_failure,
    HistoryType.WAIT_TIMED_OUT: Replay._fold_failure,
    HistoryType.WAIT_ABANDONED: Replay._fold_failure,
}


def _mentions(data: bytes | None, field: bytes) -> bool:
    """Return True if a start event's data may have ``field``: only then is it worth decoding.

    Decoding every start event adds a third to the time of a fold, and most have neither a rollback nor a parent. The
    entries are written without spaces (`entries.encode_data`). A user's text may look like the field, so the caller
    decodes to confirm a True.
    """
    return data is not None and field in data


def _missed(names: list[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in names[:5]) + (
        f" and {len(names) - 5} more" if len(names) > 5 else ""
    )
    plural = "steps" if len(names) > 1 else "step"
    return (
        f"stored {plural} {listed} did not come up again: renamed, removed, or named differently on every run"
    )


class _Order:
    """Compares, task by task, the order of visits with the order in which the steps first started."""

    def __init__(self) -> None:
        self._last: dict[Any, Recorded] = {}
        self._new: dict[Any, str] = {}
        self._inserted: list[str] = []
        self._swapped: list[str] = []
        self._moved: list[str] = []

    def adopted(self, record: Recorded) -> None:
        if record.scope.task:  # Old histories do not say in which task a step ran.
            self._moved.append(f'step "{record.name}" is now called by another task')

    def new(self, task: Any, display: str) -> None:
        self._new.setdefault(task, display)

    def known(self, task: Any, record: Recorded) -> None:
        if task in self._new:
            self._inserted.append(
                f'step "{self._new.pop(task)}" is new: it now runs before the stored step "{record.name}"'
            )
        last = self._last.get(task)
        if last is not None and last.step > record.step:
            self._swapped.append(f'the order changed: step "{last.name}" now comes before "{record.name}"')
        self._last[task] = record

    def messages(self) -> list[str]:
        return self._inserted[:3] + self._swapped[:3] + self._moved[:3]
