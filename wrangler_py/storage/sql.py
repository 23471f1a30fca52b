"""SQL lives in ``.sql`` files: ``-- name --`` starts a statement; migrations are numbered files."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec

_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_PART = re.compile(r"\{(\w+)\}")


class Migration(msgspec.Struct, frozen=True):
    """One numbered change of the schema."""

    number: int
    name: str
    sql: str


def load_queries(package: str) -> dict[str, str]:
    """Return all statements of a package's ``queries/*.sql`` by name; raise ValueError if a name stands twice.

    ``{name}`` in a statement stands for the block of that name, such as a list of columns.
    """
    found: dict[str, str] = {}
    for path in _sql_files(package, "queries"):
        _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise ValueError(f"query {name!r} stands twice, again in {path.name}")
            found[name] = text.strip()
    return {name: _PART.sub(lambda part: found.get(part[1], part[0]), text) for name, text in found.items()}


def load_migrations(package: str) -> list[Migration]:
    """Return a package's ``migrations/NNNN_name.sql`` in order."""
    migrations = []
    for path in _sql_files(package, "migrations"):
        number, _, name = path.name.removesuffix(".sql").partition("_")
        migrations.append(Migration(int(number), name, path.read_text(encoding="utf-8")))
    return migrations


def _sql_files(package: str, folder: str) -> list[Traversable]:
    entries = files(package).joinpath(folder).iterdir()
    return sorted((entry for entry in entries if entry.name.endswith(".sql")), key=lambda entry: entry.name)
