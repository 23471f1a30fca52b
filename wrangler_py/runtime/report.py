"""What is told of the code that serves: all of it at first, later what has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from wrangler_py.runtime.channel import Ready
from wrangler_py.runtime.screen import Screen

BROKEN = "Requests are answered with this error until it is mended and saved."
#: Seconds that the banner of several Workers waits for those that load longer than the first.
TOGETHER = 1.0


class Reason:
    """Why code is loaded, and since when."""

    def __init__(self, files: frozenset[Path]) -> None:
        self.files = files
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Return how long it has taken until now."""
        return time.monotonic() - self._began


class Report:
    """Tells the screen of each code of one script that begins to serve, and remembers what was told."""

    def __init__(self, screen: Screen, opening: Opening, url: str, root: Path) -> None:
        self.screen, self.url = screen, url
        self._opening, self._root = opening, root
        self._last: Ready | None = None
        opening.expect(self)

    @property
    def is_empty(self) -> bool:
        """True until something has served."""
        return self._last is None

    @property
    def last(self) -> Ready:
        """Return what serves."""
        assert self._last is not None
        return self._last

    def serves(self, ready: Ready, reason: Reason) -> None:
        """Tell of code that serves from now on."""
        before, self._last = self._last, ready
        if before is None:
            self._opening.serves(self)
            return
        if ready.warnings != before.warnings:
            self.warn()
        if ready.bindings != before.bindings:
            self.screen.bindings(ready.bindings)
        self.complain()
        if reason.files and ready.broken is None:
            self.screen.reloaded(reason.files, self._root, reason.seconds)

    def fails(self) -> None:
        """Take note that nothing will serve for now; the others of the session need not wait."""
        self._opening.lacks(self)

    def warn(self) -> None:
        """Show what the configuration says that it should not."""
        if self.last.warnings:
            self.screen.diagnostics(self.last.warnings)

    def complain(self) -> None:
        """Show why the code that serves is broken, if it is."""
        if self.last.broken is not None:
            self.screen.problem(self.last.broken, BROKEN)


class Opening:
    """The first words of a session, said once: when all its Workers serve, or those that do have waited a moment.

    ``open_keyboard`` is called then, and says whether there are keys.
    """

    def __init__(self, screen: Screen, state_dir: Path, open_keyboard: Callable[[], bool]) -> None:
        self._screen, self._state_dir, self._open_keyboard = screen, state_dir, open_keyboard
        self._all: list[Report] = []
        self._awaited: set[Report] = set()
        self._timer: asyncio.TimerHandle | None = None
        #: True when it has been said.
        self.is_over = False

    def expect(self, report: Report) -> None:
        """There is another Worker to wait for."""
        self._all.append(report)
        self._awaited.add(report)

    def serves(self, report: Report) -> None:
        """A Worker serves for the first time."""
        if self.is_over:
            self._say_late(report)
        else:
            self._settle(report)

    def lacks(self, report: Report) -> None:
        """Wait for this Worker no longer."""
        if not self.is_over:
            self._settle(report)

    def _settle(self, report: Report) -> None:
        self._awaited.discard(report)
        if all(one.is_empty for one in self._all):
            return
        if not self._awaited:
            self._say()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TOGETHER, self._say)

    def _say(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        serving = [report for report in self._all if not report.is_empty]
        for report in serving:
            report.warn()
        self._screen.title()
        for report in serving:
            report.screen.bindings(report.last.bindings)
        self._screen.state(self._state_dir)
        for report in serving:
            report.complain()
        for report in serving:
            report.screen.ready(report.url)
        if self._open_keyboard():
            self._screen.keys()

    def _say_late(self, report: Report) -> None:
        report.warn()
        report.screen.bindings(report.last.bindings)
        report.complain()
        report.screen.ready(report.url)
