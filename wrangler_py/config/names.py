"""Names in a configuration: of Workers, and of what stands on ``env``, where each may be taken once."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from wrangler_py.config.table import Table

_SCRIPT_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]*")


class Names:
    """The names on ``env``: those of variables, then of bindings as they are read."""

    def __init__(self, variables: Iterable[str]) -> None:
        self._taken = dict.fromkeys(variables, "variable")

    def claim(self, table: Table, key: str) -> None:
        """Take the name at ``key``; report an error there if it is taken already."""
        name = table.data[key]
        if other := self._taken.get(name):
            table.error(key, f'{key} "{name}" is also the name of a {other}', "each needs its own")
        self._taken.setdefault(name, "binding")


def script_name_problem(name: str) -> str | None:
    """Return what is wrong with a Worker's name."""
    return None if _SCRIPT_NAME.fullmatch(name) else "must be letters, digits, - and _"


def identifier_problem(name: str) -> str | None:
    """Return what is wrong with a name that is written in Python code."""
    if keyword.iskeyword(name):
        return "is a word of Python's own"
    return None if name.isidentifier() else "must be a Python name: letters, digits and _"
