"""`pywrangler workflows instances pause`."""

from wrangler_py.cli.commands.instances.steering import PAUSE, steer
from wrangler_py.cli.options import AsJson, InstanceId, WorkflowName, targeted
from wrangler_py.cli.target import Target


@targeted
def pause(target: Target, *, name: WorkflowName, instance_id: InstanceId, as_json: AsJson = False) -> None:
    """Pause an instance; its steps in flight finish first."""
    steer(target, PAUSE, name, instance_id, as_json=as_json)
