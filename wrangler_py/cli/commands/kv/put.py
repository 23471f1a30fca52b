"""`pywrangler kv key put`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.kv.namespace import Binding, Key, NamespaceId, demand_one, opened
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized
from wrangler_py.cli.payloads import parse_json
from wrangler_py.errors import UserError


@localized
def put(
    local: Local,
    *,
    key: Key,
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help="The value, as text.", show_default=False)
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take the value from a file instead.", show_default=False),
    ] = None,
    binding: Binding = None,
    namespace_id: NamespaceId = None,
    ttl: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", help="Let it expire after this time, at least 60.", show_default=False
        ),
    ] = None,
    expiration: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", help="Let it expire then, in seconds since 1970.", show_default=False
        ),
    ] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="Any JSON to keep with it.", show_default=False)
    ] = None,
) -> None:
    """Write a key and its value into a namespace.

    Example: pywrangler kv key put greeting hello --binding MY_KV
    """
    demand_one("value", value, "path", path)
    extra = None if metadata is None else parse_json(metadata, "metadata")
    data = value if path is None else _read(path)
    with opened(local, binding, namespace_id) as kv:
        kv.run(kv.entries.put(key, data, expiration=expiration, expirationTtl=ttl, metadata=extra))
        what = f"contents of {path} to the" if path else f'value "{value}" to'
        suffix = "" if extra is None else f' with metadata "{_compact(extra)}"'
        terminal.say(terminal.printable(f'Writing the {what} key "{key}" on namespace {kv.id}{suffix}.'))


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
