"""Faults put back into the engine on purpose: a simulator that finds nothing must show that it would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any
from unittest import mock

from tests.simulation.driver import Folder
from tests.simulation.plan import make_plan
from tests.simulation.run import quiet, simulate
from wrangler_py.engine.entries import FailureData, encode_data
from wrangler_py.engine.instance.replay import RUN
from wrangler_py.engine.model import HistoryType
from wrangler_py.errors import StepAbandonedError
from wrangler_py.sdk.failures import capture


@dataclass(frozen=True)
class Mutant:
    """A fault, and how to put it back: attributes of modules or classes, and what stands there instead."""

    name: str
    what: str
    patches: tuple[tuple[str, Callable[[Any], Any]], ...]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the fault in the engine for a while; each patch is given what it takes the place of."""
        with _all([mock.patch(target, make(resolve_name(target))) for target, make in self.patches]):
            yield


@contextmanager
def _all(patches: list[Any]) -> Iterator[None]:
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()


def _returns(value: Any) -> Callable[[Any], Any]:
    def make(_: Any) -> Any:
        return lambda *args, **kwargs: value

    return make


def _never(_: Any) -> Any:
    async def nothing(*args: Any, **kwargs: Any) -> None:
        return None

    return nothing


def _done(_: Any) -> Any:
    def durable(self: Any) -> asyncio.Future[None]:
        self._schedule()
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    return durable


def _one_more(_: Any) -> Any:
    return lambda retries, attempt: retries.limit is None or attempt <= retries.limit + 1


def _steer_without_stopping(original: Any) -> Any:
    async def steer(self: Any, context: Any, request: Any) -> None:
        if request != "letGo":
            await original(self, context, request)

    return steer


def _free_at_once(_: Any) -> Any:
    async def is_free(self: Any, instance: Any, attempt: Any) -> bool:
        return True

    return is_free


def _unconditional(original: Any) -> Any:
    async def change(self: Any, seen: Any, change: Any, *, now: int) -> bool:
        fresh = await self.look(seen.instance.workflow, seen.instance.id)
        return fresh is not None and bool(await original(self, fresh, change, now=now))

    return change


def _overtaking(_: Any) -> Any:
    async def flush(self: Any) -> None:
        if self._dirty:
            waiter = asyncio.get_running_loop().create_future()
            self._gathering.flushed.append(waiter)
            await waiter

    return flush


def _not_poisoned(_: Any) -> Any:
    def poison(self: Any) -> None:
        return None

    return poison


def _by_wall_only(original: Any) -> Any:
    def loop_ms() -> float:
        return -1e15

    return staticmethod(loop_ms)


def _at_once(_: Any) -> Any:
    async def pass_on(self: Any, *args: Any) -> None:
        return None

    return pass_on


def _no_deaths(original: Any) -> Any:
    async def claim(self: Any, *args: Any, **kwargs: Any) -> Any:
        claimed = await original(self, *args, **kwargs)
        for one in claimed:
            one.deaths = 0
        return claimed

    return claim


def _tried_again(_: Any) -> Any:
    def abandon(self: Any) -> None:
        if self.is_open and not self.context.is_stopping:
            self.is_open = False
            self._log(HistoryType.ATTEMPT_FAILURE, encode_data(FailureData(capture(StepAbandonedError()))))

    return abandon


def _any_cancellation(_: Any) -> Any:
    return lambda self, error: isinstance(error, asyncio.CancelledError)


def _forgiving(_: Any) -> Any:
    async def claim(self: Any, definition: Any, most: int, *, suspects: bool) -> Any:
        limit = min(most, self._free(definition))
        if limit <= 0:
            return []
        now = self._shared.clock.now()
        return await self._store.claim(definition.wanted, self.epoch, now=now, limit=limit, suspects=suspects)

    return claim


def _runner_too(original: Any) -> Any:
    def cancel(self: Any, *, except_for: Any = None) -> None:
        original(self, except_for=except_for)
        if (
            self.main.get_coro().cr_await is not None and self.main is not except_for
        ):  # It has begun, and waits.
            self.main.cancel()

    return cancel


def _everywhere(_: Any) -> Any:
    return property(lambda self: RUN)


