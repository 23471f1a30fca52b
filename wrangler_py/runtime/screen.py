"""What the supervisor says: the banner, reloads, mistakes. Workers print their own lines (`output`, `logs`)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from wrangler_py import __version__
from wrangler_py.runtime.channel import BindingLine, Problem
from wrangler_py.runtime.options import LogLevel
from wrangler_py.runtime.style import Style, paint, wants_colour

KEYS = (("b", "open a browser"), ("c", "clear the console"), ("x", "exit"))
#: Erase the screen and what has scrolled off it.
CLEAR = "\x1b[2J\x1b[3J\x1b[H"
DURABILITY = "synchronous=NORMAL: survives kill -9, not power loss"
#: Names of files told of one save.
NAMED = 3


class Screen:
    """Writes whole lines, as loud as ``level`` allows. The banner and mistakes at start are always shown.

    With ``worker``, the name of one of several Workers, it speaks of that one.
    """

    def __init__(
        self, level: LogLevel = LogLevel.LOG, stream: TextIO | None = None, *, worker: str = ""
    ) -> None:
        self.stream = stream or sys.stdout
        self._level, self._worker = level, worker
        self.colour = wants_colour(self.stream)

    def of(self, worker: str) -> Screen:
        """Return the same screen for what is said of one of several Workers."""
        return Screen(self._level, self.stream, worker=worker)

    def title(self) -> None:
        """Say who speaks."""
        self._line(f"⎔ pywrangler {__version__}", Style.BOLD)

    def state(self, state_dir: Path) -> None:
        """Say where the state is kept."""
        self._line(f"⎔ State in {shown(state_dir)}, {DURABILITY}")

    def bindings(self, bindings: Sequence[BindingLine]) -> None:
        """List what the Worker's ``env`` holds."""
        who = f"Worker {self._worker}" if self._worker else "Your Worker"
        if not bindings:
            self._line(f"{who} has no bindings.")
            return
        self._line(f"{who} has access to the following bindings:")
        names = [
            f"env.{binding.name}{f' ({binding.detail})' if binding.detail else ''}" for binding in bindings
        ]
        width = max(map(len, [*names, "Binding"]))
        self._line(f"  {'Binding':<{width}}   Resource", Style.DIM)
        for name, binding in zip(names, bindings, strict=True):
            self._line(f"  {name:<{width}}   {binding.kind}")

    def ready(self, url: str) -> None:
        """Say where the Worker listens."""
        which = f" ({self._worker})" if self._worker else ""
        self._line(f"⎔ Ready on {paint(url, Style.BOLD, Style.CYAN, colour=self.colour)}{which}")

    def keys(self) -> None:
        """Say which keys do something."""
        self._line("  ".join(f"[{key}] {what}" for key, what in KEYS), Style.DIM)

    def reloaded(self, files: Iterable[Path], root: Path, seconds: float) -> None:
        """Say that new code answers from now on."""
        self.say(f"⎔ Reloaded {_list(files, root)} in {seconds * 1000:.0f} ms")

    def say(self, text: str) -> None:
        """Tell something of no consequence."""
        if self._level.shows(LogLevel.LOG):
            self._of_worker(text)

    def warn(self, text: str) -> None:
        """Tell something the user may want to change."""
        if self._level.shows(LogLevel.WARN):
            self._of_worker(f"{paint('▲ [WARNING]', Style.BOLD, Style.YELLOW, colour=self.colour)} {text}")

    def diagnostics(self, text: str) -> None:
        """Show what the configuration says that it should not."""
        if self._level.shows(LogLevel.WARN):
            self._of_worker(text, Style.YELLOW)

    def problem(self, problem: Problem, consequence: str | None = None) -> None:
        """Show a mistake: the user's frames, what happened, what to do, and what goes on meanwhile."""
        if not self._level.shows(LogLevel.ERROR):
            return
        if problem.traceback:
            self._of_worker(problem.traceback.rstrip())
        self._of_worker(f"{paint('✘ [ERROR]', Style.BOLD, Style.RED, colour=self.colour)} {problem.message}")
        for line in filter(None, (problem.hint, consequence)):
            self._of_worker(f"  {line}", Style.DIM)

    def clear(self) -> None:
        """Empty the terminal."""
        self.stream.write(CLEAR)
        self.stream.flush()

    def _of_worker(self, text: str, *styles: Style) -> None:
        if not self._worker:
            self._line(text, *styles)
            return
        label = paint(f"[{self._worker}]", Style.DIM, colour=self.colour)
        for line in text.split("\n"):
            self._line(f"{label} {paint(line, *styles, colour=self.colour)}")

    def _line(self, text: str, *styles: Style) -> None:
        try:
            self.stream.write(paint(text, *styles, colour=self.colour) + "\n")
            self.stream.flush()
        except OSError:
            # Nobody reads any more: the terminal was closed, or the pipe. The session ends by a signal, not by this.
            return


def shown(path: Path) -> str:
    """Return a path as it is shortest: relative to the current folder if it is inside."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _list(files: Iterable[Path], root: Path) -> str:
    names = sorted(str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in files)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"({', '.join(names[:NAMED])}{more} changed)"
