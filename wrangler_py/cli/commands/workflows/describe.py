"""`pywrangler workflows describe`."""

from typing import Any

from wrangler_py.cli import terminal
from wrangler_py.cli.options import AsJson, WorkflowName, targeted
from wrangler_py.cli.target import Target


@targeted
def describe(target: Target, *, name: WorkflowName, as_json: AsJson = False) -> None:
    """Show a workflow, and how many of its instances are in which status."""
    with target.reader() as client:
        workflow = client.workflow(name)
    if as_json:
        terminal.print_json(workflow)
    else:
        _show(workflow)


def _show(workflow: dict[str, Any]) -> None:
    from wrangler_py.cli.screens.tables import Line, labelled

    console = terminal.screen()
    console.print(labelled(_lines(workflow)), soft_wrap=True, end="")
    counts = workflow.get("instances") or {}
    if counts:
        console.print("Instance Status Counts:", style="bold")
        lines = [Line(status, str(number)) for status, number in counts.items()]
        console.print(labelled(lines, indent="  "), soft_wrap=True, end="")


def _lines(workflow: dict[str, Any]) -> list[Any]:
    from wrangler_py.cli.screens.tables import Line
    from wrangler_py.cli.screens.times import local

    texts = {"Name": "name", "Id": "id", "Script Name": "script_name", "Class Name": "class_name"}
    dates = {"Created On": "created_on", "Modified On": "modified_on", "Triggered On": "triggered_on"}
    return [
        *(Line(label, str(workflow[key])) for label, key in texts.items() if workflow.get(key)),
        *(Line(label, local(workflow[key])) for label, key in dates.items() if workflow.get(key)),
        *(Line("Schedule", _schedule(one)) for one in workflow.get("schedules") or ()),
    ]


def _schedule(schedule: dict[str, Any]) -> str:
    from wrangler_py.cli.screens.times import local

    upcoming = schedule["next_instance"]
    return f"{schedule['cron']} ({'next ' + local(upcoming) if upcoming else 'never comes'})"
