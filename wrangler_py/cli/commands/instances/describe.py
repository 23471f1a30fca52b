"""`pywrangler workflows instances describe`."""

from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.instances.chosen import LATEST, chosen
from wrangler_py.cli.options import AsJson, InstanceIdOrLatest, WorkflowName, targeted
from wrangler_py.cli.target import Target


@targeted
def describe(
    target: Target,
    *,
    name: WorkflowName,
    instance_id: InstanceIdOrLatest = LATEST,
    no_step_output: Annotated[
        bool, typer.Option("--no-step-output", help="Leave out what steps returned.")
    ] = False,
    step_output: Annotated[  # noqa: ARG001 - wrangler's spelling of the default
        bool, typer.Option("--step-output", hidden=True)
    ] = True,
    truncate_output_limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="Cut outputs after so many characters.")
    ] = 5000,
    as_json: AsJson = False,
) -> None:
    """Show an instance: its status, its steps with their output, retries and errors."""
    with target.reader() as client:
        detail = client.instance(name, chosen(client, name, instance_id, quiet=as_json))
    if as_json:
        terminal.print_json(detail)
        return
    from wrangler_py.cli.screens.instance import Picture
    from wrangler_py.clock import SystemClock

    limit = None if no_step_output else truncate_output_limit
    Picture(name, SystemClock().now(), limit).print(terminal.screen(), detail)
