"""Runs tests against one fault at a time, each run in a forked process.

A session collects the tests once. For each fault it forks, puts the fault into the functions that are loaded and runs
the tests that reach the line, up to the first that fails. A fault in what runs at import needs a process that loads the
package anew.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import itertools
import mmap
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
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

from tests.mutation.fault import Functions, change_sql, load_instead

ROOT = Path(__file__).parents[2]
_PACKAGE = str(ROOT / "wrangler_py")
#: Allowance of a test beyond a multiple of its time without a fault: seconds of processor time, and
#: seconds. The machine may have other work to do, so no much shorter time says anything.
TIMES, CPU_S, WALL_S = 5, 3, 10
#: Seconds after which a run that waits and does nothing has hung.
HUNG_S = 10
#: How often a function is looked at within a test; a test that enters it more often is taken to reach all its lines.
LOOKS = 300
#: Bytes a run may take: a fault may fill a list for ever.
MEMORY = 4 << 30
#: One folder for all runs: pytest keeps those it makes by itself, and a fork never tidies up.
_FOLDER = tempfile.TemporaryDirectory(prefix="mutation-")
_OPTIONS = [
    "-q", "-x", "--no-header", "-p", "no:cacheprovider", f"--basetemp={_FOLDER.name}/tests",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
]  # fmt: skip
#: The number of the test that runs, told by a fork to its parent.
_at = mmap.mmap(-1, 8)


class TestRun(NamedTuple):
    """One test without a fault: its seconds of processor time, its seconds, and the lines it reached, by file."""

    name: str
    seconds: float
    wall_s: float
    lines: dict[str, set[int]]


class Trace(NamedTuple):
    """The lines that tests reach without a fault, and those, by file, that run when the package is loaded."""

    runs: list[TestRun]
    at_import: dict[str, set[int]]


class Death(Exception):
    """A forked process that ended, hung or used too much time before it answered."""


def fork(work: Callable[[], Any]) -> Any:
    """Return what ``work`` returns in a forked process; raise Death if it dies or hangs."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _in_child(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read() if _answers(reader, child) else b""
    with suppress(ProcessLookupError):  # Processes that a fault left running end as well.
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if not data:
        raise Death
    return pickle.loads(data)


def _answers(reader: int, child: int) -> bool:
    """Wait until a child writes or ends; False if it hangs."""
    used, since = _use(child), time.monotonic()
    while not select.select([reader], [], [], 0.5)[0]:
        if "R" in (now := _use(child)) or now != used:
            used, since = now, time.monotonic()
        elif time.monotonic() - since > HUNG_S:
            return False
    return True


def _use(process: int) -> list[str]:
    """Return a process's state, R if it runs or would, and the processor time it used."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [fields[0], *fields[11:15]]


def _in_child(work: Callable[[], Any], writer: int) -> None:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
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


class _Lines:
    """The lines of the package that run, by file."""

    def __init__(self) -> None:
        self.reached, self._calls = defaultdict[str, set[int]](set), Counter[object]()

    def clear(self) -> None:
        self.reached, self._calls = defaultdict(set), Counter()

    def call(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            return None
        self._calls[code] += 1
        if self._calls[code] > LOOKS:
            if self._calls[code] == LOOKS + 1:
                self.reached[code.co_filename] |= {line for *_, line in code.co_lines() if line}
            return None
        reached = self.reached[code.co_filename]

        def line(frame: FrameType, event: str, arg: object) -> Callable[..., Any]:
            reached.add(frame.f_lineno)
            return line

        return line


class _Tracer:
    """A pytest plugin that records which lines of the package each test reaches."""

    def __init__(self) -> None:
        self._lines, self.runs, self.failed = _Lines(), list[TestRun](), list[str]()
        self._began = (0.0, 0.0)
        threading.settrace(self._lines.call)
        sys.settrace(self._lines.call)

    def pytest_runtest_logstart(self) -> None:
        self._lines.clear()
        self._began = time.process_time(), time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        seconds, wall_s = time.process_time() - self._began[0], time.monotonic() - self._began[1]
        self.runs.append(TestRun(nodeid, seconds, wall_s, dict(self._lines.reached)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


# with a fault ---------------------------------------------------------------------------------------------------------


class Session:
    """Tests that were collected once, in a process of their own, and run against one fault after another."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._tests = tests
        self._here, there = Pipe()
        if not os.fork():
            self._here.close()
            try:
                _collect(tests, there)
            finally:
                os._exit(0)
        there.close()

    def trace(self, kept: Path | None) -> Trace:
        """Run all tests without a fault; raise RuntimeError if one fails.

        ``kept``: a folder; tests of a file that were run before, with the same package, are not run again.
        """
        self._here.send(kept)
        trace: Trace
        trace, failed = self._here.recv()
        if failed or not trace.runs:
            raise RuntimeError(f"{self._tests} do not pass: {failed}")
        return trace

    def noticed_by(self, path: Path, source: str, tests: Sequence[TestRun]) -> str | None:
        """Return the first test that fails with ``source`` in the place of the file; None if none does."""
        self._here.send((path, source, _bounds(tests)))
        answer: str | None = self._here.recv()
        return answer if answer != _ANEW else _loaded_anew(path, source, tests)


