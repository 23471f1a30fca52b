"""A session's log for programs: one JSON object a line, with the fields that people read off the text.

Each line has ``time`` (ISO 8601, UTC), ``level``, ``event`` and ``message``; where they apply, ``script``, ``version``,
``workflow``, ``instance``, ``step`` and ``attempt``. Nothing is left out for being too much: a program reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TextIO

import msgspec

from wrangler_py.clock import SystemClock, iso
from wrangler_py.engine import Observation
from wrangler_py.engine.instance.place import StepPlace
from wrangler_py.runtime.events import describe, level_of
from wrangler_py.runtime.logs import SessionLog, is_told, status_line
from wrangler_py.runtime.options import LogLevel
from wrangler_py.runtime.output import Console, UserStream, current_place, shown_step
from wrangler_py.serde import valid

_clock = SystemClock()


def json_line(level: LogLevel, event: str, message: str, fields: Mapping[str, Any]) -> str:
    """Return one line, without its end; fields that are empty are left out."""
    given = {key: _valid(value) for key, value in fields.items() if value not in (None, "")}
    head = {"time": iso(_clock.now()), "level": level.value, "event": event, "message": valid(message)}
    return msgspec.json.encode(head | given).decode()


def _valid(value: object) -> object:
    return valid(value) if isinstance(value, str) else value


class JsonConsole(Console):
    """Both streams of a process, every line an object; ``fields`` say whose process it is."""

    def __init__(self, out: TextIO, err: TextIO, fields: Mapping[str, Any]) -> None:
        super().__init__(out, err)
        self._fields = fields

    def record(self, level: LogLevel, event: str, message: str, **fields: Any) -> None:
        """Write a line."""
        super().line(json_line(level, event, message, {**self._fields, **fields}))

    def line(self, text: str) -> None:
        """Write a line of pywrangler that is no event."""
        self.record(LogLevel.LOG, "message", text)

    def install(self) -> None:
        """Make lines of what user code prints, too."""
        sys.stdout = JsonStream(self, self.out, LogLevel.LOG)
        sys.stderr = JsonStream(self, self.err, LogLevel.ERROR)


class JsonStream(UserStream):
    """A stream of user code: every line it prints is an object that says where it comes from."""

    def __init__(self, console: JsonConsole, stream: TextIO, level: LogLevel) -> None:
        super().__init__(console, stream)
        self._records, self._level = console, level

    def write(self, text: str, /) -> int:
        """Write text; its last, unfinished line waits for its end."""
        self._write_lines(current_place() or StepPlace("", "", ""), text)
        return len(text)

    def _emit(self, place: StepPlace, lines: list[str]) -> None:
        for line in lines:
            self._records.record(
                self._level,
                "print",
                line,
                workflow=place.workflow,
                instance=place.instance_id,
                step=shown_step(place.step),
            )


class JsonLog(SessionLog):
    """Writes what happens as objects."""

    def __init__(self, console: JsonConsole, level: LogLevel) -> None:
        super().__init__(console, level)
        self._records = console

    def saw(self, seen: Observation) -> None:
        """Write the line of an event, if it is one to show."""
        event = seen.event
        if event.type not in self._shown:
            return
        said = describe(seen, self._remember(seen))
        self._records.record(
            level_of(event.type),
            event.type.name.lower(),
            said.text.removeprefix("⎔ ") + self._below(seen, said),
            workflow=seen.workflow,
            instance=seen.instance_id,
            step=shown_step(event.name) if event.name else None,
            attempt=event.attempt or None,
        )

    def request(self, scope: Any, status: int, seconds: float) -> None:
        """Write the line of an answered request."""
        if (level := is_told(scope, status, self._level)) is not None:
            self._records.record(
                level,
                "request",
                status_line(scope, status, seconds),
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(seconds * 1000, 3),
            )

    def _write(self, text: str, level: LogLevel) -> None:
        self._records.record(level, "message", text.removeprefix("⎔ "))
