"""``python -m tests.simulation``: run seeds, and print how to see each failure again."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from functools import partial

from tests.simulation.driver import Folder
from tests.simulation.laws import LAWS, WATCHED
from tests.simulation.plan import Plan, make_plan
from tests.simulation.run import Outcome, in_batches, quiet, simulate
from tests.simulation.shrink import shrink

#: Lines of the log that are printed of one failure.
LOG_LINES = 80


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of texts must have one order, or one seed is not one run.
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    options = _options()
    without = frozenset(options.without.split(",")) if options.without else frozenset()
    if unknown := without - {*LAWS, *WATCHED}:
        print(f"no such law: {', '.join(sorted(unknown))}; there are {', '.join([*LAWS, *WATCHED])}")
        return 2
    if options.mutants is not None:
        from tests.simulation.hunt import PATIENCE, pinned, table

        if options.mutants == ["pinned"]:
            return pinned(without=without)
        return table(options.mutants, options.seeds or PATIENCE, without=without)
    if options.seed is not None:
        return _one(options.seed, without, shrinks=not options.no_shrink)
    return _many(range(options.first, options.first + (options.seeds or 300)), options, without)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, help="number of seeds to run (300; mutants: 5000)")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seed", type=int, help="run this seed only, and print all of it")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--without", default="", help="laws not to check, with commas between")
    parser.add_argument("--no-shrink", action="store_true", help="print the failing plan as it was drawn")
    parser.add_argument("--shown", type=int, default=3, help="number of failures to print in full")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument(
        "--mutants",
        nargs="*",
        metavar="NAME",
        help="put mended faults back and count seeds until found (all, mended, pinned, or by name)",
    )
    return parser.parse_args()


def _one(seed: int, without: frozenset[str], *, shrinks: bool) -> int:
    with quiet():
        folder = Folder()
        try:
            outcome = simulate(make_plan(seed), folder, without=without, log=True)
            again = simulate(make_plan(seed), folder, without=without)
            print(_told(outcome, folder, without, shrinks=shrinks and bool(outcome.violations)))
            if again.digest != outcome.digest:
                print("a second run of this seed went another way: the simulator is not deterministic")
                return 1
            return 1 if outcome.violations else 0
        finally:
            folder.close()


def _told(outcome: Outcome, folder: Folder, without: frozenset[str], *, shrinks: bool) -> str:
    lines = [f"seed {outcome.plan.seed}: {len(outcome.violations)} violations, digest {outcome.digest}"]
    lines += [f"  {violation}" for violation in outcome.violations[:10]]
    if shrinks:
        law = outcome.laws[0]
        plan = shrink(outcome.plan, partial(_breaks, law, folder, without))
        outcome = simulate(plan, folder, without=without, log=True)
        lines.append(f"made smaller, still against [{law}]:")
        lines += [f"  {violation}" for violation in outcome.violations[:5]]
    lines.append(outcome.plan.show())
    lines.append("what happened:")
    lines += outcome.log[-LOG_LINES:]
    lines.append(f"to see it again: python -m tests.simulation --seed {outcome.plan.seed}")
    return "\n".join(lines)


def _breaks(law: str, folder: Folder, without: frozenset[str], plan: Plan) -> bool:
    return law in simulate(plan, folder, without=without).laws


def _many(numbers: range, options: argparse.Namespace, without: frozenset[str]) -> int:
    began = time.monotonic()
    figures: Counter[str] = Counter()
    failures: list[tuple[int, list[str], str]] = []
    told_at = began
    for more, failed in in_batches(numbers, options.jobs, without):
        figures.update(more)
        failures.extend(failed)
        for seed, _, text in failed:
            print(f"seed {seed}: {text}", flush=True)
        if time.monotonic() - told_at > 10:
            told_at = time.monotonic()
            print(f"{figures['seeds']} seeds, {len(failures)} failed, {told_at - began:.0f} s", flush=True)
    seconds = time.monotonic() - began
    print(_summary(figures, failures, seconds))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({**figures, "failed": len(failures), "seconds": round(seconds, 1)}, file)
    _show(failures, options, without)
    return 1 if failures else 0


def _summary(figures: Counter[str], failures: list[tuple[int, list[str], str]], seconds: float) -> str:
    told = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in figures.items())
    lines = [f"{told}", f"{seconds:.1f} s, {seconds / max(1, figures['seeds']):.3f} s a seed"]
    laws = Counter(law for _, broken, _ in failures for law in broken)
    for law, count in laws.most_common():
        first = next(text for _, broken, text in failures if law in broken)
        number = next(seed for seed, broken, _ in failures if law in broken)
        lines.append(f"  [{law}] broken by {count} seeds, first by {number} ({first:.160})")
    lines.append(f"{len(failures)} seeds failed" if failures else "no law was broken")
    return "\n".join(lines)


def _show(
    failures: list[tuple[int, list[str], str]], options: argparse.Namespace, without: frozenset[str]
) -> None:
    """Print the first failures in full, one for each law that was broken first."""
    shown: set[str] = set()
    for seed, laws, _ in failures:
        if len(shown) >= options.shown or laws[0] in shown:
            continue
        shown.add(laws[0])
        print("=" * 100)
        _one(seed, without, shrinks=not options.no_shrink)


if __name__ == "__main__":
    sys.exit(main())