MUTANTS = (
    # Faults that were mended.
    Mutant(
        "results-in-program-order",
        "a replay hands results out as the program asks for them, not as history recorded them",
        (
            ("wrangler_py.engine.instance.order.Order.recorded", _at_once),
            ("wrangler_py.engine.instance.order.Order.live", _at_once),
            ("wrangler_py.engine.instance.order.Order.rest", _at_once),
        ),
    ),
    Mutant(
        "steps-by-name-alone",
        "two tasks that use one step name get each other's stored result",
        (
            ("wrangler_py.engine.instance.replay.Recorded.scope", _everywhere),
            ("wrangler_py.engine.instance.code.UserCode.scope", _returns(RUN)),
        ),
    ),
    Mutant(
        "asleep-with-a-timer",
        "an instance whose own code has a timer pending leaves memory",
        (("wrangler_py.engine.instance.tasks.Tasks.next_timer_ms", _returns(None)),),
    ),
    Mutant(
        "waits-by-the-wall-clock",
        "a clock that is set back stalls waits in memory",
        (("wrangler_py.engine.timers.Timers._loop_ms", _by_wall_only),),
    ),
    Mutant(
        "commands-on-stale-reads",
        "a command writes whatever has become of the instance since it was decided on",
        (("wrangler_py.storage.sqlite.SqliteStore.change", _unconditional),),
    ),
    Mutant(
        "commands-beside-a-driver",
        "a command writes without the driver of the instance having let go",
        (("wrangler_py.engine.control.Control._is_free", _free_at_once),),
    ),
    Mutant(
        "refused-batch-forgiven",
        "after a refused batch the next one is written under the same lease",
        (("wrangler_py.engine.commits.GroupCommit.poison", _not_poisoned),),
    ),
    Mutant(
        "flush-overtakes-a-batch",
        "a flush does not wait for the batch that is being written",
        (("wrangler_py.engine.commits.GroupCommit.flush", _overtaking),),
    ),
    Mutant(
        "deaths-not-counted",
        "a step that kills its process in the turn in which it begins is not counted",
        (("wrangler_py.storage.sqlite.SqliteStore.claim", _no_deaths),),
    ),
    Mutant(
        "abandoned-step-again",
        "a step that run() gave up is called again on each replay",
        (("wrangler_py.engine.instance.attempts.Attempts._abandon", _tried_again),),
    ),
    Mutant(
        "cancelled-by-itself",
        "a CancelledError that nobody asked for ends the instance",
        (("wrangler_py.engine.instance.attempts.Attempts._is_asked_for", _any_cancellation),),
    ),
    Mutant(
        "lost-claim-forgiven",
        "a claim whose answer was lost leaves instances that nobody drives",
        (("wrangler_py.engine.scheduler.Scheduler._claim", _forgiving),),
    ),
    Mutant(
        "newer-run-released",
        "an instance that is driven anew is released for an older request",
        (("wrangler_py.engine.control.Control._is_newer", _returns(False)),),
    ),
    Mutant(
        "last-words-overtaken",
        "a command takes an instance for free while the last writes of its runner are on their way to the disk",
        (("wrangler_py.engine.commits.GroupCommit.writes_for", _returns(False)),),
    ),
    Mutant(
        "runner-cancelled",
        "a cancellation that is meant for run() hits the runner behind it",
        (("wrangler_py.engine.instance.code.UserCode.cancel", _runner_too),),
    ),
    # Faults that were never there.
    Mutant(
        "result-before-commit",
        "a step's result reaches run() before it is on disk",
        (("wrangler_py.engine.commits.GroupCommit.durable", _done),),
    ),
    Mutant(
        "event-kept",
        "a delivered event is not taken out of the mailbox on disk",
        (("wrangler_py.engine.commits.GroupCommit.consume", _returns(None)),),
    ),
    Mutant(
        "old-life-runs-on",
        "restart, terminate and delete leave the old run going",
        (("wrangler_py.engine.control.Control._steer", _steer_without_stopping),),
    ),
    Mutant(
        "one-attempt-too-many",
        "a step is tried once more than its limit says",
        (("wrangler_py.engine.instance.attempts.may_retry", _one_more),),
    ),
    Mutant(
        "no-fence",
        "a process writes on after its lease is gone",
        (("wrangler_py.storage.sqlite.batches._not_driven", _returns(frozenset())),),
    ),
)


@dataclass(frozen=True)
class Sight:
    """How a mutant was found."""

    mutant: Mutant
    #: Seeds until one failed that does not fail without the mutant; None: not found.
    seeds: int | None
    law: str = ""
    text: str = ""


def search(mutant: Mutant, most: int, *, without: frozenset[str] = frozenset(), first: int = 0) -> Sight:
    """Run seeds with a mutant until a law is broken that the same seed keeps without it."""
    with quiet():
        folder = Folder()
        try:
            for seed in range(first, first + most):
                plan = make_plan(seed)
                with mutant.applied():
                    broken = simulate(plan, folder, without=without).violations
                if not broken:
                    continue
                known = simulate(plan, folder, without=without).laws
                if found := next((one for one in broken if one.law not in known), None):
                    return Sight(mutant, seed - first + 1, found.law, str(found))
        finally:
            folder.close()
    return Sight(mutant, None)


def table(names: list[str], most: int, *, without: frozenset[str] = frozenset()) -> int:
    """Print how many seeds each mutant takes to be found; return 1 if one is not."""
    missed = 0
    for mutant in MUTANTS:
        if names and mutant.name not in names:
            continue
        sight = search(mutant, most, without=without)
        missed += sight.seeds is None
        told = "not found" if sight.seeds is None else f"{sight.seeds} seeds, {sight.text:.150}"
        print(f"{mutant.name:>24}: {told}", flush=True)
    return 1 if missed else 0
