"""``python -m tests.mutation FILE ...``: the share of faults that a test notices, and those that none does."""

from __future__ import annotations

import argparse
import ast
import functools
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

# Loaded before the forks, which then have them for nothing. Nothing of `wrangler_py`: a fork loads it with a fault.
import httpx  # noqa: F401
import hypothesis  # noqa: F401
import msgspec  # noqa: F401
import schemathesis.pytest.plugin  # noqa: F401

from tests.mutation.mutants import Mutant, functions_of, mutants_of, sql_mutants_of
from tests.mutation.runs import ROOT, TestRun, is_noticed, trace

ACCEPTED = Path(__file__).parent / "accepted.txt"
#: Tests of a folder, where they do not lie in the folder of the same name.
TESTS = {
    "wrangler_py/engine": ["tests/engine"],
    "wrangler_py/storage/sqlite": ["tests/storage/test_store.py", "tests/storage/test_schema.py", "tests/engine"],
    "wrangler_py/storage/queues": ["tests/storage/test_queues.py", "tests/bindings/queues"],
    "wrangler_py/storage/cron": ["tests/bindings/test_cron.py", "tests/runtime/test_host_cron.py"],
    "wrangler_py/storage/durable": ["tests/bindings/durable"],
    "wrangler_py/storage/kv": ["tests/bindings/test_kv.py", "tests/cli/commands/test_kv.py"],
    "wrangler_py/storage/r2": ["tests/bindings/r2"],
    "wrangler_py/storage/deployments": ["tests/storage/deployments"],
    "wrangler_py/storage": ["tests/storage", "tests/engine/test_retention.py", "tests/bindings/test_kv.py"],
    "wrangler_py/server": ["tests/server"],
}  # fmt: skip


def main() -> None:
    """Read the command line and report on each file."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tests", nargs="+", help="instead of those of the file's folder")
    parser.add_argument(
        "--results", type=Path, help="a folder to keep results in; what stands there is not run again"
    )
    asked = parser.parse_args()
    for file in asked.files:
        _report(file.resolve(), tuple(asked.tests or _tests_of(file)), asked.results)


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


_trace = functools.cache(trace)


def _report(file: Path, tests: tuple[str, ...], results: Path | None) -> None:
    name = file.relative_to(ROOT).as_posix()
    source = file.read_text(encoding="utf-8")
    mutants = list(mutants_of(source) if file.suffix == ".py" else sql_mutants_of(source))
    kept = None if results is None else results / (name.replace("/", ".") + ".json")
    known = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    accepted, survivors = _accepted(name), []
    for mutant in mutants:
        if mutant.key not in known and mutant.key not in accepted:
            known[mutant.key] = is_noticed(file, mutant.source, _reaching(mutant, _trace(tests), file))
            if kept is not None:
                kept.write_text(json.dumps(known, indent=0))
        if mutant.key not in accepted and not known[mutant.key]:
            survivors.append(mutant)
            print(f"  {name}:{mutant.line}  {mutant.key}", flush=True)
    counted = len(mutants) - sum(mutant.key in accepted for mutant in mutants)
    share = 100 * (counted - len(survivors)) / max(1, counted)
    print(
        f"{name}: {counted - len(survivors)} of {counted} noticed ({share:.0f} %), {len(accepted)} accepted",
        flush=True,
    )


def _reaching(mutant: Mutant, runs: list[TestRun], file: Path) -> list[TestRun]:
    """Return the tests that enter the function of a fault, quickest first.

    At module level those that enter a function with the constant's name come first, then all others.
    """
    places = {str(file): {mutant.where}} if mutant.where else _users_of(mutant.constant)
    found = [run for run in runs if _enters(run, places)]
    others = [] if found and mutant.where else [run for run in runs if run not in found]
    return [*sorted(found, key=_seconds), *sorted(others, key=_seconds)]


def _seconds(run: TestRun) -> float:
    return run.seconds


def _enters(run: TestRun, places: Mapping[str, Collection[str]]) -> bool:
    return any(
        entered == where or entered.startswith(where + ".")
        for file, wanted in places.items()
        for entered in run.functions.get(file, ())
        for where in wanted
    )


@functools.cache
def _users_of(constant: str) -> dict[str, set[str]]:
    """Return the functions of the package, by file, in which a name stands."""
    found: dict[str, set[str]] = {}
    for file in (ROOT / "wrangler_py").rglob("*.py") if constant else ():
        text = file.read_text(encoding="utf-8")
        if constant in text:
            names = {where for where, node in functions_of(text) if constant in ast.unparse(node)}
            found[str(file)] = names
    return found


if __name__ == "__main__":
    main()
