"""`pywrangler tokens create`."""

from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.tokens.store import PersistTo, opened

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, as in: laptop, ci.")]


def create(name: Name, persist_to: PersistTo = None) -> None:
    """Make a token. It is printed once, alone on standard output, and kept as a digest only."""
    with opened(persist_to) as tokens:
        _, secret = tokens.create(name)
    terminal.note("It is shown this once. Where you deploy from, set PYWRANGLER_TOKEN to it.")
    terminal.say(secret)
