"""Where in a TOML text each key stands. `tomli` gives the values; this gives the places, for texts that `tomli` accepts."""

from __future__ import annotations

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]
_KEY_PART = re.compile(r"""\s*(?:"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)'|([A-Za-z0-9_-]+))\s*""")
_STRINGS = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'",
    re.DOTALL,
)


def find_places(text: str) -> dict[Path, int]:
    """Return the offset of each key, table and array element of a valid TOML text, by its path."""
    return dict(_Finder(text).places())


class _Finder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.table: Path = ()
        self.arrays: dict[Path, int] = {}

    def places(self) -> Iterator[tuple[Path, int]]:
        while self._skip_blank():
            if self.text[self.at] == "[":
                yield self._header()
            else:
                yield from self._pair(self.table)

    def _skip_blank(self) -> bool:
        """Go to the next thing that is neither blank nor comment; False at the end."""
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif character.isspace() or character == ",":
                self.at += 1
            else:
                return True
        return False

    def _header(self) -> tuple[Path, int]:
        start = self.at
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        path = self._resolve(self._keys(), last_is_array=is_array)
        self.at += 2 if is_array else 1
        self.table = path
        return path, start

    def _resolve(self, keys: list[str], *, last_is_array: bool) -> Path:
        """Turn ``workflows.limits`` into ``("workflows", 1, "limits")``: arrays of tables mean their last element."""
        path: Path = ()
        for index, key in enumerate(keys):
            path = (*path, key)
            if last_is_array and index == len(keys) - 1:
                self.arrays[path] = self.arrays.get(path, -1) + 1
            if path in self.arrays:
                path = (*path, self.arrays[path])
        return path

    def _keys(self) -> list[str]:
        keys = []
        while match := _KEY_PART.match(self.text, self.at):
            keys.append(next(part for part in match.groups() if part is not None))
            self.at = match.end()
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        return keys

    def _pair(self, table: Path) -> Iterator[tuple[Path, int]]:
        start = self.at
        keys = self._keys()
        if not keys or not self.text.startswith("=", self.at):
            self.at += 1
            return
        self.at += 1
        path = table
        for key in keys:
            path = (*path, key)
            yield path, start
        yield from self._value(path)

    def _value(self, path: Path) -> Iterator[tuple[Path, int]]:
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        first = self.text[self.at : self.at + 1]
        if first == "{":
            yield from self._inline_table(path)
        elif first == "[":
            yield from self._array(path)
        elif match := _STRINGS.match(self.text, self.at):
            self.at = match.end()
        else:
            while self.at < len(self.text) and self.text[self.at] not in ",]}\n#":
                self.at += 1

    def _inline_table(self, path: Path) -> Iterator[tuple[Path, int]]:
        self.at += 1
        while self._skip_blank() and self.text[self.at] != "}":
            yield from self._pair(path)
        self.at += 1

    def _array(self, path: Path) -> Iterator[tuple[Path, int]]:
        self.at += 1
        index = 0
        while self._skip_blank() and self.text[self.at] != "]":
            yield (*path, index), self.at
            yield from self._value((*path, index))
            index += 1
        self.at += 1
