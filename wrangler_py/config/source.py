"""One configuration file, parsed: its values, and the line and column of each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tomli

from wrangler_py.config.diagnostics import Diagnostic, Diagnostics, Severity
from wrangler_py.config.jsonc import SyntaxProblem, read_jsonc
from wrangler_py.config.toml_places import find_places

KeyPath = tuple[str | int, ...]
_TOML_PLACE = re.compile(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$")


class Source:
    """A parsed file; problems are reported at the place of a key."""

    def __init__(self, path: Path, text: str, diagnostics: Diagnostics) -> None:
        self.path = path
        self.diagnostics = diagnostics
        self.data: dict[str, Any] = {}
        self._text = text
        self._places: dict[KeyPath, int] = {}

    def report(self, severity: Severity, key: KeyPath, message: str, hint: str | None = None) -> None:
        """Add a problem at ``key``, or at the nearest key around it that has a place."""
        line, column = self._place(key)
        self.diagnostics.items.append(Diagnostic(severity, message, self.path, line, column, hint))

    def error(self, key: KeyPath, message: str, hint: str | None = None) -> None:
        """Add an error at ``key``."""
        self.report("error", key, message, hint)

    def warn(self, key: KeyPath, message: str, hint: str | None = None) -> None:
        """Add a warning at ``key``."""
        self.report("warning", key, message, hint)

    def _place(self, key: KeyPath) -> tuple[int, int]:
        while key:
            if key in self._places:
                return self._line_and_column(self._places[key])
            key = key[:-1]
        return 0, 0

    def _line_and_column(self, offset: int) -> tuple[int, int]:
        before = self._text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1

    def _add_at(self, message: str, line: int, column: int) -> None:
        self.diagnostics.items.append(Diagnostic("error", message, self.path, line, column))

    def parse(self) -> bool:
        """Read the text; False, with an error reported, if it is not of its format."""
        return self._parse_toml() if self.path.suffix == ".toml" else self._parse_json()

    def _parse_toml(self) -> bool:
        try:
            self.data = tomli.loads(self._text)
        except tomli.TOMLDecodeError as error:
            match = _TOML_PLACE.match(str(error))
            message = match[1] if match else str(error)
            line, column = (int(match[2]), int(match[3])) if match and match[2] else self._line_and_column(len(self._text))
            self._add_at(f"this is not valid TOML: {message}", line, column)
            return False
        self._places = find_places(self._text)
        return True

    def _parse_json(self) -> bool:
        try:
            value, self._places = read_jsonc(self._text)
        except SyntaxProblem as problem:
            self._add_at(f"this is not valid JSON: {problem}", *self._line_and_column(problem.offset))
            return False
        if not isinstance(value, dict):
            self._add_at("the configuration must be an object", 1, 1)
            return False
        self.data = value
        return True


def open_source(path: Path, diagnostics: Diagnostics) -> Source | None:
    """Read and parse a file; None, with an error reported, if that fails."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        diagnostics.items.append(Diagnostic("error", f"the file is not UTF-8: byte {error.start} is not", path))
        return None
    except OSError as error:
        diagnostics.items.append(Diagnostic("error", f"the file cannot be read: {error.strerror}", path))
        return None
    source = Source(path, text.replace("\r\n", "\n"), diagnostics)
    return source if source.parse() else None
