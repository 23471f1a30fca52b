"""`pywrangler kv key get`."""

import sys
from typing import Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.kv.namespace import Binding, Key, NamespaceId, opened
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized
from wrangler_py.errors import UserError


@localized
def get(
    local: Local,
    *,
    key: Key,
    binding: Binding = None,
    namespace_id: NamespaceId = None,
    text: Annotated[bool, typer.Option("--text", help="Write it as a line of UTF-8 text.")] = False,
) -> None:
    """Write the value of a key to stdout, byte for byte."""
    with opened(local, binding, namespace_id, reads=True) as kv:
        value = kv.run(kv.entries.get(key, "arrayBuffer"))
    if value is None:
        # wrangler says so on stdout and succeeds; a script could not tell that from a value.
        raise UserError("Value not found", hint=f"See what is there: pywrangler kv key list {_which(kv.id)}")
    if text:
        terminal.say(value.decode("utf-8", "replace"))
    else:
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()


def _which(namespace: str) -> str:
    return f"--namespace-id {namespace}"
