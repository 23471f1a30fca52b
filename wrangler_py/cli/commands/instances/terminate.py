"""`pywrangler workflows instances terminate`."""

from typing import Annotated

import typer

from wrangler_py.cli.commands.instances.steering import ROLL_BACK, TERMINATE, steer
from wrangler_py.cli.options import AsJson, InstanceId, WorkflowName, targeted
from wrangler_py.cli.target import Target


@targeted
def terminate(
    target: Target,
    *,
    name: WorkflowName,
    instance_id: InstanceId,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Undo its steps first, the last one first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """End an instance now, cancelling what is in flight."""
    if rollback:
        steer(target, ROLL_BACK, name, instance_id, as_json=as_json, rollback=True)
    else:
        steer(target, TERMINATE, name, instance_id, as_json=as_json)
