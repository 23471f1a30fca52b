"""The way to a value in a document, and the place in its text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

#: The way from the top of a document to a value: keys of tables and indexes of lists.
KeyPath: TypeAlias = tuple[str | int, ...]

#: Levels of tables and lists in a document. Real files have five; the bound keeps hostile ones off the stack.
MAX_DEPTH = 100


class Position(NamedTuple):
    """A place in a text, counted from 1 in lines and characters; zeros where there is none."""

    line: int = 0
    column: int = 0


NOWHERE = Position()


def position(text: str, offset: int) -> Position:
    """Return the place of the character at ``offset``."""
    return Position(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def walk(value: Any, at: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Return each value inside ``value`` with its path, and itself with ``at``, without recursion."""
    waiting = [(at, value)]
    while waiting:
        path, value = waiting.pop()
        yield path, value
        if isinstance(value, dict):
            waiting += [((*path, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), inner) for index, inner in enumerate(value)]


def is_too_deep(value: Any) -> bool:
    """Return True if tables and lists are nested more than ``MAX_DEPTH`` levels."""
    return any(len(path) > MAX_DEPTH for path, _ in walk(value))
