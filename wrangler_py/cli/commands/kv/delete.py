"""`pywrangler kv key delete`."""

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.kv.namespace import Binding, Key, NamespaceId, opened
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized


@localized
def delete(local: Local, *, key: Key, binding: Binding = None, namespace_id: NamespaceId = None) -> None:
    """Remove a key from a namespace."""
    with opened(local, binding, namespace_id) as kv:
        terminal.say(f'Deleting the key "{key}" on namespace {kv.id}.')
        kv.run(kv.entries.delete(key))