class _Bound(NamedTuple):
    """The limits of one test: seconds of processor time, and seconds."""

    cpu_s: float
    wall_s: float


def _bounds(tests: Sequence[TestRun]) -> dict[str, _Bound]:
    return {test.name: _Bound(TIMES * test.seconds + CPU_S, TIMES * test.wall_s + WALL_S) for test in tests}


#: The answer to a fault that no change of functions makes.
_ANEW = "<anew>"


def _collect(tests: Sequence[str], there: Connection) -> None:
    lines = _Lines()
    sys.settrace(lines.call)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    pytest.main([*_OPTIONS, *tests], plugins=[_Serving(there, lines)])


class _Serving:
    """A pytest plugin that answers requests, each in a fork, where pytest would run the tests."""

    def __init__(self, there: Connection, at_import: _Lines) -> None:
        self._there, self._at_import = there, at_import

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        sys.settrace(None)
        self._items = {item.nodeid: item for item in session.items}
        self._functions = Functions(_PACKAGE)
        gc.freeze()
        with suppress(EOFError):
            while True:
                asked = self._there.recv()
                is_fault = isinstance(asked, tuple)
                self._there.send(self._try(session, *asked) if is_fault else self._trace(session, asked))
        return True

    def _trace(self, session: pytest.Session, kept: Path | None) -> tuple[Trace, list[str]]:
        runs, failed = list[TestRun](), list[str]()
        package = _digest(*sorted(Path(_PACKAGE).rglob("*.py")))
        for file, items in itertools.groupby(session.items, lambda item: item.path):
            before = None if kept is None else kept / f"{package}-{_digest(file)}.trace"
            if before is not None and before.exists():
                runs += pickle.loads(before.read_bytes())
                continue
            found, wrong = fork(functools.partial(_traced, session, list(items)))
            runs += found
            failed += wrong
            if before is not None and not wrong:
                before.write_bytes(pickle.dumps(found))
        return Trace(runs, dict(self._at_import.reached)), failed

    def _try(self, session: pytest.Session, path: Path, source: str, tests: dict[str, _Bound]) -> str | None:
        def work() -> str | None:
            if path.suffix != ".py":
                change_sql(path, source)
            elif not self._functions.change(path, path.read_text(encoding="utf-8"), source):
                return _ANEW
            session.items = [self._items[name] for name in tests]
            session.config.pluginmanager.register(_Bounds(tests))
            for item, following in zip(session.items, [*session.items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    return item.nodeid
            return None

        return _noticed(work, tests)


def _traced(session: pytest.Session, items: list[pytest.Item]) -> tuple[list[TestRun], list[str]]:
    tracer = _Tracer()
    session.config.pluginmanager.register(tracer)
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    return tracer.runs, tracer.failed


def _digest(*files: Path) -> str:
    found = hashlib.sha256()
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


class _Bounds:
    """A pytest plugin that ends this process when a test takes too long, and tells which one runs."""

    def __init__(self, bounds: dict[str, _Bound]) -> None:
        self._bounds, self._number = bounds, -1
        self.failed: str | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # Before the plugin of time limits looks at the test.
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._number += 1
        _at[:] = self._number.to_bytes(8, "big")
        bound = self._bounds[item.nodeid]
        item.add_marker(pytest.mark.timeout(bound.wall_s), append=False)
        signal.setitimer(signal.ITIMER_PROF, bound.cpu_s)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid


def _noticed(work: Callable[[], str | None], tests: dict[str, _Bound]) -> str | None:
    _at[:] = bytes(8)
    try:
        answer: str | None = fork(work)
    except Death:
        return [*tests][int.from_bytes(_at[:], "big")]
    return answer


def _loaded_anew(path: Path, source: str, tests: Sequence[TestRun]) -> str | None:
    bounds = _bounds(tests)

    def work() -> str | None:
        load_instead(ROOT, path, source)
        plugin = _Bounds(bounds)
        code = pytest.main([*_OPTIONS, *bounds], plugins=[plugin])
        return plugin.failed or ("import" if code else None)

    return _noticed(work, bounds)
