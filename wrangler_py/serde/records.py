"""The Python objects of stored values: dicts with attributes, and errors."""

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
    """An error as it is stored: ``name`` and ``message`` are shown; the rest lets `run()` get the same one back.

    All texts are valid Unicode and bounded, so that a record can always be stored and shown (`sdk.failures.capture`).
    """

    name: str
    message: str
    #: ``module:qualname`` of the exception's class, to find the class again on replay.
    type: str = ""
    #: The user's own frames of this error alone; `sdk.stacks.stack_of` puts those of its causes before them.
    traceback: str = ""
    non_retryable: bool = False
    #: Its arguments where they are not just the message, and its attributes, in the JSON of `encode`.
    args: list[Any] | None = None
    attributes: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    #: ``__cause__``, or else ``__context__`` where that is shown.
    cause: ErrorRecord | None = None
    context: ErrorRecord | None = None
    #: The exceptions of an ExceptionGroup.
    members: tuple[ErrorRecord, ...] = ()
