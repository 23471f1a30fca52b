"""The description of a kind of binding, and the life of the work behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from wrangler_py.bindings.resources import Resources


class Declared(NamedTuple):
    """A binding the configuration asks for: its name on ``env``, what the banner calls it, and how it is made."""

    name: str
    kind: str
    detail: str
    make: Callable[[Resources], Any]


class Background(Protocol):
    """The background work of the one process that drives a script: consumers, alarms, cron."""

    async def start(self) -> None:
        """Begin: this process drives the script now."""
        ...

    async def drain(self, grace: float) -> None:
        """Start nothing new, wait up to ``grace`` seconds for what is in flight, then stop it."""
        ...
