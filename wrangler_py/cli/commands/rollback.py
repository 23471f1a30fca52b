"""`pywrangler rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.options import Message, RemoteTarget, RemoteToken, configured
from wrangler_py.cli.target import Target
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.cli.remote import Remote

VersionId = Annotated[
    str | None,
    typer.Argument(
        metavar="VERSION", help="ID of the version; without it, the one before.", show_default=False
    ),
]


@configured
def rollback(
    where: Target,
    *,
    version: VersionId = None,
    target: RemoteTarget = None,
    token: RemoteToken = None,
    message: Message = None,
) -> None:
    """Make an earlier version of this Worker the active one again. Instances end on the version that began them."""
    from wrangler_py.cli.remote import open_remote

    config = where.load_config()
    remote = open_remote(config, target, token)
    script = f"workers/scripts/{config.name}/deployments"
    chosen = version or _previous(remote, script)
    body = {
        "strategy": "percentage",
        "versions": [{"version_id": chosen, "percentage": 100}],
        "annotations": {"workers/message": message or "Rollback"},
    }
    remote.call("POST", script, json=body)
    terminal.say(f"Rolled back {config.name}")
    terminal.say(f"Current Version ID: {chosen}")


def _previous(remote: Remote, script: str) -> str:
    """Return the version that was active before the one that is."""
    versions = [one["versions"][0]["version_id"] for one in remote.call("GET", script)["deployments"]]
    for version in versions:
        if version != versions[0]:
            return str(version)
    raise UserError("There is no version before the active one.", hint="See: pywrangler versions list")
