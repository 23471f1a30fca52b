"""`pywrangler queues purge`."""

import sys
from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.queues.known import QueueName, check, opened
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized
from wrangler_py.cli.screens.words import counted
from wrangler_py.errors import UserError


@localized
def purge(
    local: Local,
    *,
    name: QueueName,
    force: Annotated[bool, typer.Option("--force", help="Do not ask.")] = False,
) -> None:
    """Delete all messages of a queue, delayed ones too, but those that are being delivered."""
    with opened(local) as queues:
        check(local, queues, name)
        if not force:
            _confirm(name)
        deleted = queues.purge(name)
    terminal.say(f"Purged Queue '{name}' ({counted(deleted, 'message')})")


def _confirm(name: str) -> None:
    if not _is_interactive():
        raise UserError(
            "The --force flag is required to purge a Queue in non-interactive mode",
            hint=f"pywrangler queues purge {name} --force",
        )
    question = (
        f"This operation will permanently delete all the messages in Queue {name}. Type {name} to proceed."
    )
    if typer.prompt(question) != name:
        raise UserError("Incorrect queue name provided. Skipping purge operation")


def _is_interactive() -> bool:
    return sys.stdin.isatty()
