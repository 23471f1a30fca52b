"""`pywrangler workflows instances resume`."""

from wrangler_py.cli.commands.instances.steering import RESUME, steer
from wrangler_py.cli.options import AsJson, InstanceId, WorkflowName, targeted
from wrangler_py.cli.target import Target


@targeted
def resume(target: Target, *, name: WorkflowName, instance_id: InstanceId, as_json: AsJson = False) -> None:
    """Let a paused instance go on; its timers move by the time it was paused."""
    steer(target, RESUME, name, instance_id, as_json=as_json)
