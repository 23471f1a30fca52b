"""What is wrong with a configuration, all of it at once, each with its place in the file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from wrangler_py.config.positions import NOWHERE, Position
from wrangler_py.errors import ConfigError

Severity = Literal["error", "warning"]


class Diagnostic(msgspec.Struct, frozen=True):
    """One problem; ``line`` and ``column`` count from 1, 0 where there is no place."""

    severity: Severity
    message: str
    path: Path
    line: int = 0
    column: int = 0
    hint: str | None = None

    def render(self) -> str:
        """Return ``✘ wrangler.toml:7:1  message (hint)``."""
        mark = "✘" if self.severity == "error" else "▲"
        name = printable(self.path.name)
        place = f"{name}:{self.line}:{self.column}" if self.line else name
        hint = f" ({self.hint})" if self.hint else ""
        return f"{mark} {place}  {self.message}{hint}"


class Diagnostics:
    """The problems found while a configuration was read, in the order of the file."""

    def __init__(self) -> None:
        self.items: list[Diagnostic] = []

    def add(
        self,
        severity: Severity,
        message: str,
        path: Path,
        place: Position = NOWHERE,
        hint: str | None = None,
    ) -> None:
        """Note a problem. What a terminal would obey, in words taken from the file, is spelled out."""
        shown = None if hint is None else printable(hint)
        self.items.append(Diagnostic(severity, printable(message), path, place.line, place.column, shown))

    @property
    def errors(self) -> list[Diagnostic]:
        """Those that make the configuration unusable."""
        return [item for item in self.items if item.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        """Those worth knowing."""
        return [item for item in self.items if item.severity == "warning"]

    def sort(self) -> None:
        """Bring the problems into the order of the file."""
        self.items.sort(key=lambda item: (item.line, item.column))

    def render(self) -> str:
        """Return all problems as plain text, one a line."""
        return "\n".join(item.render() for item in self.items)

    def raise_for_errors(self) -> None:
        """Raise ConfigError if there is an error; it tells the warnings too, for they often are the cause."""
        if errors := self.errors:
            count = "1 problem" if len(self.items) == 1 else f"{len(self.items)} problems"
            lines = "\n".join(f"  {item.render()}" for item in self.items)
            name = printable(str(errors[0].path))
            raise ConfigError(f"{name} has {count}:\n{lines}", hint="mend the file and try again")


def printable(text: str) -> str:
    """Return ``text`` with control characters, and all else that has no picture, as escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return ``did you mean "x"?`` for a mistyped word, None if nothing known is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f'did you mean "{close[0]}"?' if close else None
