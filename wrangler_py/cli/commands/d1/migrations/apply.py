"""`pywrangler d1 migrations apply`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from wrangler_py.cli.commands.d1.database import (
    Database,
    Yes,
    existing_migrations_of,
    explained,
    find_database,
    opened,
)
from wrangler_py.cli.commands.d1.migrations.list import show_pending, show_table
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.bindings.d1.connection import Connection
    from wrangler_py.bindings.d1.migrations import Migrations


@localized
def apply(local: Local, *, database: Database, yes: Yes = False) -> None:
    """Apply the migrations that have not been applied, in order.

    One that fails is rolled back; those before it stay, those behind it do not run.
    """
    config = find_database(local, database)
    migrations = existing_migrations_of(local, config)
    with opened(local, config) as connection:
        pending = migrations.pending(connection)
        show_pending(pending)
        if pending and (yes or _is_wanted(len(pending))):
            _apply(migrations, connection, pending)


def _is_wanted(count: int) -> bool:
    """Ask, where somebody is there to answer."""
    if not sys.stdin.isatty():
        return True
    return typer.confirm(f"About to apply {count} migration(s), continue?", default=True)


def _apply(migrations: Migrations, connection: Connection, pending: list[str]) -> None:
    states = dict.fromkeys(pending, "🕒️")
    try:
        for name in pending:
            states[name] = "❌"
            _apply_one(migrations, connection, name)
            states[name] = "✅"
    finally:
        show_table(["Name", "Status"], [[name, state] for name, state in states.items()])


def _apply_one(migrations: Migrations, connection: Connection, name: str) -> None:
    from wrangler_py.bindings.failures import D1Error

    try:
        migrations.apply(connection, name)
    except D1Error as error:
        reason = error.message.removeprefix("D1_ERROR: ")
        raise explained(f"Migration {name} failed: {reason}", error.sql) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the migration {name}: {error}.") from None
