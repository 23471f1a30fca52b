"""``env``: the names a Worker's configuration gives it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any


class WorkerEnv:
    """Bindings as attributes; a missing name is an AttributeError that lists the names there are."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self.__dict__.update(entries)

    def __getattr__(self, name: str) -> Any:
        names = sorted(self.__dict__)
        close = difflib.get_close_matches(name, names, n=1)
        guess = f" (did you mean {close[0]!r}?)" if close else ""
        raise AttributeError(f"env has no binding {name!r}{guess}; there are: {', '.join(names) or 'none'}")

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __repr__(self) -> str:
        return f"<env: {', '.join(self.__dict__) or 'empty'}>"
