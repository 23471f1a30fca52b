"""What the supervisor of a `pywrangler serve` says: lines for people, or objects for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from wrangler_py.runtime.options import LogLevel
from wrangler_py.runtime.screen import Screen

if TYPE_CHECKING:
    from wrangler_py.runtime.channel import Problem
    from wrangler_py.runtime.options import ServeOptions


class Journal:
    """Writes what happens to processes and deployments."""

    def __init__(self, options: ServeOptions) -> None:
        self._level, self._is_json = options.log_level, options.log_format == "json"
        self._screen = Screen(options.log_level)
        self.colour = self._screen.colour and not self._is_json

    def say(self, event: str, message: str, *, script: str = "", version: str = "") -> None:
        """Tell something that is as it should be."""
        if self._is_json:
            self._record(LogLevel.LOG, event, message, script, version)
        else:
            self._screen.say(f"⎔ {_of(script, version)}{message}")

    def warn(
        self,
        event: str,
        message: str,
        *,
        script: str = "",
        version: str = "",
        culprit: Mapping[str, str | int] | None = None,
    ) -> None:
        """Log something that somebody should look at. ``culprit``: fields that say which instance it is about."""
        if self._is_json:
            self._record(LogLevel.WARN, event, message, script, version, culprit=culprit)
        else:
            self._screen.warn(f"{_of(script, version)}{message}")

    def problem(self, problem: Problem, *, script: str = "", version: str = "") -> None:
        """Show why a version cannot run."""
        if self._is_json:
            message = "\n".join(filter(None, (problem.message, problem.hint, problem.traceback)))
            self._record(LogLevel.ERROR, "problem", message, script, version)
        else:
            self._screen.problem(problem, _of(script, version).rstrip(": ") or None)

    def _record(
        self,
        level: LogLevel,
        event: str,
        message: str,
        script: str,
        version: str,
        *,
        culprit: Mapping[str, str | int] | None = None,
    ) -> None:
        from wrangler_py.runtime.jsonlog import json_line

        if self._level.shows(level):
            line = json_line(level, event, message, {"script": script, "version": version, **(culprit or {})})
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _of(script: str, version: str) -> str:
    return " ".join(filter(None, (script, version[:8]))) + ": " if script else ""
