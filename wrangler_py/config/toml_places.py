"""Where in a TOML text each key stands. `tomli` gives the values; this gives the places.

It only sees texts that `tomli` accepts, so nothing is checked here. What the scanner does not know ends the search,
and what it has not seen is reported at the nearest thing around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import tomli

from wrangler_py.config.positions import KeyPath

_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_BARE_KEY = re.compile(r"[^\s.=\[\]{}\"'#,]+")
_STRING = re.compile(
    r'"{3}(?:\\.|[^\\])*?"{3,5}'
    r"|'{3}.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)


def find_places(text: str) -> dict[KeyPath, int]:
    """Return the offset of each key and list element of a valid TOML text by its path.

    A table that several headers write about stands where it is first named, an element of an array of tables
    at its ``[[``.
    """
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.places


class _Scanner:
    """Walks once over the text."""

    def __init__(self, text: str) -> None:
        self.places: dict[KeyPath, int] = {}
        self._text = text
        self._offset = 0
        self._table: KeyPath = ()
        #: The newest element of each array of tables: later headers speak about that one.
        self._newest: dict[KeyPath, int] = {}

    def scan(self) -> None:
        while self._more():
            if self._at("["):
                self._header()
            else:
                self._pair(self._table)

    def _header(self) -> None:
        start = self._offset
        brackets = 2 if self._at("[[") else 1
        self._offset += brackets
        path = self._declare(())
        self._offset += brackets
        if brackets == 2:
            self._newest[path] = self._newest.get(path, -1) + 1
            self.places[*path, self._newest[path]] = start
        self._table = self._inside(path)

    def _inside(self, path: KeyPath) -> KeyPath:
        """Return the path of the newest element if ``path`` is an array of tables."""
        return (*path, self._newest[path]) if path in self._newest else path

    def _declare(self, path: KeyPath) -> KeyPath:
        """Read a dotted key under ``path`` and return the whole path it names."""
        while True:
            self._take(_SPACE)
            start = self._offset
            path = (*path, self._key())
            self.places.setdefault(path, start)
            self._take(_SPACE)
            if not self._at("."):
                return path
            self._offset += 1
            path = self._inside(path)

    def _key(self) -> str:
        if not self._at('"', "'"):
            return self._take(_BARE_KEY)
        quoted = self._take(_STRING)
        return str(tomli.loads(f"key = {quoted}")["key"])

    def _pair(self, table: KeyPath) -> None:
        path = self._declare(table)
        self._offset += len("=")
        self._take(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._at("["):
            self._items("]", path, self._element)
        elif self._at("{"):
            self._items("}", path, lambda path, _: self._pair(path))
        else:
            self._take(_STRING if self._at('"', "'") else _SCALAR)

    def _items(self, close: str, path: KeyPath, read: Callable[[KeyPath, int], None]) -> None:
        """Read what stands between brackets: elements of a list or pairs of an inline table."""
        self._offset += 1
        index = 0
        while self._more() and not self._at(close):
            read(path, index)
            index += 1
            if self._more() and self._at(","):
                self._offset += 1
        self._offset += 1

    def _element(self, path: KeyPath, index: int) -> None:
        self.places[*path, index] = self._offset
        self._value((*path, index))

    def _more(self) -> bool:
        """Step over blanks, newlines and comments; return whether anything is left."""
        self._take(_BLANK)
        return self._offset < len(self._text)

    def _at(self, *tokens: str) -> bool:
        return self._text.startswith(tokens, self._offset)

    def _take(self, pattern: re.Pattern[str]) -> str:
        """Step over a match and return it; go to the end if there is none, so that every loop ends."""
        match = pattern.match(self._text, self._offset)
        self._offset = match.end() if match else len(self._text)
        return match.group() if match else ""
