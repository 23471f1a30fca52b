"""One configuration file, parsed: its values, and the line and column of each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tomli

from wrangler_py.config.diagnostics import Diagnostics, Severity
from wrangler_py.config.jsonc import MalformedError, read_jsonc
from wrangler_py.config.positions import NOWHERE, KeyPath, Position, is_too_deep, position, walk
from wrangler_py.config.toml_places import find_places

_LONG_NUMBER = re.compile(r"(?<![0-9_])[0-9_]{1000,}")
NOTHING = "nothing is configured here: a Worker needs at least main, the path of its Python file"
TOO_DEEP = "tables and lists are nested too deep"
#: What a signed integer of 64 bits holds: all that TOML promises, and what can be stored.
_INTEGERS = range(-(2**63), 2**63)


class Source:
    """A parsed file; problems are reported at the place of a key."""

    def __init__(self, path: Path, text: str, diagnostics: Diagnostics) -> None:
        self.path = path
        self.diagnostics = diagnostics
        self.data: dict[str, Any] = {}
        self._text = text
        self._places: dict[KeyPath, int] = {}

    @property
    def is_toml(self) -> bool:
        """True if tables are written in brackets."""
        return self.path.suffix == ".toml"

    def report(self, severity: Severity, key: KeyPath, message: str, hint: str | None = None) -> None:
        """Add a problem at ``key``, or at the nearest key around it that has a place."""
        self.diagnostics.add(severity, message, self.path, self._place(key), hint)

    def error(self, key: KeyPath, message: str, hint: str | None = None) -> None:
        """Add an error at ``key``."""
        self.report("error", key, message, hint)

    def warn(self, key: KeyPath, message: str, hint: str | None = None) -> None:
        """Add a warning at ``key``."""
        self.report("warning", key, message, hint)

    def parse(self) -> bool:
        """Read the text; False, with an error reported, if it cannot be used at all."""
        try:
            self.data, self._places = _read_toml(self._text) if self.is_toml else _read_json(self._text)
        except MalformedError as problem:
            self.diagnostics.add("error", str(problem), self.path, position(self._text, problem.offset))
            return False
        self._check_values()
        return True

    def _place(self, key: KeyPath) -> Position:
        while key and key not in self._places:
            key = key[:-1]
        return position(self._text, self._places[key]) if key else NOWHERE

    def _check_values(self) -> None:
        """Report what no later code could store or send, wherever it stands."""
        for path, value in walk(self.data):
            if isinstance(value, int) and value not in _INTEGERS:
                self.error(path, f'the number of "{path[-1]}" does not fit into 64 bits')
            elif _is_half(value) or (path and _is_half(path[-1])):
                self.error(path, "half a character stands here: \\ud800 to \\udfff come in pairs")


def _read_toml(text: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    data = _toml_values(text)
    if not data:
        raise MalformedError(NOTHING, 0)
    if is_too_deep(data):
        raise MalformedError(TOO_DEEP, 0)
    return data, find_places(text)


def _toml_values(text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise MalformedError(f"this is not valid TOML: {error.msg}", error.pos) from None
    except RecursionError:
        raise MalformedError(TOO_DEEP, 0) from None
    except ValueError:  # Python refuses to read whole numbers of thousands of digits.
        match = _LONG_NUMBER.search(text)
        raise MalformedError("a number is too long here", match.start() if match else 0) from None


def _read_json(text: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    try:
        value, places = read_jsonc(text)
    except MalformedError as problem:
        raise MalformedError(f"this is not valid JSON: {problem}", problem.offset) from None
    if not isinstance(value, dict):
        raise MalformedError("the configuration must be an object", 0)
    if not value:
        raise MalformedError(NOTHING, 0)
    return value, places


def _is_half(value: Any) -> bool:
    """Return True if a text has half of a surrogate pair: JSON can spell it, UTF-8 cannot."""
    return isinstance(value, str) and any("\ud800" <= one <= "\udfff" for one in value)


def open_source(path: Path, diagnostics: Diagnostics) -> Source | None:
    """Read and parse a file; None, with an error reported, if that fails."""
    text = read_text(path, diagnostics)
    if text is None:
        return None
    source = Source(path, text, diagnostics)
    return source if source.parse() else None


def read_text(path: Path, diagnostics: Diagnostics) -> str | None:
    """Return a text, its lines ended by ``\\n``; None, with an error reported against the file, if that fails."""
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8-sig")
        message = f"the file is not UTF-8: byte {error.object[error.start]:#04x} cannot be read"
        diagnostics.add("error", message, path, position(before, len(before)))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        diagnostics.add("error", f"the file cannot be read: {reason}", path)
    return None
