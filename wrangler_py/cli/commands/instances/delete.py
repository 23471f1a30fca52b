"""`pywrangler workflows instances delete`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.instances.chosen import chosen
from wrangler_py.cli.options import AsJson, WorkflowName, targeted
from wrangler_py.cli.payloads import parse_json
from wrangler_py.cli.target import Target
from wrangler_py.errors import SessionError, UserError


@targeted
def delete(
    target: Target,
    *,
    name: WorkflowName,
    instance_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID...", help="IDs of instances; 'latest' for the newest.", show_default=False
        ),
    ] = None,
    filename: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A JSON file with an array of instance IDs.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete instances and all they stored."""
    ids = [*(instance_ids or []), *_listed(filename)]
    if not ids:
        raise typer.BadParameter("Provide at least one workflow instance ID")
    with target.client() as client:
        ids = [chosen(client, name, one, quiet=as_json) for one in ids]
        answer = client.delete_instances(name, ids)
    if as_json:
        terminal.print_json(answer)
    else:
        _show(name, [one["id"] for one in answer.get("deleted", [])])
    _fail_for(answer.get("errors", []))


def _listed(filename: Path | None) -> list[str]:
    if filename is None:
        return []
    try:
        text = filename.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {filename}: {error}", hint="Check --filename.") from error
    ids = parse_json(text, str(filename))
    if isinstance(ids, list) and all(isinstance(one, str) for one in ids):
        return ids
    raise UserError(
        f"{filename} is not a JSON array of instance IDs.", hint='Example: ["one-id", "another-id"]'
    )


def _show(name: str, deleted: list[str]) -> None:
    if deleted:
        names = ", ".join(f'"{one}"' for one in deleted)
        terminal.say(f'🗑️  Deleted workflow instances from "{name}": {names}')


def _fail_for(errors: list[dict[str, Any]]) -> None:
    if errors:
        reasons = "\n".join(f"    - {one['id']}: {one['message']}" for one in errors)
        raise SessionError(f"Failed to delete {len(errors)} workflow instance(s):\n\n{reasons}")
