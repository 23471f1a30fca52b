"""`Headers`: names without case, values joined by commas, cookies apart (Fetch Standard, "Headers class")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from wrangler_py.sdk.web.pairs import MultiMap

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN_IN_VALUE = re.compile(r"[\0\r\n]")
_JOINED_BY = {"cookie": "; "}


class Headers(MultiMap[str]):
    """Lower-case names to text. The values of one name are joined; those of ``set-cookie`` stay apart."""

    def __init__(self, init: HeadersInit | None = None) -> None:
        super().__init__()
        self._pairs = self._joined(_pairs(init))

    def _joined(self, pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
        """Do what `append` would, one by one, in time that does not grow with the square of their number."""
        places: dict[object, list[str]] = {}
        for name, value in pairs:
            key = self._name(name)
            # Each cookie has a place of its own.
            place = (key, len(places)) if key == "set-cookie" else key
            places.setdefault(place, [key]).append(self._value(value))
        return [(key, _JOINED_BY.get(key, ", ").join(values)) for key, *values in places.values()]

    @classmethod
    def new(cls, init: HeadersInit | None = None) -> Headers:
        """Construct, as Pyodide spells it."""
        return cls(init)

    def _name(self, name: object) -> str:
        text = str(name).lower()
        if not _NAME.fullmatch(text):
            raise TypeError(f"Invalid header name: {text!r}")
        return text

    def _value(self, value: Any) -> str:
        text = str(value).strip(" \t\r\n")
        if _FORBIDDEN_IN_VALUE.search(text):
            raise TypeError(f"Invalid header value: {text!r} (line breaks and NUL are not allowed)")
        return text

    def append(self, name: str, value: Any) -> None:
        """Add a value: joined to the one ``name`` has, or, for ``set-cookie``, beside it."""
        present = None if self._name(name) == "set-cookie" else self.get(name)
        if present is None:
            super().append(name, value)
        else:
            joint = _JOINED_BY.get(self._name(name), ", ")
            self[name] = f"{present}{joint}{self._value(value)}"

    def add_header(self, name: str, value: Any) -> None:
        """Add a value, as `http.client.HTTPMessage` spells it."""
        self.append(name, value)

    def get_all(self, name: str, failobj: Any = None) -> Any:
        """Return the values of ``name`` as a list, or ``failobj``. More than one only for ``set-cookie``."""
        return super().get_all(name) or failobj

    def getSetCookie(self) -> list[str]:
        """Return every ``set-cookie``."""
        return self.getAll("set-cookie")


HeadersInit = Headers | Mapping[str, Any] | Iterable[tuple[str, Any]]


def _pairs(init: Any) -> Iterable[tuple[str, Any]]:
    if init is None:
        return ()
    if isinstance(init, Mapping):
        return init.items()
    if isinstance(init, Iterable) and not isinstance(init, str | bytes):
        return init
    raise TypeError(
        f"headers must be a dict, a list of (name, value) pairs or Headers, not {type(init).__name__}"
    )
