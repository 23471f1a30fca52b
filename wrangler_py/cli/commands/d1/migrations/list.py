"""`pywrangler d1 migrations list`."""

from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.d1.database import Database, existing_migrations_of, find_database, opened
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized


@localized
def list_migrations(
    local: Local,
    *,
    database: Database,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the names as JSON, and nothing else.")
    ] = False,
) -> None:
    """List the migrations that have not been applied."""
    config = find_database(local, database)
    migrations = existing_migrations_of(local, config)
    with opened(local, config, reads=True) as connection:
        pending = migrations.pending(connection)
    if as_json:
        terminal.print_json([{"name": name} for name in pending])
    else:
        show_pending(pending)


def show_pending(pending: list[str]) -> None:
    """Show the names of migrations that are to be applied."""
    if pending:
        terminal.say("Migrations to be applied:")
        show_table(["Name"], [[name] for name in pending])
    else:
        terminal.say("✅ No migrations to apply!")


def show_table(headers: list[str], rows: list[list[str]]) -> None:
    """Show a table of migrations."""
    from wrangler_py.cli.screens.tables import table

    console = terminal.screen()
    console.print(table(console, headers, rows))
