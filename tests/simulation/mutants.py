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


def _done(_: Any) -> Any:
    def durable(self: Any) -> asyncio.Future[None]:
        self._schedule()
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    return durable


def _nothing(_: Any) -> Any:
    return lambda *args, **kwargs: None


def _nothing_awaited(_: Any) -> Any:
    async def nothing(*args: Any, **kwargs: Any) -> None:
        return None

    return nothing


def _one_more(_: Any) -> Any:
    return lambda retries, attempt: retries.limit is None or attempt <= retries.limit + 1


def _unfenced(original: Any) -> Any:
    async def apply(self: Any, batch: Any, epoch: Any) -> Any:
        return await original(self, batch, None)

    return apply


MUTANTS = (
    Mutant(
        "result-before-commit",
        "a step's result reaches run() before it is on disk",
        (("wrangler_py.engine.commits.GroupCommit.durable", _done),),
    ),
    Mutant(
        "event-kept",
        "a delivered event is not taken out of the mailbox on disk",
        (("wrangler_py.engine.commits.GroupCommit.consume", _nothing),),
    ),
    Mutant(
        "old-life-runs-on",
        "restart, terminate and delete leave the old run going",
        (("wrangler_py.engine.control.Control._abort", _nothing_awaited),),
    ),
    Mutant(
        "one-attempt-too-many",
        "a step is tried once more than its limit says",
        (("wrangler_py.engine.instance.attempts.may_retry", _one_more),),
    ),
    Mutant(
        "no-fence",
        "a process writes on after its lease is gone",
        (("wrangler_py.storage.sqlite.SqliteStore.apply", _unfenced),),
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
