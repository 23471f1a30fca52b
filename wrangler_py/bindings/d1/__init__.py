"""D1: a SQLite file for each database id, behind the methods of Cloudflare's binding (D1 docs, "Workers Binding API").

The file is the user's own: nothing of ours is in it, and any SQLite tool opens it. What the binding lets a statement do
is what D1 does: `rules` has the limits and what is refused, `execution` where a statement runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from wrangler_py.bindings.declared import Declared

if TYPE_CHECKING:
    from wrangler_py.bindings.d1.database import D1Database
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config
    from wrangler_py.config.model import D1Config


def declare(config: Config) -> Iterator[Declared]:
    """Yield the D1 bindings of a configuration."""
    for one in config.resources.d1_databases:
        yield Declared(one.binding, "D1 Database", one.name, partial(_make, one))


def _make(database: D1Config, on: Resources) -> D1Database:
    from wrangler_py.bindings.d1.database import D1Database
    from wrangler_py.bindings.d1.execution import Execution

    execution = Execution(on.place("d1", database.id, ".sqlite"), synchronous=on.synchronous)
    on.on_close(execution.close)
    return D1Database(execution, on.clock)
