"""``python -m tests.mutation FILE ...``: the share of faults that a test notices, and those that none does."""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# Loaded before the forks, which then have them for nothing. Nothing of `wrangler_py`: a fork loads it with a fault.
import httpx  # noqa: F401
import hypothesis  # noqa: F401
import msgspec  # noqa: F401
import schemathesis.pytest.plugin  # noqa: F401

from tests.mutation.mutants import Mutant, mutants_of, sql_mutants_of
from tests.mutation.runs import ROOT, Session, TestRun, Trace

ACCEPTED = Path(__file__).parent / "accepted.txt"
SEEDS = "tests/mutation/seeds.py"
STORE = [
    f"tests/storage/test_{name}.py"
    for name in ("store", "schema", "commands", "leases", "suspects", "batches")
]
#: Tests of a folder, where they do not lie in the folder of the same name.
TESTS = {
    "wrangler_py/engine": ["tests/engine", SEEDS],
    "wrangler_py/storage/sqlite": [*STORE, "tests/engine", SEEDS],
    "wrangler_py/storage/queues": ["tests/storage/test_queues.py", "tests/bindings/queues"],
    "wrangler_py/storage/cron": ["tests/bindings/test_cron.py", "tests/runtime/test_host_cron.py"],
    "wrangler_py/storage/durable": ["tests/bindings/durable"],
    "wrangler_py/storage/kv": ["tests/storage/test_kv.py", "tests/bindings/test_kv.py"],
    "wrangler_py/storage/r2": ["tests/bindings/r2"],
    "wrangler_py/storage/deployments": ["tests/storage/deployments"],
    "wrangler_py/storage": ["tests/storage", "tests/engine/test_retention.py", "tests/bindings/test_kv.py"],
    "wrangler_py/server": ["tests/server"],
}  # fmt: skip


class Options(NamedTuple):
    """The options beside the files."""

    results: Path | None
    sample: int | None
    budget: float


def main() -> None:
    """Read the command line and report on each file."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tests", nargs="+", help="instead of those of the file's folder")
    parser.add_argument(
        "--results", type=Path, help="a folder to keep results in; what stands there is not run again"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="N faults of each file, always the same ones")
    parser.add_argument(
        "--budget", type=float, metavar="S", default=math.inf,
        help="for one fault, run tests that take S seconds together without it",
    )  # fmt: skip
    asked = parser.parse_args()
    options = Options(asked.results, asked.sample, asked.budget)
    for file in asked.files:
        _report(file.resolve(), tuple(asked.tests or _tests_of(file)), options)


def _tests_of(file: Path) -> Sequence[str]:
    name = file.resolve().relative_to(ROOT).as_posix()
    return next(tests for folder, tests in TESTS.items() if name.startswith(folder + "/"))


def _accepted(name: str) -> dict[str, str]:
    """Return the survivors of a file that change nothing, with the reasons."""
    found, here = {}, False
    for line in ACCEPTED.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            here = line == f"== {name}"
        elif here and line.strip() and not line.startswith("#"):
            key, _, reason = line.partition("  # ")
            found[key.strip()] = reason
    return found


@functools.cache
def _session(tests: tuple[str, ...], kept: Path | None) -> tuple[Session, Trace]:
    session = Session(tests)
    return session, session.trace(kept)


def _report(file: Path, tests: tuple[str, ...], options: Options) -> None:
    name = file.relative_to(ROOT).as_posix()
    accepted, known, survivors = _accepted(name), _Known(options.results, name), []
    source = file.read_text(encoding="utf-8")
    found = list(mutants_of(source) if file.suffix == ".py" else sql_mutants_of(source))
    mutants = [mutant for mutant in found if mutant.key not in accepted]
    for mutant in _sample(mutants, options.sample):
        if mutant.key not in known:
            session, trace = _session(tests, options.results)
            reaching = _reaching(mutant, trace, file, _Killers(known, mutant.where))
            known[mutant.key] = _noticed_by(session, file, mutant, _affordable(reaching, options.budget))
        if known[mutant.key] is None:
            survivors.append(mutant)
            print(f"  {name}:{mutant.line}  {mutant.key}", flush=True)
    counted = len(_sample(mutants, options.sample))
    share = 100 * (counted - len(survivors)) / max(1, counted)
    sample = f" of a sample of {len(mutants)}" if counted < len(mutants) else ""
    print(
        f"{name}: {counted - len(survivors)} of {counted}{sample} noticed ({share:.0f} %), {len(accepted)} accepted",
        flush=True,
    )


class _Known(dict[str, str | None]):
    """The test that noticed a fault, by the fault's key; kept in a folder."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self._file = None if folder is None else folder / (name.replace("/", ".") + ".json")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        super().__init__(json.loads(self._file.read_text()) if self._file and self._file.exists() else {})

    def __setitem__(self, key: str, test: str | None) -> None:
        super().__setitem__(key, test)
        if self._file is not None:
            self._file.write_text(json.dumps(self, indent=0))


