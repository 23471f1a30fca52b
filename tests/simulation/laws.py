"""The laws that hold after any run, whatever users, processes and the store did: one function a law."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.simulation.driver import Command, Driver
from tests.simulation.journal import Line, Record, Sent
from tests.simulation.ledger import Effect, Handed, Run
from tests.simulation.programs import (
    Background,
    Catch,
    Do,
    Finally,
    Gather,
    Local,
    Program,
    Sleep,
    Wait,
    walk,
)
from tests.simulation.world import Violation
from wrangler_py.engine.entries import FailureData, StartData
from wrangler_py.engine.quarantine import LIMIT
from wrangler_py.errors import CannotTerminateError, InstanceBusyError, InstanceFinishedError, StoreError
from wrangler_py.serde import decode

_FINAL_LINES = {
    "WORKFLOW_SUCCESS": "complete",
    "WORKFLOW_FAILURE": "errored",
    "WORKFLOW_TERMINATED": "terminated",
}
_FINAL = frozenset(_FINAL_LINES.values())
_STARTS = frozenset({"STEP_START", "SLEEP_START", "WAIT_START"})
_ENDS = frozenset(
    {
        "STEP_SUCCESS", "STEP_FAILURE", "SLEEP_COMPLETE", "SLEEP_ABANDONED", "WAIT_COMPLETE", "WAIT_TIMED_OUT",
        "WAIT_ABANDONED",
    }
)  # fmt: skip
_ATTEMPT_ENDS = frozenset({"ATTEMPT_SUCCESS", "ATTEMPT_FAILURE"})
_start_data = msgspec.json.Decoder(StartData)
_failure_data = msgspec.json.Decoder(FailureData)
Found = Iterator[tuple[str, str]]


@dataclass
class Step:
    """One step of one life, from its lines."""

    number: int
    start: Line
    attempts: list[Line] = field(default_factory=list)
    attempt_ends: list[Line] = field(default_factory=list)
    end: Line | None = None

    @property
    def name(self) -> str:
        """The display name."""
        return self.start.name or ""

    @property
    def data(self) -> StartData:
        """Return the data of its start."""
        return _start_data.decode(self.start.data) if self.start.data else StartData()

    @property
    def limit(self) -> int | None:
        """Attempts it may have, None without end."""
        config = self.data.config
        return None if config is None or config.retries.limit is None else config.retries.limit + 1


@dataclass
class Life:
    """One life of an instance: all its lines, those kept from an earlier life too."""

    record: Record
    number: int
    lines: list[Line]
    #: When it began and ended (the next restart, a deletion, the end of the run).
    began: int
    ended: int
    steps: dict[int, Step] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The instance and, after a restart, which of its lives."""
        return self.record.id if self.number == 1 else f"{self.record.id} (life {self.number})"

    def step(self, kind: str, name: str) -> Step | None:
        """Return a step by its key."""
        return next((one for one in self.steps.values() if one.start.type == kind and one.name == name), None)

    @property
    def final(self) -> Line | None:
        """The line that ended it."""
        return next((line for line in self.lines if line.type in _FINAL_LINES), None)


