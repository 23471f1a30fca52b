"""The search for mutants: how many seeds until a law is broken that the engine keeps without the fault."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.alone import (
    broken_off,
    confused,
    given_up,
    held_up,
    outlived,
    overtaken,
    refused_undoing,
    set_back,
)
from tests.simulation.driver import Folder
from tests.simulation.mutants import MENDED, MUTANTS, Mutant
from tests.simulation.plan import Plan, make_plan
from tests.simulation.run import COLLECT_EVERY, quiet, simulate
from tests.simulation.season import Situation
from tests.simulation.world import Violation

#: Seeds after which a mutant counts as not found.
PATIENCE = 5000
#: Mutants that are found within a second, each with the first of the seeds that find it, and how many are tried.
PINNED = {
    "error-not-stored": 6,
    "tasks-outlive-run": 25,
    "commands-on-stale-reads": 11,
    "old-life-runs-on": 15,
    "refused-batch-forgiven": 14,
    "result-after-lost-lease": 15,
    "abandoned-step-again": 26,
    "results-in-program-order": 7,
    "cancelled-before-begun": 16,
    "exit-ends-the-instance": 14,
    "timeout-swallowed": 10,
    "late-result-kept": 315,
    "events-lost-on-timeouts": 88,
    "result-before-commit": 12,
    "batch-written-again": 10,
    "event-kept": 0,
    "one-attempt-too-many": 0,
    "no-fence": 41,
}
#: A change of the timing of the engine moves a sight; from there on it is found again before long.
PINNED_SEEDS = 100
#: Mutants that few seeds find, each with the situation that brings it to light, and how many plans of that are tried.
SITUATED: dict[str, Situation] = {
    "change-without-condition": overtaken,
    "last-words-overtaken": overtaken,
    "flush-overtakes-a-batch": overtaken,
    "newer-run-released": outlived,
    "next-life-forgotten": outlived,
    "lines-of-others": outlived,
    "given-up-on-the-way": given_up,
    "group-behind-the-end": broken_off,
    "waits-by-the-wall-clock": set_back,
    "rollback-cut-off": refused_undoing,
    "lease-kept-by-the-told": refused_undoing,
    "runner-cancelled": held_up,
    "steps-by-name-alone": confused,
}
SITUATED_SEEDS = 300


@dataclass(frozen=True)
class Sight:
    """How a mutant was found."""

    mutant: Mutant
    #: Seeds until one failed that does not fail without the mutant; None: not found.
    seeds: int | None
    law: str = ""
    text: str = ""

    @property
    def row(self) -> str:
        """The sight as a row of a table in Markdown."""
        return (
            f"| {self.mutant.what} | `{self.law}` | {self.seeds} |"
            if self.seeds
            else f"| {self.mutant.what} | | |"
        )


def search(
    mutant: Mutant,
    most: int,
    *,
    without: frozenset[str] = frozenset(),
    first: int = 0,
    wanted: Situation | None = None,
) -> Sight:
    """Run seeds, or their plans in a ``wanted`` situation, until one breaks a law that it keeps without the mutant."""
    with quiet():
        folder = Folder()
        try:
            for count, seed in enumerate(range(first, first + most), start=1):
                if found := notice(mutant, make_plan(seed, wanted), folder, without):
                    return Sight(mutant, count, found.law, str(found))
                if not count % COLLECT_EVERY:
                    gc.collect()
        finally:
            folder.close()
    return Sight(mutant, None)


def notice(
    mutant: Mutant, plan: Plan, folder: Folder, without: frozenset[str] = frozenset()
) -> Violation | None:
    """Return what a plan breaks with a mutant and keeps without it, None for nothing."""
    with mutant.applied():
        broken = simulate(plan, folder, without=without).violations
    known = simulate(plan, folder, without=without).laws if broken else []
    return next((one for one in broken if one.law not in known), None)


def table(names: list[str], most: int, *, without: frozenset[str] = frozenset()) -> int:
    """Print how many seeds each mutant takes to be found, ``all`` for every one; return 1 if one is not."""
    sights = []
    for mutant in _chosen(names):
        sight = search(mutant, most, without=without)
        sights.append(sight)
        told = "not found" if sight.seeds is None else f"{sight.seeds} seeds, {sight.text:.150}"
        print(f"{mutant.name:>26}: {told}", flush=True)
    print("\n".join(("", "| fault put back | law | seeds |", "|---|---|---|", *(one.row for one in sights))))
    return 1 if any(sight.seeds is None for sight in sights) else 0


def pinned(*, without: frozenset[str] = frozenset()) -> int:
    """Look for mutants where they were found before; print those that are missed, and return 1 for any."""
    missed = [mutant.name for mutant in MUTANTS if _is_missed(mutant, without)]
    told = (
        f"not found any more: {', '.join(missed)}"
        if missed
        else f"all {len(PINNED) + len(SITUATED)} are found"
    )
    print(told)
    return 1 if missed else 0


def _is_missed(mutant: Mutant, without: frozenset[str]) -> bool:
    if (first := PINNED.get(mutant.name)) is not None:
        return search(mutant, PINNED_SEEDS, without=without, first=first).seeds is None
    if (wanted := SITUATED.get(mutant.name)) is not None:
        return search(mutant, SITUATED_SEEDS, without=without, wanted=wanted).seeds is None
    return False


def _chosen(names: list[str]) -> Iterator[Mutant]:
    every = {mutant.name: mutant for mutant in MUTANTS}
    if unknown := set(names) - {*every, "all", "mended"}:
        raise SystemExit(f"no such mutant: {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    for mutant in MUTANTS:
        if not names or "all" in names or mutant.name in names or ("mended" in names and mutant in MENDED):
            yield mutant
