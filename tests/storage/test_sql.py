"""Laws of the statements in ``.sql`` files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wrangler_py.storage
from wrangler_py.storage.sql import load_queries

PACKAGES = sorted(
    folder.parent.relative_to(Path(wrangler_py.storage.__path__[0]))
    for folder in Path(wrangler_py.storage.__path__[0]).rglob("queries")
)


@pytest.mark.parametrize("package", [".".join(path.parts) for path in PACKAGES])
def test_every_statement_names_the_columns_it_reads(package):
    """The order of a table's columns is that of its migrations, and no query may depend on it."""
    queries = load_queries(f"wrangler_py.storage.{package}")
    assert queries
    assert [name for name, sql in queries.items() if re.search(r"SELECT\s+(\w+\.)?\*", sql)] == []


def test_a_block_stands_in_other_statements_by_its_name():
    queries = load_queries("wrangler_py.storage.sqlite")
    assert queries["instance"].endswith("deaths")
    assert queries["instance"] in queries["get"]
    assert queries["instance"] in queries["due_starting"]