class Evidence:
    """All that the witnesses saw, by instance and life."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.world = driver.world
        self.plan = driver.plan
        self.commands = driver.commands
        self.end = self.world.ticks + 1
        self.lives = [life for record in self.world.journal.records for life in self._lives(record)]
        self._by_key = {(life.record, life.number): life for life in self.lives}
        for run in self.world.ledger.runs:
            self.life_of(run).runs.append(run)
        for effect in self.world.ledger.effects:
            self.life_of(effect.run).effects.append(effect)

    def life_of(self, run: Run) -> Life:
        """Return the life a run belongs to."""
        return self._by_key[run.record, run.life]

    def _lives(self, record: Record) -> Iterator[Life]:
        began, kept = record.made, []
        for number in range(1, record.life + 1):
            ended = record.deleted or self.end
            if number <= len(record.restarts):
                ended = record.restarts[number - 1][0]
            own = [line for line in record.lines if line.life == number]
            life = Life(record, number, [*kept, *own], began, ended)
            life.steps = _steps(life.lines)
            yield life
            kept = self._kept(record, number, life) if number < record.life else []
            began = ended

    def _kept(self, record: Record, number: int, life: Life) -> list[Line]:
        """Return the lines that the life after ``number`` inherits: those of the steps before the chosen one."""
        kept = record.restarts[number - 1][1]
        return [line for line in life.lines if line.seq in kept]

    def program(self, run: Run) -> Program:
        """Return the program that a run executed."""
        versions = self.plan.programs[run.program]
        return versions[min(run.version, len(versions) - 1)]

    def same_code(self, life: Life) -> bool:
        """Return True if all runs of a life executed one program, and no run of a life it inherits from did not."""
        if not life.runs:
            return False
        numbers = {self.program(run) for run in self.world.ledger.runs if run.record is life.record}
        return len(numbers) == 1


def _steps(lines: list[Line]) -> dict[int, Step]:
    steps: dict[int, Step] = {}
    for line in lines:
        if line.type in _STARTS:
            steps[line.step] = Step(line.step, line)
        elif (step := steps.get(line.step)) is not None:
            if line.type == "ATTEMPT_START":
                step.attempts.append(line)
            elif line.type in _ATTEMPT_ENDS:
                step.attempt_ends.append(line)
            elif line.type in _ENDS and step.end is None:
                step.end = line
    return steps


# the laws -------------------------------------------------------------------------------------------------------------


def ends(seen: Evidence) -> Found:
    """Each instance that was accepted has ended once faults have stopped and time has passed."""
    if seen.driver.is_stuck:
        return
    for record in seen.world.journal.records:
        if record.status not in (*_FINAL, "deleted"):
            last = record.states[-1]
            yield record.id, f"is still {record.status} (epoch {last.epoch}, due at {last.due_at})"
    for process in seen.world.processes:
        if not process.is_up:
            yield process.name, "did not start"


def accepted_is_stored(seen: Evidence) -> Found:
    """An instance whose creation was answered is stored."""
    for command in seen.commands:
        if command.kind == "create" and command.was_done and not seen.world.journal.of(command.instance):
            yield command.instance, "its creation was answered, and it is not there"


def final_stays(seen: Evidence) -> Found:
    """A final status is left by a restart only, and ended once."""
    for record in seen.world.journal.records:
        for before, after in zip(record.states, record.states[1:], strict=False):
            if before.status in _FINAL and after.status != before.status and not after.restarted:
                yield record.id, f"{before.status} became {after.status} by {after.op} of {after.writer}"
    for life in seen.lives:
        ended = [line for line in life.lines if line.type in _FINAL_LINES]
        if len(ended) > 1:
            yield life.name, f"ended more than once: {_types(ended)}"
        elif ended and (later := [line for line in life.lines if line.seq > ended[0].seq]):
            yield life.name, f"has lines behind its end {ended[0].type}: {_types(later)}"


def end_is_told(seen: Evidence) -> Found:
    """The status of an instance is the one its last line says."""
    for life in seen.lives:
        record = life.record
        if life.number != record.life or record.status not in _FINAL:
            continue
        if life.final is None or _FINAL_LINES[life.final.type] != record.status:
            yield life.name, f"is {record.status}, and its history says {life.final and life.final.type}"


def well_formed(seen: Evidence) -> Found:
    """Numbers of lines grow; an instance starts before its steps; a step starts once, before all it does, ends once."""
    for life in seen.lives:
        last, begun, ended = 0, set(), set()
        for line in life.lines:
            if line.seq <= last:
                yield life.name, f"line {line.seq} follows line {last}"
            last = line.seq
            if line.type in _STARTS:
                if line.step in begun:
                    yield life.name, f"step {line.step} ({line.name}) starts twice"
                begun.add(line.step)
            elif line.type in _INWARD:
                pass
            elif line.step and line.step not in begun:
                yield life.name, f"{line.type} of step {line.step} ({line.name}), which has not started"
            elif line.step in ended and not line.type.startswith("ROLLBACK"):
                yield life.name, f"{line.type} of step {line.step} ({line.name}), which has ended"
            if line.type in _ENDS:
                ended.add(line.step)
        if begun and all(line.type != "WORKFLOW_START" for line in life.lines):
            yield life.name, "steps have started, but the instance has not"
        names = Counter((step.start.type, step.name) for step in life.steps.values())
        for (kind, name), count in names.items():
            if count > 1:
                yield life.name, f"{kind} {name} stands there {count} times"


def attempts_end(seen: Evidence) -> Found:
    """Attempts are numbered from 1, each ends before the next starts, and only the end of an instance leaves one."""
    for life in seen.lives:
        for step in life.steps.values():
            yield from _attempts(life, step)


def _attempts(life: Life, step: Step) -> Found:
    who = f"step {step.name}"
    numbers = [line.attempt for line in step.attempts]
    if numbers != list(range(1, len(numbers) + 1)):
        yield life.name, f"{who}: its attempts are numbered {numbers}"
    for number, line in enumerate(step.attempts):
        ends = [end for end in step.attempt_ends if end.attempt == line.attempt]
        if len(ends) > 1:
            yield life.name, f"{who}: attempt {line.attempt} ended {len(ends)} times"
        is_last = number == len(step.attempts) - 1
        if not ends and (not is_last or step.end is not None):
            yield life.name, f"{who}: attempt {line.attempt} never ended"
        if ends and ends[0].seq < line.seq:
            yield life.name, f"{who}: attempt {line.attempt} ended before it started"


def attempts_count(seen: Evidence) -> Found:
    """A step has no more attempts than its limit allows.

    What was executed and is not in the history is excused only where its process died, or its lease was lost, before
    the start could be committed: once for each of these.
    """
    for life in seen.lives:
        for step in life.steps.values():
            if step.limit is not None and len(step.attempts) > step.limit:
                yield (
                    life.name,
                    f"step {step.name} had {len(step.attempts)} attempts, {step.limit} are allowed",
                )
    for life in seen.lives:
        done = Counter((e.key, e.attempt, e.run.number) for e in life.effects if e.kind == "do")
        for (key, attempt, _), count in done.items():
            if count > 1:
                yield life.name, f"attempt {attempt} of {key} was executed {count} times in one run"
        for effect in life.effects:
            if effect.kind == "do" and (problem := _uncounted(seen, life, effect)):
                yield (
                    life.name,
                    f"attempt {effect.attempt} of {effect.key} in run {effect.run.number} {problem}",
                )


def _uncounted(seen: Evidence, life: Life, effect: Effect) -> str | None:
    """Return what is wrong if an execution is missing in the history without an excuse."""
    run = effect.run
    for line in life.lines:
        if (
            line.type == "ATTEMPT_START"
            and line.name == effect.key
            and line.attempt == effect.attempt
            and line.epoch == run.epoch
        ):
            return None
    if run.process.dead or run.epoch in seen.world.journal.ended_leases or run.epoch in run.process.poisoned:
        return None
    return "is not in the history, though its process lived and kept its lease"


def after_checkpoint(seen: Evidence) -> Found:
    """Nothing is executed for a step that has its checkpoint."""
    for life in seen.lives:
        for effect in life.effects:
            if effect.kind != "do" or not effect.owned:
                continue
            step = life.step("STEP_START", effect.key)
            if step is not None and step.end is not None and step.end.tick < effect.began:
                yield life.name, f"{effect.key} was executed after its {step.end.type}"


def owned(seen: Evidence) -> Found:
    """A process that executes a step of an instance holds it, unless its lease is gone and it cannot know yet."""
    journal = seen.world.journal
    for effect in seen.world.ledger.effects:
        run = effect.run
        if effect.owned or journal.ended_leases.get(run.epoch, seen.end) < effect.began:
            continue
        yield (
            run.record.id,
            f"{effect.key} was executed in run {run.number} under epoch {run.epoch}, which did not hold it",
        )


def old_life_is_over(seen: Evidence) -> Found:
    """Once a restart, terminate or delete is stored, nothing of the life before begins."""
    journal = seen.world.journal
    for effect in seen.world.ledger.effects:
        run = effect.run
        life = seen.life_of(run)
        if journal.ended_leases.get(run.epoch, seen.end) < effect.began:
            continue
        if effect.began > life.ended:
            yield life.name, f"{effect.key} was executed in run {run.number} after that life was over"


def one_owner(seen: Evidence) -> Found:
    """An instance changes hands only when it is released, or its holder's lease is gone; writers hold it."""
    journal = seen.world.journal
    for record in journal.records:
        for before, after in zip(record.states, record.states[1:], strict=False):
            if before.epoch is None or after.epoch in (None, before.epoch):
                continue
            if journal.ended_leases.get(before.epoch, seen.end) > after.tick:
                yield record.id, f"went from epoch {before.epoch} to {after.epoch} while the first stood"
        for line in record.lines:
            if not line.type.startswith(_OF_STEPS):
                continue
            held = next(
                (state.epoch for state in reversed(record.states) if state.commit < line.commit), None
            )
            if line.epoch is None or held != line.epoch:
                yield record.id, f"{line.type} {line.name} was written under {line.epoch}, {held} held it"


