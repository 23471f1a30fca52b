"""A ledger of the deeds and results of user code, kept outside the engine: it outlives every simulated death."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wrangler_py.engine.quarantine import ALONE

if TYPE_CHECKING:
    from tests.simulation.journal import Record
    from tests.simulation.world import Process, World

#: Seconds in which a known killer is tried alone, and a little less.
TRIAL_S = 25.0


@dataclass
class Effect:
    """One call of a step's callback, or of a rollback function."""

    run: Run
    kind: str
    site: int
    key: str
    attempt: int
    began: int
    at: int
    #: Virtual seconds at its beginning and end.
    moment: float
    ended_moment: float | None = None
    ended: int | None = None
    outcome: str | None = None
    #: The lease it was executed under still stood, and the instance was held under it.
    owned: bool = True
    #: The process ended inside it.
    killed: bool = False


@dataclass
class Handed:
    """The result of a call of a step, as `run()` got it."""

    site: int
    nth: int
    nested: bool
    outcome: tuple[Any, ...]
    at: int


@dataclass
class Timing:
    """A timer of the user's own: `asyncio.sleep`, or a deadline around statements."""

    ms: int
    #: The deadline around it.
    outer: Timing | None
    #: True if it was cancelled because the instance stopped, and not by user code.
    is_cut_off: bool = False
    #: It may have fired: code inside it cleans up after a cancellation by user code.
    is_over: bool = False


@dataclass
class Run:
    """One call of `run()`: the first, or a replay."""

    number: int
    process: Process
    record: Record
    life: int
    epoch: int
    version: int
    program: int
    began: int
    #: Virtual seconds.
    moment: float
    handed: list[Handed] = field(default_factory=list)
    #: Calls of steps that were cancelled, by site and count, and when.
    given_up: dict[tuple[int, int], int] = field(default_factory=dict)
    #: ("ok", output), ("error", name, message), ("cancelled",) or None while it goes on.
    outcome: tuple[Any, ...] | None = None
    ended: int | None = None
    counts: dict[int, int] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)

    def nth(self, site: int) -> int:
        """Count the calls of a site within this run."""
        count = self.counts[site] = self.counts.get(site, 0) + 1
        return count

    def timers_at_end(self) -> list[Timing]:
        """Return the user's timers that were pending when the run was cancelled."""
        if self.outcome is None or self.outcome[0] != "cancelled":
            return []
        return [one for one in self.timings if one.is_cut_off and not one.is_over]


#: The deadline that the code which executes is in.
_around: ContextVar[Timing | None] = ContextVar("around", default=None)


class Ledger:
    """All runs and effects of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.runs: list[Run] = []
        self.effects: list[Effect] = []

    def begin_run(self, process: Process, instance: str, program: int) -> Run:
        """Record that `run()` was called."""
        claim = process.claims[instance]
        run = Run(
            len(self.runs),
            process,
            claim.record,
            claim.life,
            claim.epoch,
            process.version,
            program,
            self._world.tick(),
            self._world.now,
        )
        self.runs.append(run)
        return run

    def begin(self, run: Run, kind: str, site: int, key: str, attempt: int) -> Effect:
        """Record that a callback was called."""
        world = self._world
        effect = Effect(run, kind, site, key, attempt, world.tick(), world.clock.now(), world.now)
        if not run.process.dead:
            effect.owned = world.journal.owns(run)
            self.effects.append(effect)
        return effect

    def end(self, effect: Effect, outcome: str) -> None:
        """Record how a callback ended."""
        if not effect.run.process.dead and effect.ended is None:
            effect.ended, effect.outcome = self._world.tick(), outcome
            effect.ended_moment = self._world.now

    def kill(self, effect: Effect) -> None:
        """Record that a callback ends its process; one that is known for that does so alone."""
        effect.killed = True
        run = effect.run
        is_known = run.record.deaths >= ALONE and effect.owned and self._world.now - run.moment < TRIAL_S
        if not is_known or any(other.run is run and other.ended for other in self.effects):
            return
        for other in self.effects:
            if self._is_beside(other, run):
                self._world.report(
                    "killers-alone",
                    run.record.id,
                    f"{effect.key} ends its process again, while {other.key} of {other.run.record.id} executes there",
                )

    def _is_beside(self, other: Effect, run: Run) -> bool:
        return (
            other.ended is None
            and other.run.process is run.process
            and other.run.record is not run.record
            and other.run.life == other.run.record.life
            and self._world.journal.owns(other.run)
        )

    def hand(self, run: Run, site: int, nth: int, nested: bool, *outcome: Any) -> None:
        """Record what `run()` was given."""
        if not run.process.dead:
            run.handed.append(Handed(site, nth, nested, outcome, self._world.tick()))

    def give_up(self, run: Run, site: int, nth: int, nested: bool) -> None:
        """Record that the call of a step was cancelled: by user code, or because its instance was stopped."""
        if not run.process.dead and not nested:
            run.given_up[site, nth] = self._world.tick()

    @contextmanager
    def timing(self, run: Run, ms: int, stops: Callable[[], bool]) -> Iterator[None]:
        """Record a timer of the user's own while it is pending; ``stops`` says if the instance itself does."""
        timing = Timing(ms, _around.get())
        run.timings.append(timing)
        inside = _around.set(timing)
        try:
            yield
        except asyncio.CancelledError:
            timing.is_cut_off = stops()
            raise
        finally:
            _around.reset(inside)

    def clean_up(self) -> None:
        """Record that code cleans up after a cancellation by user code: of the deadlines it is in, one has fired."""
        timing = _around.get()
        while timing is not None:
            timing.is_over, timing = True, timing.outer

    def end_run(self, run: Run, *outcome: Any) -> None:
        """Record how `run()` ended."""
        if not run.process.dead and run.outcome is None:
            run.outcome, run.ended = outcome, self._world.tick()
