"""`pywrangler d1 list`."""

from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.d1.database import file_of
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized


@localized
def list_databases(
    local: Local,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the list as JSON, and nothing else.")
    ] = False,
) -> None:
    """List the databases of the configuration."""
    found = []
    for one in local.config.resources.d1_databases:
        path = file_of(local, one)
        size = path.stat().st_size if path.exists() else 0
        found.append(
            {"uuid": one.id, "name": one.name, "binding": one.binding, "file_size": size, "file": str(path)}
        )
    if as_json:
        terminal.print_json(found)
    elif found:
        _show([[str(value) for value in one.values()] for one in found])
    else:
        terminal.say("No D1 databases: add one to [[d1_databases]].")


def _show(rows: list[list[str]]) -> None:
    from wrangler_py.cli.screens.tables import Narrow, table

    console = terminal.screen()
    console.print(
        table(console, ["uuid", "name", "binding", "file_size", "file"], rows, Narrow(((0, 1, 2), (3, 4))))
    )