_OF_STEPS = ("ATTEMPT", "STEP", "SLEEP", "WAIT", "ROLLBACK_STEP", "ROLLBACK_ATTEMPT")


def only_what_was_asked(seen: Evidence) -> Found:
    """An instance is terminated, paused, restarted or deleted only if somebody asked for that."""
    for record in seen.world.journal.records:
        done = [("terminate", state.tick) for state in record.states if state.status == "terminated"] + [
            ("pause", state.tick) for state in record.states if state.status == "paused"
        ]
        done += [("restart", tick) for tick, _ in record.restarts]
        if record.deleted is not None:
            done.append(("delete", record.deleted))
        for kind, tick in done:
            if not any(_asks(command, kind, record) and command.began < tick for command in seen.commands):
                yield record.id, f"nobody asked to {kind} it, and it happened"


def _asks(command: Command, kind: str, record: Record) -> bool:
    if command.kind == "terminate-all":
        return kind == "terminate" and command.args == (record.workflow,)
    return command.kind.partition("-")[0] == kind and command.instance == record.id


def replay_equals(seen: Evidence) -> Found:
    """A call of a step gives the same result in every run of a life, and one that was made for it."""
    for life in seen.lives:
        if not seen.same_code(life):
            continue
        program = seen.program(life.runs[0])
        if program.shared_names and not _is_steady(program):
            continue
        given: dict[tuple[int, int], tuple[Any, ...]] = {}
        outer = {one.site for one in walk(program.body) if isinstance(one, Do) and one.body}
        for run in life.runs:
            for handed in run.handed:
                if handed.nested or _is_of_the_store(handed):
                    continue
                key = handed.site, handed.nth
                if given.setdefault(key, handed.outcome) != handed.outcome:
                    yield (
                        life.name,
                        f"site {handed.site} got {given[key]} first, then {handed.outcome} in run {run.number}",
                    )
                if handed.site not in outer:
                    yield from _own_result(life, handed)


