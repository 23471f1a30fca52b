"""`pywrangler init`."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.templates import (
    DEFAULT,
    Template,
    create_project,
    find_template,
    project_name,
    templates,
)


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of the new project; its name names it.")
    ] = Path(),
    template: Annotated[
        str, typer.Option("--template", "-t", metavar="NAME", help="What to start from.")
    ] = DEFAULT,
    list_them: Annotated[
        bool, typer.Option("--list", help="Show the templates there are, and make nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was made as JSON, and nothing else.")
    ] = False,
) -> None:
    """Make a new project from a template."""
    if list_them:
        _show_templates(as_json=as_json)
        return
    chosen = find_template(template)
    folder = Path(os.path.normpath(directory.expanduser().absolute()))
    name = project_name(folder)
    files = create_project(chosen, folder, name)
    if as_json:
        paths = [path.as_posix() for path in files]
        terminal.print_json({"name": name, "directory": str(folder), "template": chosen.name, "files": paths})
    else:
        _show_next(chosen, folder, name)


def _show_templates(*, as_json: bool) -> None:
    known = [{"name": template.name, "description": template.description} for template in templates()]
    if as_json:
        terminal.print_json(known)
        return
    width = max(len(template["name"]) for template in known)
    for template in known:
        terminal.say(f"{template['name']:<{width}}  {template['description']}")


def _show_next(template: Template, folder: Path, name: str) -> None:
    terminal.say(f'✅ Created the project "{name}" in {folder} from the template {template.name}.\n')
    terminal.say("Next:")
    if folder != Path.cwd():
        terminal.say(f"  cd {shlex.quote(_shown(folder))}")
    for step in template.first_steps():
        if step.lead:
            terminal.say(step.lead)
        for command in step.commands:
            terminal.say(f"  {command}")


def _shown(folder: Path) -> str:
    relative = os.path.relpath(folder)
    return str(folder) if relative.startswith("..") else relative
