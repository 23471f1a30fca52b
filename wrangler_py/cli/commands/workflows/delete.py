"""`pywrangler workflows delete`."""

from wrangler_py.cli import terminal
from wrangler_py.cli.options import AsJson, WorkflowName, targeted
from wrangler_py.cli.target import Target


@targeted
def delete(target: Target, *, name: WorkflowName, as_json: AsJson = False) -> None:
    """Delete a workflow's instances and all they stored. Its code stays."""
    with target.client() as client:
        answer = client.delete_workflow(name)
    if as_json:
        terminal.print_json(answer)
    else:
        terminal.say(f'✅ Workflow "{name}" removed successfully.')
