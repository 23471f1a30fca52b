"""What is told of the code that serves: all of it at first, later what has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from wrangler_py.runtime.channel import Ready
from wrangler_py.runtime.screen import Screen

BROKEN = "Requests are answered with this error until it is mended and saved."


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
    """Tells the screen of each code that begins to serve, and remembers what was told."""

    def __init__(
        self, screen: Screen, url: str, state_dir: Path, root: Path, open_keyboard: Callable[[], bool]
    ) -> None:
        self._screen, self._url, self._state_dir, self._root = screen, url, state_dir, root
        #: Called once, when something serves; says whether there are keys.
        self._open_keyboard = open_keyboard
        self._last: Ready | None = None

    @property
    def is_empty(self) -> bool:
        """True until something has served."""
        return self._last is None

    def serves(self, ready: Ready, reason: Reason) -> None:
        """Tell of code that serves from now on."""
        before, self._last = self._last, ready
        if ready.warnings and (before is None or ready.warnings != before.warnings):
            self._screen.diagnostics(ready.warnings)
        if before is None:
            self._screen.banner(ready.bindings, self._state_dir)
        elif before.bindings != ready.bindings:
            self._screen.bindings(ready.bindings)
        if ready.broken is not None:
            self._screen.problem(ready.broken, BROKEN)
        if before is None:
            self._screen.ready(self._url, keys=self._open_keyboard())
        elif reason.files and ready.broken is None:
            self._screen.reloaded(reason.files, self._root, reason.seconds)
