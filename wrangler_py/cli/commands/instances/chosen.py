"""Which instance an ID means."""

from wrangler_py.cli import terminal
from wrangler_py.cli.client import Client

LATEST = "latest"


def chosen(client: Client, workflow: str, instance_id: str, *, quiet: bool) -> str:
    """Return the ID itself, or for ``latest`` that of the newest instance, said on stdout unless ``quiet``.

    Raises SessionError if the workflow has no instance.
    """
    if instance_id != LATEST:
        return instance_id
    newest = client.latest(workflow)
    if not quiet:
        terminal.say(f'Latest instance is "{newest}"')
    return newest
