"""Where the stored state of bindings is, for commands that read and write it themselves.

Such commands work alike beside a running session and without one: what KV, D1, R2 and queues keep is in files that any
process may open, and a gigabyte on its way into a bucket need not pass through HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wrangler_py.cli.target import Target
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wrangler_py.config import Config

T = TypeVar("T")


@dataclass(frozen=True)
class Local:
    """A project's configuration and the directory of its state, which need not exist yet."""

    config: Config
    state_dir: Path

    def place(self, kind: str, name: str, suffix: str = "") -> Path:
        """Return where a resource's state is, as `Resources.place` does in a Worker."""
        from wrangler_py.bindings.resources import place

        return place(self.state_dir, kind, name, suffix)


def open_local(target: Target) -> Local:
    """Find the project. Raises UserError if there is none, ConfigError if its configuration is wrong."""
    config = target.load_config()
    _, state_dir = target.find_state(config.path)
    return Local(config, state_dir)


def find_by_name(
    what: str, wanted: str, entries: Iterable[T], names: Callable[[T], Iterable[str]], *, section: str
) -> T:
    """Return the entry that has ``wanted`` among its ``names``: binding, name or id.

    Raises UserError that lists those there are; ``what`` is a word for one, ``section`` is where they are configured.
    """
    known: dict[str, T] = {}
    for entry in entries:
        for name in names(entry):
            known.setdefault(name, entry)
    if wanted in known:
        return known[wanted]
    near = get_close_matches(wanted, known, n=1)
    there = f"There are: {', '.join(known)}" if known else f"None is configured: add one to {section}."
    hint = f"Did you mean '{near[0]}'?" if near else there
    raise UserError(f"There is no {what} '{wanted}' in the configuration.", hint=hint)
