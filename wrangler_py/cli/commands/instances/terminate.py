"""`pywrangler workflows instances terminate`."""

from wrangler_py.cli.commands.instances.steering import TERMINATE, steer
from wrangler_py.cli.options import AsJson, InstanceId, WorkflowName, targeted
from wrangler_py.cli.target import Target


@targeted
def terminate(
    target: Target, *, name: WorkflowName, instance_id: InstanceId, as_json: AsJson = False
) -> None:
    """End an instance now, cancelling what is in flight."""
    steer(target, TERMINATE, name, instance_id, as_json=as_json)
