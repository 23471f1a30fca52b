"""`pywrangler d1 migrations create`."""

from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.d1.database import Database, find_database, migrations_of
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized
from wrangler_py.clock import SystemClock, iso
from wrangler_py.errors import UserError


@localized
def create(
    local: Local,
    *,
    database: Database,
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="What it does; names the file.", show_default=False)
    ],
) -> None:
    """Create a new migration."""
    if not message.strip() or "/" in message or "\\" in message or not message.isprintable():
        raise UserError(
            f"The message {message!r} cannot name a file.",
            hint="Use a few words, without slashes: create cart table",
        )
    migrations = migrations_of(local, find_database(local, database))
    try:
        path = migrations.create(message, iso(SystemClock().now()))
    except OSError as error:
        raise UserError(f"Cannot write into {migrations.folder}: {error.strerror}.") from None
    terminal.say(f"✅ Successfully created Migration '{path.name}'!\n")
    terminal.say(f"The migration is available for editing here\n{path}")