def _is_steady(program: Program) -> bool:
    """Return True if each task of a program makes the same calls in the same order, whatever comes first."""
    return program.pure or all(
        isinstance(one, Do | Sleep | Wait | Local | Catch | Finally)
        or (isinstance(one, Gather) and one.how in ("gather-all", "limited", "as-completed"))
        or (isinstance(one, Background) and not one.cancel)
        for one in walk(program.body)
    )


def _is_of_the_store(handed: Handed) -> bool:
    return handed.outcome[0] == "error" and handed.outcome[1] in ("StoreUnavailableError", "StaleEpochError")


def store_is_not_felt(seen: Evidence) -> Found:
    """User code sees no error of the store: what it caught of that would be taken for a failure of its step."""
    for run in seen.world.ledger.runs:
        for handed in run.handed:
            if _is_of_the_store(handed):
                yield run.record.id, f"site {handed.site} was given {handed.outcome[1:]} in run {run.number}"


def _own_result(life: Life, handed: Handed) -> Found:
    if handed.outcome[0] == "ok" and isinstance(handed.outcome[1], list) and handed.outcome[1]:
        value = handed.outcome[1][0]
        site = int(value.partition("/")[0]) if isinstance(value, str) and "/" in value else value
        if isinstance(site, int) and site != handed.site:
            yield life.name, f"site {handed.site} was given the result of site {site}"
    elif handed.outcome[0] == "error" and "/" in handed.outcome[2] and handed.outcome[1] != "ExceptionGroup":
        site_text = handed.outcome[2].partition("/")[0]
        if site_text.isdigit() and int(site_text) != handed.site:
            yield life.name, f"site {handed.site} was given the error of site {site_text}"


def replay_order(seen: Evidence) -> Found:
    """Results come in the same order in every run of a life, where only steps decide the order."""
    for life in seen.lives:
        if not seen.same_code(life) or not seen.program(life.runs[0]).pure:
            continue
        longest: list[tuple[int, int]] = []
        for run in life.runs:
            order = [
                (handed.site, handed.nth)
                for handed in run.handed
                if not handed.nested and not _is_of_the_store(handed)
            ]
            common = min(len(order), len(longest))
            if order[:common] != longest[:common]:
                place = next(i for i in range(common) if order[i] != longest[i])
                yield (
                    life.name,
                    (
                        f"result {place + 1} was for site {longest[place][0]} in an earlier run, and for site "
                        f"{order[place][0]} in run {run.number}"
                    ),
                )
                break
            if len(order) > len(longest):
                longest = order


def given_up_stays(seen: Evidence) -> Found:
    """A step that `run()` gave up, and went on, is given up on every replay: its result does not come after all."""
    for life in seen.lives:
        if not seen.same_code(life):
            continue
        program = seen.program(life.runs[0])
        if program.shared_names:
            continue
        for run in life.runs:
            for key, tick in run.given_up.items():
                if (known := _stored_since(seen, run, tick)) is None:
                    continue
                for later in life.runs:
                    if later.began > known and any(
                        (one.site, one.nth) == key and one.outcome[0] == "ok" for one in later.handed
                    ):
                        yield (
                            life.name,
                            f"site {key[0]} was given up in run {run.number}, and got a result in run {later.number}",
                        )


def _stored_since(seen: Evidence, run: Run, tick: int) -> int | None:
    """Return when it was on disk that `run()` gave a step up and went on to something else; None if it never was.

    The first batch after that may have been under way; the second has it.
    """
    if not any(one.at > tick for one in run.handed):
        return None
    lines = [line for record in seen.world.journal.records for line in record.lines]
    commits = {
        line.commit: line.tick for line in lines if line.writer == run.process.name and line.tick > tick
    }
    later = sorted(commits)
    return commits[later[1]] if len(later) > 1 else None


def outputs(seen: Evidence) -> Found:
    """The stored end of an instance is the last result or error of `run()`.

    It may be another where its processes died again and again: they do not say of what (`engine.executing`), so an
    instance that others' deaths interrupt as often as a culprit's would is given up like one.
    """
    for life in seen.lives:
        record = life.record
        if life.number != record.life or record.status not in ("complete", "errored"):
            continue
        ended = [run for run in life.runs if run.outcome is not None and run.outcome[0] != "cancelled"]
        rolled_back = any(line.type == "ROLLBACK_START" for line in life.lines)
        if _is_given_up(seen, life):
            continue
        if not ended:
            if not rolled_back and not _is_fatal(record):
                yield life.name, f"is {record.status}, and run() never came to an end: {record.error!r}"
            continue
        last = ended[-1].outcome
        assert last is not None
        if record.status == "complete":
            output = decode(record.output or b"null")
            if not any(run.outcome == ("ok", output) for run in ended):
                yield life.name, f"its output is {output!r}, run() returned {last[1:]}"
        elif not rolled_back and not _is_fatal(record):
            error = msgspec.json.decode(record.error or b"{}")
            told = ("error", error.get("name"), error.get("message"))
            if not any(_is_told(told, run.outcome) for run in ended):
                yield life.name, f"its error is {told[1:]}, run() ended with {last}"


