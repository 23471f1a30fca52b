"""One run from a plan: play it, check it, and give its figures."""

from __future__ import annotations

import gc
import hashlib
import logging
import multiprocessing
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from tests.simulation.driver import Driver, Folder
from tests.simulation.laws import check
from tests.simulation.plan import Plan, make_plan
from tests.simulation.world import Violation, World

#: Runs between two collections of garbage: what a dead process leaves behind is one large circle.
COLLECT_EVERY = 50
#: Seeds that one process runs.
BATCH = 40
#: Figures of a batch, and its failures: the seed, the laws it broke, the first violation.
Found = tuple[Counter[str], list[tuple[int, list[str], str]]]


@dataclass
class Outcome:
    """The outcome of a run."""

    plan: Plan
    violations: list[Violation]
    figures: Counter[str]
    #: Equal for two runs in which the same things happened in the same order.
    digest: str
    log: list[str] = field(default_factory=list)

    @property
    def laws(self) -> list[str]:
        """Return the laws that were broken, the first one first."""
        return list(dict.fromkeys(violation.law for violation in self.violations))


def simulate(
    plan: Plan, folder: Folder, *, without: frozenset[str] = frozenset(), log: bool = False
) -> Outcome:
    """Play a plan in a world of its own and check it."""
    driver = Driver(plan, folder.fresh())
    try:
        with _listening(driver.world):
            driver.play()
        violations = check(driver, without)
        lines = _log(driver, violations) if log else []
        return Outcome(plan, violations, _figures(driver), _digest(driver), lines)
    finally:
        driver.world.close()


def seeds(
    numbers: Iterator[int] | range, folder: Folder, *, without: frozenset[str] = frozenset()
) -> Iterator[Outcome]:
    """Run one seed after the other."""
    for count, seed in enumerate(numbers):
        yield simulate(make_plan(seed), folder, without=without)
        if count % COLLECT_EVERY == COLLECT_EVERY - 1:
            gc.collect()


def in_batches(numbers: range, jobs: int, without: frozenset[str]) -> Iterator[Found]:
    """Run batches, each in a process of its own: that is quicker than to collect what dead processes leave behind."""
    batches = [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.simulation.run"])
    with context.Pool(jobs, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(partial(_batch, without=without), batches)


def _batch(numbers: range, without: frozenset[str]) -> Found:
    figures: Counter[str] = Counter()
    failed = []
    with quiet():
        folder = Folder()
        try:
            for outcome in seeds(numbers, folder, without=without):
                figures.update(outcome.figures)
                if outcome.violations:
                    failed.append((outcome.plan.seed, outcome.laws, str(outcome.violations[0])))
        finally:
            folder.close()
    return figures, failed


class _Ear(logging.Handler):
    """Hears what the engine logs: an error there is an error inside the engine."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        told = f"{record.getMessage()}: {type(error).__name__}: {error}" if error else record.getMessage()
        self._world.report("no-internal-error", record.name, told)


@contextmanager
def _listening(world: World) -> Iterator[None]:
    logger, ear = logging.getLogger("wrangler_py"), _Ear(world)
    logger.addHandler(ear)
    try:
        yield
    finally:
        logger.removeHandler(ear)


@contextmanager
def quiet() -> Iterator[None]:
    """Let what dead processes leave behind be collected in silence, and not in the middle of a run."""
    hook, logger = sys.unraisablehook, logging.getLogger("wrangler_py")
    sys.unraisablehook = lambda _: None
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(silent := logging.NullHandler())
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield
            finally:
                gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
        logger.removeHandler(silent)
        sys.unraisablehook, logger.propagate = hook, propagates


def _figures(driver: Driver) -> Counter[str]:
    world = driver.world
    figures = Counter(
        seeds=1,
        instances=len(world.journal.records),
        lives=sum(record.life for record in world.journal.records),
        commands=len(driver.commands),
        deaths=world.deaths,
        commits=world.journal.commits,
        steps=len(world.ledger.effects),
        replays=max(0, len(world.ledger.runs) - len(world.journal.records)),
        callbacks=world.callbacks,
        virtual_seconds=round(world.now),
    )
    figures.update(record.status for record in world.journal.records)
    return figures


def _digest(driver: Driver) -> str:
    world, seen = driver.world, hashlib.sha256()
    for record in world.journal.records:
        for line in record.lines:
            seen.update(
                repr((line.tick, line.time, line.writer, line.type, line.name, line.attempt)).encode()
            )
        for state in record.states:
            seen.update(repr((state.tick, state.writer, state.op, state.status, state.epoch)).encode())
    for effect in world.ledger.effects:
        seen.update(repr((effect.began, effect.ended, effect.key, effect.outcome)).encode())
    seen.update("\n".join(world.told).encode())
    return seen.hexdigest()[:16]


def _log(driver: Driver, violations: list[Violation]) -> list[str]:
    """Return what happened, in order: all the world did, and what concerns the instances of ``violations``."""
    world = driver.world
    concerned = {violation.who.split()[0] for violation in violations}
    entries: list[tuple[int, str]] = [
        (int(line.split("s", 1)[1].split()[0]), "      " + line) for line in world.told
    ]
    for record in world.journal.records:
        if record.id not in concerned:
            continue
        for state in record.states:
            entries.append(
                (
                    state.tick,
                    f"{record.id}  is {state.status}, epoch {state.epoch} ({state.op} of {state.writer})",
                )
            )
        for line in record.lines:
            told = f"{line.type} {line.step or ''} {line.name or ''} {line.attempt or ''}".strip()
            entries.append((line.tick, f"{record.id}    {told} (epoch {line.epoch})"))
    for effect in world.ledger.effects:
        if effect.run.record.id in concerned:
            who = f"{effect.run.record.id}      run {effect.run.number} ({effect.run.process.name})"
            entries.append((effect.began, f"{who} calls {effect.key}, attempt {effect.attempt}"))
            if effect.ended is not None:
                entries.append((effect.ended, f"{who} ends {effect.key}: {effect.outcome}"))
    for run in world.ledger.runs:
        if run.record.id in concerned:
            who = f"{run.record.id}      run {run.number} ({run.process.name})"
            entries.append((run.began, f"{who} begins, epoch {run.epoch}"))
            if run.ended is not None:
                entries.append((run.ended, f"{who} ends: {run.outcome!r:.120}"))
            for handed in run.handed:
                entries.append((handed.at, f"{who} gets for #{handed.site}: {handed.outcome!r:.100}"))
    return [f"{tick:6d} {text}" for tick, text in sorted(entries, key=lambda entry: entry[0])]
