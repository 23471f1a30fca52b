"""The database a command names, and its file."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wrangler_py.cli.local import Local, find_by_name
from wrangler_py.cli.stored import access
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wrangler_py.bindings.d1.connection import Connection
    from wrangler_py.bindings.d1.migrations import Migrations
    from wrangler_py.config.model import D1Config

Database = Annotated[
    str,
    typer.Argument(metavar="DATABASE", help="Binding, name or id of the database.", show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help='Answer "yes" to any prompts.')]
#: So much of a statement is shown with its error.
_SHOWN = 200


def find_database(local: Local, wanted: str) -> D1Config:
    """Return the database of that binding, name or id; raise UserError."""
    return find_by_name(
        "D1 database",
        wanted,
        local.config.resources.d1_databases,
        lambda one: (one.binding, one.name, one.id),
        section="[[d1_databases]]",
    )


def file_of(local: Local, database: D1Config) -> Path:
    """Return where the database's file is, or will be."""
    return local.place("d1", database.id, ".sqlite")


@contextmanager
def opened(local: Local, database: D1Config, *, reads: bool = False) -> Iterator[Connection]:
    """Open the database's file, made if it is missing. A statement that fails is a mistake of the user's: UserError.

    With ``reads`` no file is made, and a statement that writes raises ReadOnlyError.
    """
    from wrangler_py.bindings.d1.connection import Connection
    from wrangler_py.bindings.failures import D1Error

    with access(reads=reads):
        connection = Connection(file_of(local, database))
        try:
            yield connection
        except D1Error as error:
            raise explained(error.message.removeprefix("D1_ERROR: "), error.sql) from None
        finally:
            connection.close()


def explained(message: str, sql: str) -> UserError:
    """Return the error with its statement as the hint."""
    shown = sql if len(sql) <= _SHOWN else f"{sql[:_SHOWN]}..."
    return UserError(message, hint=f"In the statement: {shown}" if sql else None)


def migrations_of(local: Local, database: D1Config) -> Migrations:
    """Return the database's migrations: their folder is beside the configuration file."""
    from wrangler_py.bindings.d1.migrations import Migrations

    return Migrations(local.config.root / database.migrations_dir, database.migrations_table)


def existing_migrations_of(local: Local, database: D1Config) -> Migrations:
    """Return the database's migrations; raise UserError if it has no folder for them."""
    found = migrations_of(local, database)
    if found.folder.is_dir():
        return found
    raise UserError(
        f"No migrations present at {found.folder}.",
        hint=f"Make one: pywrangler d1 migrations create {database.name} MESSAGE, "
        "or set `migrations_dir` in [[d1_databases]].",
    )