def _is_told(told: tuple[Any, ...], outcome: tuple[Any, ...] | None) -> bool:
    """Return True if a stored error is what a run ended with, or what the class of that was made from."""
    if outcome is None or outcome[0] != "error":
        return False
    return outcome[1] == told[1] or (outcome[1] == "JsException" and str(told[1]) in outcome[2])


def _is_fatal(record: Record) -> bool:
    return any(told in (record.error or b"") for told in _FATAL)


def _is_given_up(seen: Evidence, life: Life) -> bool:
    """Return True if an instance was ended because processes died that had taken it up, and so many did."""
    return b"The process died" in (life.record.error or b"") and _died_of(seen, life) >= LIMIT


def _is_suspect(seen: Evidence, life: Life) -> bool:
    return _died_of(seen, life) > 0


def _died_of(seen: Evidence, life: Life) -> int:
    """Return how many processes that had taken an instance up have died, or were taken for dead."""
    died = {
        process.name
        for process, claim in seen.world.claims
        if process.dead and (claim.record, claim.life) == (life.record, life.number)
    }
    return max(len(died), sum(state.op == "reap" for state in life.record.states))


#: Parts of the errors by which the engine itself ends an instance.
_FATAL = (b"time-traveler", b"not serialisable", b"cannot be stored")


def certain_ends(seen: Evidence) -> Found:
    """A program whose output is certain completes, unless a step of it used up its attempts or processes died of it."""
    for life in seen.lives:
        record = life.record
        if life.number != record.life or record.status != "errored" or not seen.same_code(life):
            continue
        program = seen.program(life.runs[0])
        if (
            program.certain
            and not _is_given_up(seen, life)
            and not any(step.end and step.end.type == "STEP_FAILURE" for step in life.steps.values())
        ):
            yield life.name, f"ended with {record.error!r}, though nothing in it can fail"


def steps_are_tried(seen: Evidence) -> Found:
    """A step fails for good only when its attempts are used up, or it must not be tried again."""
    for life in seen.lives:
        for step in life.steps.values():
            if step.start.type != "STEP_START" or step.end is None or step.end.type != "STEP_FAILURE":
                continue
            if step.end.life != life.number:
                continue  # Taken over from the life before, whose programs gave it up.
            error = _failure_data.decode(step.end.data or b"{}").error
            if error.name == "StepAbandonedError" and not _may_give_up(seen, life):
                yield (
                    life.name,
                    f"step {step.name} counts as given up, and nothing in its program gives steps up",
                )
            if (
                error.non_retryable
                or error.name in ("WorkflowFatalError", "StepAbandonedError")
                or step.limit is None
                or len(step.attempts) >= step.limit
            ):
                continue
            yield (
                life.name,
                f"step {step.name} failed after {len(step.attempts)} of {step.limit} attempts: {error}",
            )


def _may_give_up(seen: Evidence, life: Life) -> bool:
    for run in life.runs:
        body = walk(seen.program(run).body)
        if not seen.program(run).pure or any(isinstance(one, Do) and one.body for one in body):
            return True  # A step inside another is given up when the outer one times out.
        if run.outcome is not None and run.outcome[0] == "error":
            return True  # Steps beside it were given up when it ended.
    return False


def events_once(seen: Evidence) -> Found:
    """An event is delivered at most once, to a life it was sent to, and in the order it was sent within its type.

    Waits that overlap are excepted from the order: each has the event that was its turn, and may complete later than
    the next one, because the store is slow to answer it, or a pause holds it and not the one inside a callback. What
    was delivered to a wait that `run()` gave up before it saw the result is delivered again.
    """
    for life in seen.lives:
        by_payload = {
            decode(event.payload): event for event in seen.world.journal.events if event.record is life.record
        }
        got: list[tuple[Step, Line, Sent]] = []
        for step, line in _completed_waits(life):
            event = by_payload.get(value := decode(line.data or b"null")["payload"])
            if event is None:
                yield life.name, f"{line.name} got the event {value}, which was not sent to it"
                continue
            for other, before, earlier in got:
                if earlier.type == event.type and (
                    earlier.number == event.number
                    or (earlier.number > event.number and not _overlapped(life, other, before))
                ):
                    told = f"got event {event.number} ({event.type}) after {other.name} got event {earlier.number}"
                    yield life.name, f"{step.name} {told}"
            got.append((step, line, event))


def _completed_waits(life: Life) -> Iterator[tuple[Step, Line]]:
    """Return the waits that delivered an event to user code, in the order in which they completed."""
    given_up = {line.step for line in life.lines if line.type == "RESULT_ABANDONED"}
    for line in life.lines:
        if line.type == "WAIT_COMPLETE" and line.step not in given_up and line.step in life.steps:
            yield life.steps[line.step], line


def _overlapped(life: Life, one: Step, completed: Line) -> bool:
    """Return True if another wait of the same type was pending when ``one`` completed."""
    return any(
        other is not one
        and other.start.type == "WAIT_START"
        and other.data.event_type == one.data.event_type
        and other.start.seq < completed.seq
        and (other.end is None or other.end.seq > completed.seq)
        for other in life.steps.values()
    )


