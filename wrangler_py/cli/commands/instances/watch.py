"""`pywrangler workflows instances watch`."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from wrangler_py.cli.client import Client
from wrangler_py.cli.commands.instances.chosen import LATEST, chosen
from wrangler_py.cli.options import AsJson, InstanceIdOrLatest, WorkflowName, targeted
from wrangler_py.cli.target import Target
from wrangler_py.errors import SessionError

#: Seconds between two looks at the least and at the most. A slow answer stretches it, so that watching takes at most a
#: fifth of the time; one that waited for a worker to be replaced must not blind the one who watches for long.
INTERVAL, LONGEST = 0.05, 1.0
SHARE = 4


@targeted
def watch(
    target: Target,
    *,
    name: WorkflowName,
    instance_id: InstanceIdOrLatest = LATEST,
    exit_status: Annotated[
        bool, typer.Option("--exit-status", help="Exit with 1 if the instance does not complete.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Follow an instance live until it has ended.

    Piped, it prints a line for each change; with --json, a JSON document for each.
    Exits with 0 however the instance ends, unless --exit-status is given.
    """
    with target.reader() as client:
        instance_id = chosen(client, name, instance_id, quiet=as_json)
        last = _follow(client, name, instance_id, as_json=as_json)
        stored = client.is_stored
    _end(last, instance_id, stored=stored, exit_status=exit_status)


def _follow(client: Client, name: str, instance_id: str, *, as_json: bool) -> dict[str, Any]:
    """Show every state of the instance; return the last one."""
    from wrangler_py.cli.screens.watch import chosen_view

    detail: dict[str, Any] = {}
    with chosen_view(name, as_json=as_json) as view:
        for detail in states(client, name, instance_id):
            view.show(detail)
    return detail


def states(client: Client, name: str, instance_id: str) -> Iterator[dict[str, Any]]:
    """Yield the instance whenever it has moved, until it has ended; only once if nobody runs it."""
    from wrangler_py.cli.screens.words import FINAL

    detail = client.instance(name, instance_id)
    yield detail
    if detail["status"] in FINAL or client.is_stored:
        return
    with client.follow(name, instance_id) as bell:
        while detail["status"] not in FINAL:
            bell.wait()
            asked = time.monotonic()
            detail = client.instance(name, instance_id)
            yield detail
            time.sleep(min(LONGEST, max(INTERVAL, SHARE * (time.monotonic() - asked))))


def _end(last: dict[str, Any], instance_id: str, *, stored: bool, exit_status: bool) -> None:
    from wrangler_py.cli.screens.words import FINAL

    if stored and last["status"] not in FINAL:
        raise SessionError(
            f'No session is running, so instance "{instance_id}" stays {last["status"]}.',
            hint="Start `pywrangler dev`, then watch again.",
        )
    if exit_status and last["status"] != "complete":
        raise typer.Exit(1)
