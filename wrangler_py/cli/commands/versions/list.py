"""`pywrangler versions list`."""

from __future__ import annotations

from typing import Any

from wrangler_py.cli import terminal
from wrangler_py.cli.options import AsJson, RemoteTarget, RemoteToken, configured
from wrangler_py.cli.target import Target

HEADERS = ["Version ID", "Number", "Created", "Tag", "Message"]
STACKS = [(0,), (1, 2), (3, 4)]


@configured
def list_versions(
    where: Target, *, target: RemoteTarget = None, token: RemoteToken = None, as_json: AsJson = False
) -> None:
    """List the versions of this Worker, the newest first."""
    from wrangler_py.cli.remote import open_remote

    config = where.load_config()
    remote = open_remote(config, target, token)
    found = remote.call("GET", f"workers/scripts/{config.name}/versions")["items"]
    if as_json:
        terminal.print_json(found)
        return
    from wrangler_py.cli.screens import tables

    console = terminal.screen()
    rows = [_row(one) for one in found]
    console.print(tables.table(console, HEADERS, rows, tables.Narrow(STACKS, (0,))))


def _row(one: dict[str, Any]) -> list[str]:
    from wrangler_py.cli.screens.times import local

    notes = one.get("annotations") or {}
    return [
        one["id"],
        str(one["number"]),
        local(one["metadata"]["created_on"]),
        notes.get("workers/tag", ""),
        notes.get("workers/message", ""),
    ]