def events_arrive(seen: Evidence) -> Found:
    """A wait does not time out while an event of its type is there for it, and gets it soon if nothing disturbs."""
    for life in seen.lives:
        taken = {
            decode(line.data)["payload"] for line in life.lines if line.type == "WAIT_COMPLETE" and line.data
        }
        for step in life.steps.values():
            if step.end is None or step.end.type != "WAIT_TIMED_OUT" or step.end.life != life.number:
                continue
            for event in seen.world.journal.events:
                if (
                    event.record is life.record
                    and event.life == life.number
                    and event.type == step.data.event_type
                    and event.moment < _last_look(seen, step.end)
                    and decode(event.payload) not in taken
                ):
                    yield (
                        life.name,
                        f"{step.name} timed out, though event {event.number} ({event.type}) was there",
                    )
    if _undisturbed(seen):
        yield from _late_events(seen)


def _last_look(seen: Evidence, end: Line) -> float:
    """Return when, at the latest, the holder looked for an event before it wrote that a wait is over."""
    if _jumped(seen):  # The time of a line is that of the wall clock.
        return end.moment - 2.0 - _stopped(seen) / 1000
    return end.moment - (end.time - end.at) / 1000 - 0.05 - _stopped(seen) / 1000


def _late_events(seen: Evidence) -> Found:
    by_payload = {decode(event.payload): event for event in seen.world.journal.events}
    calm_at, most_s = 0.0, seen.plan.look_s + _SLACK_S
    if seen.plan.with_faults:  # The last of them is over when the last lease is.
        calm_at, most_s = seen.driver.calm_moment, 30.0
    most_s += _jumped(seen) / 1000  # A retry around the wait is due on disk, by the clock.
    for life in seen.lives:
        if seen.plan.workflows[life.record.workflow] is not None:
            continue
        for step in life.steps.values():
            end = step.end
            if end is None or end.type != "WAIT_COMPLETE" or end.life != life.number or end.data is None:
                continue
            event = by_payload[decode(end.data)["payload"]]
            took = end.moment - max(event.moment, step.start.moment, calm_at)
            if took > most_s:
                yield life.name, f"{step.name} got event {event.number} {took:.1f} s after it was there"


def sleeps_last(seen: Evidence) -> Found:
    """A sleep does not end early, and a wait does not time out early."""
    for life in seen.lives:
        for step in life.steps.values():
            if step.end is None or step.end.type not in ("SLEEP_COMPLETE", "WAIT_TIMED_OUT"):
                continue
            due = step.data.wake_at or step.data.timeout_at or 0
            if step.end.at < due - _jumped(seen):
                yield life.name, f"{step.name} ended at {step.end.at}, it was to last until {due}"


def _jumped(seen: Evidence) -> int:
    return sum(abs(int(str(action.args[0]))) for action in seen.plan.script if action.kind == "jump")


def _stopped(seen: Evidence) -> int:
    return round(
        sum(1000 * float(str(action.args[0])) for action in seen.plan.script if action.kind == "stop")
    )


#: Seconds by which something may be late: slow stores, looks, turns.
_SLACK_S = 4.0


def _undisturbed(seen: Evidence) -> bool:
    steps = [one for versions in seen.plan.programs for program in versions for one in walk(program.body)]
    if any(each.outcome in ("die", "pause") for one in steps if isinstance(one, Do) for each in one.tries):
        return False
    return not any(action.kind in ("stop", "pause", "drain", "reload") for action in seen.plan.script)


def prompt(seen: Evidence) -> Found:
    """A wait in memory ends in its time, whatever is done to the wall clock; it is not stalled by a clock set back.

    Suspects may go on later: one is tried at a time.
    """
    if not _undisturbed(seen):
        return
    for life in seen.lives:
        if seen.plan.workflows[life.record.workflow] is not None:
            continue
        for step in life.steps.values():
            end = step.end
            if end is None or end.epoch != step.start.epoch or end.life != step.start.life:
                continue
            due = step.data.wake_at or step.data.timeout_at
            if due is None or not _stays_in_memory(life.record, step.start, end) or _is_suspect(seen, life):
                continue
            length = (due - step.start.at) / 1000
            if length * 1000 > seen.plan.hibernate_after_ms:
                continue
            if end.moment - step.start.moment > length + _SLACK_S:
                took = end.moment - step.start.moment
                yield life.name, f"{step.name} took {took:.1f} s, it was to take {length:.1f} s"


def _stays_in_memory(record: Record, first: Line, last: Line) -> bool:
    return all(
        state.epoch == first.epoch for state in record.states if first.commit <= state.commit < last.commit
    )


def timeouts_hold(seen: Evidence) -> Found:
    """No attempt lasts longer than its step's timeout, whatever its code does then; a result that is late is none."""
    yield from _late_results(seen)
    if not _undisturbed(seen):
        return
    for life in seen.lives:
        for step in life.steps.values():
            config = step.data.config
            for line in step.attempts if config is not None else ():
                end = next((one for one in step.attempt_ends if one.attempt == line.attempt), None)
                if end is None or config is None or not _stays_in_memory(life.record, line, end):
                    continue
                if end.moment - line.moment > config.timeout_ms / 1000 + _SLACK_S:
                    took = end.moment - line.moment
                    yield (
                        life.name,
                        f"attempt {line.attempt} of {step.name} took {took:.1f} s of {config.timeout_ms} ms",
                    )


