"""`pywrangler workflows instances send-event`."""

from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.instances.chosen import chosen
from wrangler_py.cli.options import AsJson, InstanceId, WorkflowName, targeted
from wrangler_py.cli.payloads import parse_json
from wrangler_py.cli.target import Target


@targeted
def send_event(
    target: Target,
    *,
    name: WorkflowName,
    instance_id: InstanceId,
    event_type: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="Type of the event.", show_default=False)
    ],
    payload: Annotated[
        str | None, typer.Option(metavar="JSON", help="Payload of the event ({}).", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send an event to an instance; it is kept until a wait_for_event of its type takes it."""
    value = parse_json(payload, "event payload") if payload else {}
    with target.client() as client:
        instance_id = chosen(client, name, instance_id, quiet=as_json)
        answer = client.send_event(name, instance_id, event_type, value)
    if as_json:
        terminal.print_json(answer)
        return
    what = f'The event with type "{event_type}"' + (f' and payload "{payload}"' if payload else "")
    terminal.say(f'📤 {what} was sent to the instance "{instance_id}" from {name}')
