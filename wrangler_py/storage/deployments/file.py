"""The registry's database file."""

from __future__ import annotations

from pathlib import Path

from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries

_PACKAGE = "wrangler_py.storage.deployments"
Q = load_queries(_PACKAGE)


def registry_file(state_dir: Path) -> Path:
    """Return where the registry of a state directory is."""
    return state_dir / "deployments" / "deployments.sqlite"


def open_registry(state_dir: Path) -> Database:
    """Open the file of a state directory, or make it; raises StateError.

    What it was told to write is on disk, past a loss of power too.
    """
    return Database.open(registry_file(state_dir), synchronous="FULL", package=_PACKAGE)
