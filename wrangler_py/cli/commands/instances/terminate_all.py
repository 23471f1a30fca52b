"""`pywrangler workflows instances terminate-all`."""

from enum import StrEnum
from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.options import AsJson, WorkflowName, targeted
from wrangler_py.cli.target import Target


class Unfinished(StrEnum):
    """Statuses of instances that can be terminated."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING_FOR_PAUSE = "waitingForPause"
    WAITING = "waiting"


@targeted
def terminate_all(
    target: Target,
    *,
    name: WorkflowName,
    status: Annotated[
        Unfinished | None, typer.Option(help="Only instances in this status.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """End all instances that have not ended by themselves; a session does it in the background."""
    with target.client() as client:
        answer = client.terminate_all(name, status)
        stored = client.is_stored
    if as_json:
        terminal.print_json(answer)
        return
    which = f' with status "{status}"' if status else ""
    job = f'A job to terminate instances from Workflow "{name}"{which}'
    if stored:
        terminal.say(f'🥷 The instances from Workflow "{name}"{which} were terminated.')
    elif answer["status"] == "ok":
        terminal.say(f"🥷 {job} has been started. It might take a few minutes to complete.")
    else:
        terminal.say(f"🥷 {job} is already running. It might take a few minutes to complete.")
