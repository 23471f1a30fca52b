"""Tables of a configuration, read key by key; what is wrong is reported at its place and read as absent."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, time
from typing import Any

from wrangler_py.config.diagnostics import suggest
from wrangler_py.config.positions import KeyPath
from wrangler_py.config.source import Source

#: Returns what is wrong with a text, in words that follow the text itself, or None.
Check = Callable[[str], str | None]


class Table:
    """One table (TOML) or object (JSON).

    ``at`` is where it stands in the document. A merged environment has keys from two places: ``origins`` names, for a
    key, the table it came from if that is not ``at``.
    """

    def __init__(
        self,
        source: Source,
        data: Mapping[str, Any],
        at: KeyPath,
        origins: Mapping[str, KeyPath] | None = None,
    ) -> None:
        self.source = source
        self.data = data
        self.at = at
        self._origins = origins or {}

    @property
    def title(self) -> str:
        """How messages call the table: ``[[workflows]]``, ``[env.staging.vars]``; ``workflows`` in JSON."""
        names = ".".join(part for part in self.at if isinstance(part, str)) or "the top level"
        if not self.at or not self.source.is_toml:
            return names
        return f"[[{names}]]" if isinstance(self.at[-1], int) else f"[{names}]"

    def path(self, key: str) -> KeyPath:
        """Return where ``key`` stands in the document."""
        return (*self._origins.get(key, self.at), key)

    def has(self, key: str) -> bool:
        """Return True if there is a value; JSON's null is none."""
        return self.data.get(key) is not None

    def override(self, values: Mapping[str, Any]) -> None:
        """Put ``values`` over those that are there; a list is added to the list that is there."""
        self.data = _both(dict(self.data), dict(values))

    def error(self, key: str, message: str, hint: str | None = None) -> None:
        """Report an error at ``key``."""
        self.source.error(self.path(key), message, hint)

    def text(self, key: str, check: Check | None = None) -> str | None:
        """Return a string that ``check`` finds nothing wrong with."""
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self._wrong(key, "must be a string")
            return None
        complaint = check(value) if check else None
        if complaint is not None:
            self.error(key, f"{key} {quoted(value)} {complaint}")
            return None
        return value

    def required_text(self, key: str, check: Check, known: Collection[str]) -> str | None:
        """Return a string that must be there; a similar key that is not in ``known`` counts as its misspelling."""
        if not self.has(key):
            self._missing(key, known)
        return self.text(key, check)

    def whole(self, key: str, low: int, high: int) -> int | None:
        """Return a whole number from ``low`` to ``high``."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._wrong(key, f"must be a whole number from {low} to {high}")
            return None
        return value

    def flag(self, key: str) -> bool:
        """Return true or false; false if there is none."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            self._wrong(key, "must be true or false")
        return value is True

    def texts(self, key: str, check: Check | None = None, *, or_one: bool = False) -> tuple[str, ...]:
        """Return a list of strings; with ``or_one`` a single string counts as a list of itself."""
        value = self.data.get(key)
        if value is None:
            return ()
        if or_one and isinstance(value, str):
            return () if self.text(key, check) is None else (value,)
        if not isinstance(value, list):
            self._wrong(key, f"must be {'a string or ' if or_one else ''}a list of strings")
            return ()
        return tuple(item for index, item in enumerate(value) if self._is_right(key, index, item, check))

    def _is_right(self, key: str, index: int, item: object, check: Check | None) -> bool:
        complaint = check(item) if check and isinstance(item, str) else None
        if not isinstance(item, str):
            complaint = "is not a string"
        if complaint is not None:
            self.source.error((*self.path(key), index), f"{shown(item)} in {key} {complaint}")
        return complaint is None

    def table(self, key: str) -> Table:
        """Return the table at ``key``, an empty one if there is none."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, dict):
            self._wrong(key, "must be a table" if self.source.is_toml else "must be an object")
        return Table(self.source, value if isinstance(value, dict) else {}, self.path(key))

    def tables(self, key: str) -> Iterator[Table]:
        """Yield the tables of the list at ``key``."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, list):
            what = f"tables, [[{key}]]" if self.source.is_toml else "objects"
            self._wrong(key, f"must be a list of {what}")
            return
        for index, item in enumerate(value or ()):
            path = (*self.path(key), index)
            if isinstance(item, dict):
                yield Table(self.source, item, path)
            else:
                self.source.error(path, f"{shown(item)} in {key} is not a table")

    def warn_unknown(self, known: Collection[str], silent: Collection[str] = ()) -> None:
        """Warn about every key that is neither used (``known``) nor one that means nothing here."""
        for key in self.data:
            if key not in known and key not in silent:
                hint = suggest(key, (*known, *silent)) or f"there are: {', '.join(known)}"
                self.source.warn(self.path(key), f"unknown key {quoted(key)} in {self.title}", hint)

    def misspelling(self, key: str, known: Collection[str]) -> str | None:
        """Return the key that stands where ``key`` should, if one that is not in ``known`` looks like it."""
        others = [other for other in self.data if other not in known]
        return next(iter(difflib.get_close_matches(key, others, n=1)), None)

    def _missing(self, key: str, known: Collection[str]) -> None:
        if mistyped := self.misspelling(key, known):
            self.error(mistyped, f'"{key}" is missing in {self.title}', f"{quoted(mistyped)} should be {key}")
        else:
            self.source.error(self.at, f'"{key}" is missing in {self.title}')

    def _wrong(self, key: str, rule: str) -> None:
        self.error(key, f"{key} {rule}, not {shown(self.data[key])}")


def _both(present: Any, added: Any) -> Any:
    if isinstance(present, list) and isinstance(added, list):
        return [*present, *added]
    if isinstance(present, dict) and isinstance(added, dict):
        return {**present, **{key: _both(present.get(key), value) for key, value in added.items()}}
    return added


def quoted(text: str, limit: int = 60) -> str:
    """Return ``text`` in double quotes, shortened."""
    whole = json.dumps(text, ensure_ascii=False)
    return whole if len(whole) <= limit else whole[: limit - 2] + '…"'


def shown(value: object) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date | time):
        return f"the date {value.isoformat()}"
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of that size"
    return quoted(value) if isinstance(value, str) else str(value)
