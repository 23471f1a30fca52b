"""`pywrangler deployments list`."""

from __future__ import annotations

from typing import Any

from wrangler_py.cli import terminal
from wrangler_py.cli.options import AsJson, RemoteTarget, RemoteToken, configured
from wrangler_py.cli.target import Target

HEADERS = ["Deployed", "Version ID", "Source", "Message"]
STACKS = [(1,), (0, 2), (3,)]


@configured
def list_deployments(
    where: Target, *, target: RemoteTarget = None, token: RemoteToken = None, as_json: AsJson = False
) -> None:
    """List which version of this Worker was active when; the first is the one that is."""
    from wrangler_py.cli.remote import open_remote

    config = where.load_config()
    remote = open_remote(config, target, token)
    found = remote.call("GET", f"workers/scripts/{config.name}/deployments")["deployments"]
    if as_json:
        terminal.print_json(found)
        return
    from wrangler_py.cli.screens import tables

    console = terminal.screen()
    rows = [_row(one) for one in found]
    console.print(tables.table(console, HEADERS, rows, tables.Narrow(STACKS, (1,))))


def _row(one: dict[str, Any]) -> list[str]:
    from wrangler_py.cli.screens.times import local

    versions = ", ".join(_share(version) for version in one["versions"])
    message = (one.get("annotations") or {}).get("workers/message", "")
    return [local(one["created_on"]), versions, one.get("source", ""), message]


def _share(version: dict[str, Any]) -> str:
    """Return a version's id, and how much of the traffic it has if that is not all."""
    share = version.get("percentage", 100)
    return str(version["version_id"]) if share == 100 else f"{version['version_id']} ({share}%)"
