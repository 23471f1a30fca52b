"""Step keys, checkpoints, and what a replay does differently from the run before it.

`Replay` is an instance's history folded into what `run()` needs to go on: for each step its checkpoint, or how far
it got. It also watches the order in which a replay visits the stored steps, because code that changed under a
running instance is legal but must be *seen* (engine-semantics, section 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

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

#: The key of a step that is shown: its kind and ``<name>-<count>``.
StepKey = tuple[Kind, str]


class Scope(NamedTuple):
    """Where a step is called: the path of the task, and the number of the step in whose callback, 0 for none."""

    task: str = ""
    parent: int = 0


RUN = Scope()
#: The key of a step, with a count: its kind, its name and where it is called.
Place = tuple[Kind, str, Scope]


class Recorded:
    """The history of one step."""

    __slots__ = (
        "abandoned_ms",
        "attempt_open",
        "attempts",
        "data",
        "done",
        "ended_at",
        "error",
        "kind",
        "name",
        "output",
        "retry_at",
        "shift_ms",
        "started_at",
        "step",
        "visited",
    )

    def __init__(self, kind: Kind, name: str, step: int, data: bytes | None, started_at: int = 0) -> None:
        self.started_at = self.ended_at = started_at
        #: After how many milliseconds `run()` gave it up; None: it did not.
        self.abandoned_ms: int | None = None
        self.kind = kind
        self.name = name
        self.step = step
        self.data = data
        self.attempts = 0
        self.attempt_open = False
        self.retry_at: int | None = None
        #: Milliseconds the instance was paused while this step was pending.
        self.shift_ms = 0
        self.done = False
        self.output: bytes | None = None
        self.error: ErrorRecord | None = None
        self.visited = False

    @property
    def scope(self) -> Scope:
        """Where it was called."""
        return Scope(*read_scope(self.data))

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


_START_KINDS = {
    HistoryType.STEP_START: Kind.DO,
    HistoryType.SLEEP_START: Kind.SLEEP,
    HistoryType.WAIT_START: Kind.WAIT,
}
_DONE = {HistoryType.STEP_SUCCESS, HistoryType.SLEEP_COMPLETE, HistoryType.WAIT_COMPLETE}
_FAILED = {
    HistoryType.STEP_FAILURE,
    HistoryType.SLEEP_ABANDONED,
    HistoryType.WAIT_TIMED_OUT,
    HistoryType.WAIT_ABANDONED,
}


class Replay:
    """The folded history of an instance, and which of its steps this lifetime has visited."""

    def __init__(self, history: Iterable[HistoryEvent] = ()) -> None:
        self.recorded: dict[StepKey, Recorded] = {}
        self.last_step = 0
        self.steps_taken = 0
        self.stored_bytes = 0
        #: Numbers of the steps that had a rollback when they started.
        self.reversible: set[int] = set()
        #: The group in which the result of each ended step was handed to user code, and its place among all results,
        #: both counted from 1, by step number.
        self.ranks: dict[int, tuple[int, int]] = {}
        #: The last attempt of each step that was executing when its process died, by whether it was one of the
        #: rollback, and the step's display name.
        self.fatal_attempts: dict[tuple[bool, str], int] = {}
        self._ends = 0
        #: The highest count of each kind and name.
        self._counts: dict[tuple[Kind, str], int] = {}
        self._by_place: dict[tuple[Place, int], Recorded] = {}
        self._by_name: dict[tuple[Kind, str], list[Recorded]] = {}
        self._visits: dict[Place, int] = {}
        self._unvisited: dict[tuple[Kind, str], int] = {}
        self._steps: dict[int, Recorded] = {}
        self._children: dict[int, list[Recorded]] | None = None
        self._order = _Order()
        self._fold(history)

    # folding

    def _fold(self, history: Iterable[HistoryEvent]) -> None:
        steps = self._steps
        stored: dict[Place, int] = {}
        for event in history:
            if event.type is HistoryType.RESULT_GROUP:
                self._fold_group(read_group(event))
            elif event.step:
                self._fold_step(event, steps, stored)
            elif event.type is HistoryType.WORKFLOW_RESUMED:
                self._shift(steps.values(), read_resume(event).paused_ms)
            elif event.type is HistoryType.PROCESS_DIED:
                self._fold_death(event)
        self.last_step = max(steps, default=0)

    def _fold_group(self, steps: list[int]) -> None:
        known = [step for step in steps if step in self.ranks]
        first = min((self.ranks[step][0] for step in known), default=0)
        self.ranks.update((step, (first, self.ranks[step][1])) for step in known)

    def _fold_death(self, event: HistoryEvent) -> None:
        death = read_death(event)
        if event.name is not None:
            self.fatal_attempts[death.rollback, event.name] = event.attempt
        if death.is_certain:
            spare(self._steps.values(), None if death.rollback else event.name)

    def _fold_step(self, event: HistoryEvent, steps: dict[int, Recorded], stored: dict[Place, int]) -> None:
        kind = _START_KINDS.get(event.type)
        if kind is not None:
            record = steps[event.step] = Recorded(kind, event.name or "", event.step, event.data, event.at)
            self.recorded[kind, record.name] = record
            self._index(record, stored)
            self.steps_taken += kind is not Kind.SLEEP
            if _mentions(event.data, b'"rollback":true') and record.start.rollback:
                self.reversible.add(event.step)
        elif (found := steps.get(event.step)) is not None:
            self._fold_progress(event, found)

    def _index(self, record: Recorded, stored: dict[Place, int]) -> None:
        name, _, count = record.name.rpartition("-")
        self._counts[record.kind, name] = max(self._counts.get((record.kind, name), 0), int(count or 0))
        self._by_name.setdefault((record.kind, name), []).append(record)
        self._unvisited[record.kind, name] = self._unvisited.get((record.kind, name), 0) + 1
        place = (record.kind, name, record.scope)
        number = stored[place] = stored.get(place, 0) + 1
        self._by_place[place, number] = record

    def _fold_progress(self, event: HistoryEvent, record: Recorded) -> None:
        kind = event.type
        if kind is HistoryType.ATTEMPT_START:
            record.attempts, record.attempt_open, record.retry_at = event.attempt, True, None
            record.shift_ms = 0
        elif kind in _DONE:
            record.done, record.attempt_open, record.output = True, False, event.data
            self._rank(record, event.at)
            self.stored_bytes += len(event.data or b"")
            if (stream := read_checkpoint(event.data)) is not None:
                self.stored_bytes += stream.size
        elif kind is HistoryType.ATTEMPT_FAILURE:
            record.attempt_open, record.retry_at = False, read_failure(event).retry_at
            record.shift_ms = 0
        elif kind is HistoryType.RESULT_ABANDONED:
            self._fold_given_up(event, record)
        elif kind in _FAILED:
            self._fold_failure(event, record)

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
        self._ends += 1
        self.ranks[record.step] = (self._ends, self._ends)

    @staticmethod
    def _shift(records: Iterable[Recorded], paused_ms: int) -> None:
        for record in records:
            if not record.done:
                record.shift_ms += paused_ms

    # visiting

    def visit(self, kind: Kind, name: str, scope: Scope) -> Recorded | None:
        """Return what is known of the step that a task reaches now, None if that is no stored one of this place."""
        if not self.recorded:
            return None
        place = (kind, name, scope)
        count = self._visits[place] = self._visits.get(place, 0) + 1
        found = self._by_place.get((place, count))
        return None if found is None or found.visited else self._visited(found, scope)

    def may_have_moved(self, kind: Kind, name: str) -> bool:
        """Return True if a stored step of this kind and name has not come up yet."""
        return self._unvisited.get((kind, name), 0) > 0

    def adopt(self, kind: Kind, name: str, scope: Scope) -> Recorded | None:
        """Return the first stored step of a kind and name that did not come up where it was, None if there is none.

        Code that changed may call it from another task, and histories of old versions do not say from which. A step
        in a callback never takes the place of one outside, nor of one in another callback.
        """
        for record in self._by_name.get((kind, name), ()):
            if not record.visited and record.scope.parent == scope.parent:
                self._order.adopted(record)
                return self._visited(record, scope)
        return None

    def _visited(self, record: Recorded, scope: Scope) -> Recorded:
        self._mark(record)
        if not scope.parent:  # A callback that is called again may go another way.
            self._order.known(scope.task, record)
        if record.done:
            self._skip_children(record.step)
        return record

    def _mark(self, record: Recorded) -> None:
        if not record.visited:
            record.visited = True
            self._unvisited[record.kind, record.name.rpartition("-")[0]] -= 1

    def new_name(self, kind: Kind, name: str, scope: Scope) -> str:
        """Return the display name ``<name>-<count>`` of a step that starts for the first time."""
        key = (kind, name)
        count = self._counts[key] = self._counts.get(key, 0) + 1
        display = f"{name}-{count}"
        if self.recorded and not scope.parent:
            self._order.new(scope.task, display)
        return display

    def _skip_children(self, step: int) -> None:
        """Count the steps inside a callback that will not be called again as visited."""
        for child in self._children_of(step):
            self._mark(child)
            self._skip_children(child.step)

    def _children_of(self, step: int) -> list[Recorded]:
        if self._children is None:
            self._children = {}
            for record in self.recorded.values():
                if _mentions(record.data, b'"parent"'):
                    self._children.setdefault(record.start.parent, []).append(record)
        return self._children.get(step, [])

    @property
    def is_through(self) -> bool:
        """True once every stored step has been visited."""
        return all(record.visited for record in self.recorded.values())

    def _is_missed(self, record: Recorded) -> bool:
        if record.visited:
            return False
        outer = self._steps.get(record.scope.parent)
        # A step inside a callback comes up when that is called again, if it then goes the same way.
        return outer is None or (outer.done and (outer.visited or self._is_missed(outer)))

    def divergence(self) -> list[str]:
        """Return, in words, how this replay differs from what was stored; empty if it does not.

        Meaningful once the replay has come to rest.
        """
        missed = [record.name for record in self.recorded.values() if self._is_missed(record)]
        return self._order.messages() + ([_missed(missed)] if missed else [])


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
