"""`pywrangler tokens revoke`."""

from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.tokens.store import PersistTo, opened
from wrangler_py.errors import UserError

Which = Annotated[str, typer.Argument(metavar="TOKEN", help="Its name, or its ID.")]


def revoke(token: Which, persist_to: PersistTo = None) -> None:
    """Remove a token: a running `pywrangler serve` refuses it from now on."""
    with opened(persist_to) as tokens:
        if not tokens.revoke(token):
            raise UserError(f"There is no token '{token}'.", hint="See: pywrangler tokens list")
    terminal.say(f"Revoked {token}")
