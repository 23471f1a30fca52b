"""`pywrangler workflows diagram`."""

from __future__ import annotations

from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.options import AsJson, WorkflowName, targeted
from wrangler_py.cli.target import Target
from wrangler_py.errors import UserError

Version = Annotated[
    str | None, typer.Option("--version-id", metavar="ID", help="Another version than new instances run.")
]


@targeted
def diagram(
    target: Target, *, name: WorkflowName, version_id: Version = None, as_json: AsJson = False
) -> None:
    """Draw what a workflow does: its steps, in order, and what they depend on."""
    with target.reader() as client:
        version = version_id or client.workflow(name)["version_id"]
        found = client.graph(name, version)
    if found["graph"] is None:
        raise UserError(
            f"The code of workflow '{name}', version {version}, is not here.",
            hint="Run this in the project whose wrangler.toml names the class; Python must be able to read the file",
        )
    if as_json:
        terminal.print_json(found["graph"])
        return
    from wrangler_py.cli.screens.diagram import tree_of

    terminal.screen().print(tree_of(name, found["graph"]["workflow"]))
