"""`pywrangler workflows instances restart`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from wrangler_py.cli.commands.instances.steering import RESTART, steer
from wrangler_py.cli.options import AsJson, InstanceId, WorkflowName, targeted
from wrangler_py.cli.target import Target


class StepType(StrEnum):
    """The API's names of step kinds."""

    DO = "do"
    SLEEP = "sleep"
    WAIT = "waitForEvent"


@targeted
def restart(
    target: Target,
    *,
    name: WorkflowName,
    instance_id: InstanceId,
    from_step_name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Keep the steps that started before this one.", show_default=False),
    ] = None,
    from_step_count: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Which of the steps of that name (1).", show_default=False),
    ] = None,
    from_step_type: Annotated[
        StepType | None, typer.Option(help="Its type, if several share the name (do).", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run an instance again from its start, or from a step."""
    step = {"name": from_step_name, "count": from_step_count, "type": from_step_type}
    steer(target, RESTART, name, instance_id, as_json=as_json, **_origin(step))


def _origin(step: dict[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in step.items() if value is not None}
    if given and "name" not in given:
        raise typer.BadParameter(
            "--from-step-name is required when using --from-step-count or --from-step-type"
        )
    return {"from": given} if given else {}