def _late_results(seen: Evidence) -> Found:
    for life in seen.lives:
        for effect in life.effects:
            step = life.step("STEP_START", effect.key) if effect.kind == "do" and effect.owned else None
            if step is None or step.data.config is None or effect.ended_moment is None:
                continue
            timeout_s, took = step.data.config.timeout_ms / 1000, effect.ended_moment - effect.moment
            if took > timeout_s + 0.001 and any(
                line.type == "ATTEMPT_SUCCESS"
                and line.attempt == effect.attempt
                and line.epoch == effect.run.epoch
                for line in step.attempt_ends
            ):
                yield (
                    life.name,
                    f"the result of {effect.key} came after {took:.1f} s of {timeout_s} s, and is stored",
                )


def timers_keep_awake(seen: Evidence) -> Found:
    """An instance whose own code has a timer pending stays in memory: nobody else would fire it.

    A timer that user code itself cancelled, or that fired, pends no more, although code inside it may still unwind. And
    only the process that ran the code put the instance to rest: another may have taken it over meanwhile.
    """
    for life in seen.lives:
        for run in life.runs:
            if run.process.draining or run.ended is None or not run.timers_at_end():
                continue
            if any(line.type == "ROLLBACK_START" and line.tick < run.ended for line in life.lines):
                continue  # What run() waits for is not waited for any more.
            after = next((state for state in life.record.states if state.tick > run.ended), None)
            if (
                after is not None
                and after.op == "apply"
                and after.writer_epoch == run.epoch
                and after.status == "waiting"
                and after.epoch is None
            ):
                told = ", ".join(f"{timing.ms} ms" for timing in run.timers_at_end())
                yield (
                    life.name,
                    f"left memory in run {run.number} while timers of its own were pending ({told})",
                )


def rollback_order(seen: Evidence) -> Found:
    """Steps are undone in the reverse of the order in which they started, one at a time, each once, after a failure."""
    for life in seen.lives:
        lines = [line for line in life.lines if line.type.startswith("ROLLBACK")]
        if not lines:
            continue
        yield from _rollback_lines(life, lines)
        begun = next((line for line in lines if line.type == "ROLLBACK_START"), None)
        for effect in life.effects:
            if effect.kind == "undo" and effect.owned and (begun is None or effect.began < begun.tick):
                yield life.name, f"{effect.key} was undone before the rollback was stored"
            if effect.kind == "do" and begun is not None and effect.owned and effect.began > begun.tick:
                yield life.name, f"{effect.key} was executed after the rollback began"


def _rollback_lines(life: Life, lines: list[Line]) -> Found:
    if life.final is not None and life.final.type == "WORKFLOW_SUCCESS":
        yield life.name, "was rolled back, and completed"
    order = [line.step for line in lines if line.type == "ROLLBACK_STEP_START"]
    if order != sorted(set(order), reverse=True):
        yield life.name, f"steps were undone in the order {order}"
    complete = any(line.type == "ROLLBACK_COMPLETE" for line in lines)
    failed = [line for line in lines if line.type in ("ROLLBACK_STEP_FAILURE", "ROLLBACK_FAILED")]
    started = {step.number for step in life.steps.values() if step.data.rollback}
    undone = {line.step for line in lines if line.type == "ROLLBACK_STEP_SUCCESS"}
    if complete and (failed or started - undone):
        yield life.name, f"its rollback is complete, and steps {sorted(started - undone)} were not undone"
    cut_off = life.final is not None and life.final.type == "WORKFLOW_TERMINATED"
    if life.final is not None and not cut_off and not complete and not failed:
        yield life.name, "ended in the middle of its rollback"


#: Lines that are for replays only.
_INWARD = frozenset({"RESULT_GROUP", "RESULT_ABANDONED"})


def followed(seen: Evidence) -> Found:
    """A follower of an instance gets each line once, in order, up to its end."""
    for follower in seen.driver.followers:
        records = seen.world.journal.of(follower.instance)
        if sorted(set(follower.seqs)) != follower.seqs:
            yield follower.instance, f"a follower got the lines {follower.seqs}"
        if not follower.ended or len(records) != 1 or records[0].restarts or records[0].deleted is not None:
            continue
        stored = [line.seq for line in records[0].lines if line.type not in _INWARD]
        if follower.seqs != stored:
            missed = [seq for seq in stored if seq not in follower.seqs]
            yield follower.instance, f"a follower did not get the lines {missed}"


def answers_are_true(seen: Evidence) -> Found:
    """The answer of a command is a state that the store held at some moment between question and answer."""
    for command in seen.commands:
        if command.ended is None:
            continue
        statuses = _statuses(seen, command)
        if isinstance(command.error, InstanceBusyError) and not _excuses_silence(seen):
            yield command.instance, f"{command.kind} of {command.process}: refused ({command.error})"
        check = _ANSWERS.get(command.kind)
        if check is not None and (problem := check(seen, command, statuses)):
            yield (
                command.instance,
                f"{command.kind} of {command.process}: {problem} (it was {', '.join(statuses)})",
            )


