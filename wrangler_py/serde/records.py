"""What stored values come back as: dicts with attributes, and errors."""

from __future__ import annotations

from typing import Any

import msgspec


class Record(dict[str, Any]):
    """A dict whose entries are attributes too: ``row["v"]`` or ``row.v``; dict's own methods win."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"no entry {name!r}; there are: {', '.join(map(str, self)) or 'none'}"
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None


class ErrorRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as it is stored: ``name`` and ``message`` are shown; the rest lets `run()` get the same one back."""

    name: str
    message: str
    #: ``module:qualname`` of the exception's class, to find the class again on replay.
    type: str = ""
    #: The user's own frames, for the terminal; not part of any API.
    traceback: str = ""
    non_retryable: bool = False
