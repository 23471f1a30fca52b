"""Values for the parameters of a user's statement.

SQLite lets ``?``, ``?2`` and ``:name`` stand in one statement and takes all values by number. Python's module wants
values either by place, for ``?`` only (it insists from 3.14 on), or by name, which all parameters must then have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from wrangler_py.storage.tokens import NAME_CHARACTERS, TOKEN

_NAMED = re.compile(rf"\?[0-9]|[:@$][{NAME_CHARACTERS}:]")


def bound(sql: str, values: Sequence[Any]) -> tuple[str, Sequence[Any] | Mapping[str, Any]]:
    """Return a statement and its values, given by number, in a form that `sqlite3` takes.

    Where there are too many or too few of them it is left to `sqlite3` to say so.
    """
    if not _NAMED.search(sql):
        return sql, values
    numbered, used, largest = _numbered(sql)
    if largest != len(values) or 0 in used:
        return sql, values
    return numbered, {str(place): values[number - 1] for place, number in enumerate(used, 1)}


@lru_cache(256)
def _numbered(sql: str) -> tuple[str, list[int], int]:
    """Return ``sql`` with parameters ``?1`` to ``?N``, the number each of these had, and the largest of those.

    Numbers are given as SQLite gives them (its docs, "Parameters").
    """
    largest = 0
    names: dict[str, int] = {}
    used: dict[int, int] = {}

    def number(token: re.Match[str]) -> str:
        nonlocal largest
        text = token[0]
        if token["number"]:
            found = int(text[1:]) if text != "?" else largest + 1
        elif token["named"]:
            found = names.setdefault(text, largest + 1)
        else:
            return text
        largest = max(largest, found)
        return f"?{used.setdefault(found, len(used) + 1)}"

    return TOKEN.sub(number, sql), list(used), largest
