"""Runs tests against one fault at a time, each run in a forked process that has pytest loaded already.

Only tests that enter the function with the fault are run, the quickest first, up to the first that fails.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import pickle
import resource
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
_PACKAGE = str(ROOT / "wrangler_py")
#: Seconds of processor time a run may take beyond five times what the tests took without a fault.
SPARE_S = 10
#: Seconds without any use of the processor after which a run has hung, and that one test may take. The machine may have
#: other work to do, so no shorter time says anything.
HUNG_S, TEST_S = 60, 600
#: Tests that are collected and run before the others are looked at: most faults go no further.
FIRST = 12
#: One folder for all runs: pytest keeps those it makes by itself, and a fork never tidies up.
_FOLDER = tempfile.TemporaryDirectory(prefix="mutation-")
_OPTIONS = [
    "-q", "-x", "--no-header", "-p", "no:cacheprovider", f"--timeout={TEST_S}", f"--basetemp={_FOLDER.name}/tests",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
]  # fmt: skip


class TestRun(NamedTuple):
    """One test without a fault: its processor time in seconds, and the functions it entered, by file."""

    name: str
    seconds: float
    functions: dict[str, set[str]]


def fork(work: Callable[[], Any], *, cpu_s: float) -> Any:
    """Return what ``work`` returns in a forked process; None if it dies, hangs, or uses more processor time."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _in_child(work, writer, cpu_s)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read() if _answers(reader, child) else b""
    _kill_rest(child)
    os.waitpid(child, 0)
    return pickle.loads(data) if data else None


def _answers(reader: int, child: int) -> bool:
    """Wait until a child writes or ends; False if it hangs."""
    used, since = _cpu_ticks(child), time.monotonic()
    while not select.select([reader], [], [], 2)[0]:
        if (now := _cpu_ticks(child)) != used:
            used, since = now, time.monotonic()
        elif time.monotonic() - since > HUNG_S:
            return False
    return True


def _cpu_ticks(process: int) -> str:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return " ".join(fields[11:15])


def _kill_rest(group: int) -> None:
    """End what the tests started and a fault left running."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _in_child(work: Callable[[], Any], writer: int, cpu_s: float) -> None:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (round(cpu_s) + 1, round(cpu_s) + 2))
    quiet = os.open(os.environ.get("MUTATION_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.set_inheritable(writer, False)
    try:
        with os.fdopen(writer, "wb") as stream:
            stream.write(pickle.dumps(work()))
    except BaseException:  # A child of a fork must not go on with the parent's work.
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(0)


# without a fault ------------------------------------------------------------------------------------------------------


class _Trace:
    """A pytest plugin that records which functions of the package each test enters."""

    def __init__(self) -> None:
        self._entered, self.runs = set[CodeType](), list[TestRun]()
        self.failed: list[str] = []
        self._began = 0.0

    def call(self, frame: FrameType, event: str, arg: object) -> None:
        self._entered.add(frame.f_code)

    def pytest_runtest_logstart(self) -> None:
        self._entered.clear()
        self._began = time.process_time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        functions = defaultdict[str, set[str]](set)
        for code in self._entered:
            if code.co_filename.startswith(_PACKAGE):
                functions[code.co_filename].add(code.co_qualname.replace(".<locals>", ""))
        self.runs.append(TestRun(nodeid, time.process_time() - self._began, dict(functions)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def trace(tests: Sequence[str]) -> list[TestRun]:
    """Run tests without a fault; raise RuntimeError if one fails."""

    def work() -> tuple[list[TestRun], list[str]]:
        plugin = _Trace()
        threading.settrace(plugin.call)
        sys.settrace(plugin.call)
        pytest.main([*_OPTIONS, *tests], plugins=[plugin])
        return plugin.runs, plugin.failed

    result = fork(work, cpu_s=3600)
    if result is None or result[1] or not result[0]:
        raise RuntimeError(f"{tests} do not pass: {result and result[1]}")
    runs: list[TestRun] = result[0]
    return runs


# with a fault ---------------------------------------------------------------------------------------------------------


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Loads one module from another text than its file's."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self._module, self._path, self._source = module, path, source

    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._module:
            return None
        is_package = self._path.name == "__init__.py"
        return importlib.util.spec_from_file_location(
            name,
            self._path,
            loader=self,
            submodule_search_locations=[str(self._path.parent)] if is_package else None,
        )

    def get_source(self, fullname: str) -> str:
        return self._source

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def is_package(self, fullname: str) -> bool:
        return self._path.name == "__init__.py"


def _replace(path: Path, source: str) -> None:
    """Make this process read ``source`` where it would read the file."""
    if path.suffix == ".py":
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sys.meta_path.insert(0, _Loader(module, path, source))
        return
    read = Path.read_text
    Path.read_text = lambda self, *args, **more: (  # type: ignore[method-assign]
        source if self == path else read(self, *args, **more)
    )


def is_noticed(path: Path, source: str, tests: Sequence[TestRun]) -> bool:
    """Return True if a test fails, or hangs, with ``source`` in the place of the file."""

    def work() -> bool:
        _replace(path, source)
        names = [test.name for test in tests]
        return any(pytest.main([*_OPTIONS, *part]) for part in (names[:FIRST], names[FIRST:]) if part)

    usual_s = sum(test.seconds for test in tests)
    return bool(fork(work, cpu_s=5 * usual_s + SPARE_S) is not False)
