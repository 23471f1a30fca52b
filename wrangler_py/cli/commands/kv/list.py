"""`pywrangler kv key list`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.kv.namespace import Binding, NamespaceId, opened
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized

if TYPE_CHECKING:
    from wrangler_py.bindings.kv.namespace import KvNamespace


@localized
def list_keys(
    local: Local,
    *,
    binding: Binding = None,
    namespace_id: NamespaceId = None,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only keys that begin with this.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
) -> None:
    """List the keys of a namespace as JSON, with expiration and metadata."""
    _ = as_json  # it is JSON anyway, as wrangler prints it
    with opened(local, binding, namespace_id, reads=True) as kv:
        keys = kv.run(_all(kv.entries, prefix))
    terminal.print_json(keys, indent=2)


async def _all(entries: "KvNamespace", prefix: str | None) -> list[Any]:
    keys, cursor = [], None
    while True:
        page = await entries.list(prefix=prefix, cursor=cursor)
        keys += page["keys"]
        if page["list_complete"]:
            return keys
        cursor = page["cursor"]
