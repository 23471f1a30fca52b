"""Service binding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wrangler_py.bindings.registry import Declared
    from wrangler_py.config import Config


def declare(config: Config) -> Iterator[Declared]:
    """Yield the bindings of this kind."""
    _ = config
    yield from ()
