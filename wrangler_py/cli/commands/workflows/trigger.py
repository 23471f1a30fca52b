"""`pywrangler workflows trigger`."""

import json
from typing import Annotated, Any

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.options import AsJson, WorkflowName, targeted
from wrangler_py.cli.payloads import parse_json
from wrangler_py.cli.target import Target

STORED = "No session is running, so it is stored as queued: `pywrangler dev` runs it."


@targeted
def trigger(
    target: Target,
    *,
    name: WorkflowName,
    params: Annotated[
        str | None, typer.Argument(metavar="PARAMS", help="Parameters, as JSON.", show_default=False)
    ] = None,
    params_option: Annotated[
        str | None,
        typer.Option("--params", metavar="JSON", help="The same, as an option.", show_default=False),
    ] = None,
    instance_id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="ID of the new instance (a random UUID).", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an instance of a workflow.

    Example: pywrangler workflows trigger workflows-starter '{"hello": "world"}'
    """
    if params is not None and params_option is not None:
        raise typer.BadParameter("PARAMS was given twice: as an argument and as --params.")
    body = _body(instance_id, params if params is not None else params_option)
    with target.client() as client:
        created = client.trigger(name, body)
        stored = client.is_stored
    _show(created, stored=stored, as_json=as_json)


def _body(instance_id: str | None, params: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if instance_id is not None:
        body["instance_id"] = instance_id
    if params:
        value = parse_json(params, "instance parameters")
        # The API parses a string as JSON, so a value that is a string goes as the JSON of it.
        body["params"] = json.dumps(value) if isinstance(value, str) else value
    return body


def _show(created: dict[str, Any], *, stored: bool, as_json: bool) -> None:
    if as_json:
        terminal.print_json(created)
        return
    terminal.say(f'🚀 Workflow instance "{created["id"]}" has been queued successfully')
    if stored:
        terminal.say(STORED)