def _excuses_silence(seen: Evidence) -> bool:
    """Return True if a process may have been unable to answer another."""
    steps = [one for versions in seen.plan.programs for program in versions for one in walk(program.body)]
    stubborn = any(
        isinstance(one, Do) and any(each.outcome == "stubborn" for each in one.tries) for one in steps
    )
    return stubborn or seen.plan.with_faults or seen.plan.deadly_attempts > 0


def _statuses(seen: Evidence, command: Command) -> list[str]:
    """Return every status the instance had while a command went on."""
    found: list[str] = []
    assert command.ended is not None
    for record in seen.world.journal.of(command.instance):
        for state, after in zip(record.states, [*record.states[1:], None], strict=True):
            until = after.tick if after else record.deleted or seen.end
            if state.tick < command.ended and until > command.began:
                found.append(state.status)
        if record.deleted is not None and command.began < record.deleted < command.ended:
            found.append("deleted")
    return found


def _answered_terminate(seen: Evidence, command: Command, statuses: list[str]) -> str | None:
    if command.was_done and "terminated" not in statuses:
        return "answered that it is terminated"
    return _refused_final(command, statuses, CannotTerminateError)


def _refused_final(command: Command, statuses: list[str], kind: type) -> str | None:
    if isinstance(command.error, kind) and not _FINAL & set(statuses):
        return f"refused ({command.error})"
    return None


def _answered_rollback(seen: Evidence, command: Command, statuses: list[str]) -> str | None:
    return _refused_final(command, statuses, CannotTerminateError)


def _answered_status(seen: Evidence, command: Command, statuses: list[str]) -> str | None:
    if (
        command.was_done
        and str(command.answer) in (*_FINAL, "paused")
        and str(command.answer) not in statuses
    ):
        return f"answered {command.answer}"
    return None


def _answered_restart(seen: Evidence, command: Command, statuses: list[str]) -> str | None:
    if command.was_done and not any(
        command.began < tick < (command.ended or 0)
        for record in seen.world.journal.of(command.instance)
        for tick, _ in record.restarts
    ):
        return "answered, and no restart was stored"
    return None


def _answered_delete(seen: Evidence, command: Command, statuses: list[str]) -> str | None:
    if command.was_done and "deleted" not in statuses:
        return "answered that it is deleted"
    return None


def _answered_send(seen: Evidence, command: Command, statuses: list[str]) -> str | None:
    number = command.args[1]
    found = [event for event in seen.world.journal.events if decode(event.payload) == number]
    stored = bool(found)
    if any(event.record.id != command.instance for event in found):
        return f"event {number} was stored for another instance"
    if command.was_done and not stored:
        return f"answered, and event {number} was not stored"
    if command.error is not None and not isinstance(command.error, StoreError) and stored:
        return f"refused ({command.error}), and event {number} was stored"
    return _refused_final(command, statuses, InstanceFinishedError)


_ANSWERS: dict[str, Callable[[Evidence, Command, list[str]], str | None]] = {
    "terminate": _answered_terminate,
    "terminate-rollback": _answered_rollback,
    "pause": _answered_status,
    "resume": _answered_status,
    "restart": _answered_restart,
    "restart-from": _answered_restart,
    "delete": _answered_delete,
    "send": _answered_send,
}


def _types(lines: list[Line]) -> str:
    return ", ".join(
        f"{line.type} {line.name or ''} by {line.writer}".replace("  ", " ") for line in lines[:5]
    )


LAWS: dict[str, Callable[[Evidence], Found]] = {
    "ends": ends,
    "accepted-is-stored": accepted_is_stored,
    "final-stays": final_stays,
    "end-is-told": end_is_told,
    "well-formed": well_formed,
    "attempts-end": attempts_end,
    "attempts-count": attempts_count,
    "after-checkpoint": after_checkpoint,
    "owned": owned,
    "old-life-is-over": old_life_is_over,
    "one-owner": one_owner,
    "only-what-was-asked": only_what_was_asked,
    "replay-equals": replay_equals,
    "replay-order": replay_order,
    "store-is-not-felt": store_is_not_felt,
    "given-up-stays": given_up_stays,
    "outputs": outputs,
    "certain-ends": certain_ends,
    "steps-are-tried": steps_are_tried,
    "events-once": events_once,
    "events-arrive": events_arrive,
    "sleeps-last": sleeps_last,
    "prompt": prompt,
    "timeouts-hold": timeouts_hold,
    "timers-keep-awake": timers_keep_awake,
    "rollback-order": rollback_order,
    "followed": followed,
    "answers-are-true": answers_are_true,
}
#: Laws that the world itself watches while it goes on.
WATCHED = ("no-internal-error", "no-spinning", "poisoned-lease")


def check(driver: Driver, without: frozenset[str] = frozenset()) -> list[Violation]:
    """Return every violation of a run that has ended."""
    seen = Evidence(driver)
    found = [one for one in driver.world.violations if one.law not in without]
    for name, law in LAWS.items():
        if name not in without:
            found.extend(Violation(name, who, text) for who, text in law(seen))
    return found
