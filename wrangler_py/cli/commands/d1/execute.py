"""`pywrangler d1 execute`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.d1.database import Database, Yes, file_of, find_database, opened
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.config.model import D1Config

_BINARY = b"SQLite format 3\0"


@localized
def execute(
    local: Local,
    *,
    database: Database,
    command: Annotated[
        str | None, typer.Option(metavar="SQL", help="SQL to execute.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A .sql file to execute.", show_default=False)
    ] = None,
    yes: Yes = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")
    ] = False,
) -> None:
    """Execute SQL on a database: all of it, or nothing if a statement fails."""
    _ = yes  # wrangler's; nothing is asked about a database on this machine
    config = find_database(local, database)
    statements = _statements(_read(command, file))
    if not as_json:
        _announce(config, file_of(local, config))
    results = _run(local, config, statements)
    if as_json:
        terminal.print_json(_plain(results))
    else:
        _show(results)


def _run(local: Local, config: "D1Config", statements: list[str]) -> list[Any]:
    """Run all statements. As long as they only read, the state need not be writable, and is not touched."""
    from wrangler_py.bindings.d1.connection import ReadOnlyError

    try:
        with opened(local, config, reads=True) as connection:
            return connection.results((one, ()) for one in statements)
    except ReadOnlyError:
        with opened(local, config) as connection:
            return connection.results((one, ()) for one in statements)


def _announce(config: "D1Config", file: Path) -> None:
    from wrangler_py.runtime.screen import shown

    terminal.say(f"🌀 Executing on local database {config.name} ({config.id}) from {shown(file)}:")


def _read(command: str | None, file: Path | None) -> str:
    if command is not None and file is not None:
        raise UserError("can't provide both --command and --file.", hint="Leave one of them away.")
    if file is not None:
        return _read_file(file)
    if command is None:
        raise UserError(
            "must provide --command or --file.",
            hint='Example: pywrangler d1 execute DB --command "SELECT 1"',
        )
    return command


def _read_file(file: Path) -> str:
    try:
        content = file.read_bytes()
        if content.startswith(_BINARY):
            raise UserError(
                f"{file} is a binary SQLite database, not a text of SQL statements.",
                hint=f"Make one of it: sqlite3 {file} .dump > dump.sql",
            )
        return content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(
            f'Unable to read SQL text file "{file}": {error.strerror}.', hint="Check --file."
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8 text.", hint="Save it as UTF-8.") from None


def _statements(sql: str) -> list[str]:
    from wrangler_py.storage.statements import split

    found = split(sql)
    if not found:
        raise UserError("No SQL statements detected.")
    return found


def _show(results: list[Any]) -> None:
    from wrangler_py.cli.screens.tables import table

    commands = "1 command" if len(results) == 1 else f"{len(results)} commands"
    terminal.say(f"🚣 {commands} executed successfully.")
    console = terminal.screen()
    for one in results:
        if one.results:
            rows = [[_text(value) for value in row.values()] for row in one.results]
            console.print(table(console, list(one.results[0]), rows))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return "null" if value is None else terminal.printable(str(value))


def _plain(value: Any) -> Any:
    """Return ``value`` as Cloudflare's JSON has it: a BLOB is a list of numbers."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, bytes | list):
        return [_plain(item) for item in value]
    return value