class _Killers:
    """How many faults each test noticed: near the one that is looked at, and in the file."""

    def __init__(self, known: _Known, where: str) -> None:
        self._near, self._all = Counter[str](), Counter[str]()
        for key, test in known.items():
            if test is not None:
                self._all[test] += 1
                self._near[test] += key.startswith(f"{where}: ")

    def rank(self, run: TestRun) -> tuple[float, ...]:
        """Order tests: what noticed most per second near the fault, then in the file, then the quickest."""
        each = run.seconds + 0.01
        return -self._near[run.name] / each, -self._all[run.name] / each, run.seconds


def _sample(mutants: list[Mutant], number: int | None) -> list[Mutant]:
    """Return as many faults, in their order: the same ones as long as the code around them stays."""
    chosen = {mutant.key for mutant in sorted(mutants, key=_drawn)[:number]}
    return [mutant for mutant in mutants if mutant.key in chosen]


def _drawn(mutant: Mutant) -> bytes:
    return hashlib.sha256(mutant.key.encode()).digest()


def _noticed_by(session: Session, file: Path, mutant: Mutant, tests: Sequence[TestRun]) -> str | None:
    return session.noticed_by(file, mutant.source, tests) if tests else None


def _affordable(runs: Sequence[TestRun], seconds: float) -> Sequence[TestRun]:
    totals = itertools.accumulate(run.seconds for run in runs)
    return [run for run, total in zip(runs, totals, strict=True) if total <= seconds] or runs[:1]


def _reaching(mutant: Mutant, trace: Trace, file: Path, killers: _Killers) -> list[TestRun]:
    """Return the tests that reach the lines of a fault, or of an SQL statement's use, those first that notice much.

    For a fault in what runs at import, those that reach a line with the constant's name come first, then all others.
    """
    if not mutant.lines:
        found = [run for run in trace.runs if _enters(run, _users_of(f'"{mutant.where}"'))]
        return sorted(found or [run for run in trace.runs if _enters_folder(run, file)], key=killers.rank)
    found = [run for run in trace.runs if not run.lines.get(str(file), set()).isdisjoint(mutant.lines)]
    others: list[TestRun] = []
    if not trace.at_import.get(str(file), set()).isdisjoint(mutant.lines):
        found = [run for run in trace.runs if _enters(run, _users_of(mutant.constant))] or found
        others = [run for run in trace.runs if run not in found]
    return [*sorted(found, key=killers.rank), *sorted(others, key=killers.rank)]


def _enters_folder(run: TestRun, file: Path) -> bool:
    """Return True for a test that reaches a module beside a file of statements."""
    return any(Path(name).is_relative_to(file.parents[1]) for name in run.lines)


def _enters(run: TestRun, places: Mapping[str, Collection[int]]) -> bool:
    return any(not run.lines.get(file, set()).isdisjoint(lines) for file, lines in places.items())


@functools.cache
def _users_of(name: str) -> dict[str, set[int]]:
    """Return the lines of the package, by file, in which a name stands."""
    found: dict[str, set[int]] = {}
    for file in (ROOT / "wrangler_py").rglob("*.py") if name else ():
        lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if numbers := {number for number, line in lines if name in line}:
            found[str(file)] = numbers
    return found


if __name__ == "__main__":
    main()
