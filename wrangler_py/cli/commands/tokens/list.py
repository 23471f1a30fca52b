"""`pywrangler tokens list`."""

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.tokens.store import PersistTo, opened
from wrangler_py.cli.options import AsJson

HEADERS = ["Name", "ID", "Created", "Last used"]
STACKS = [(0,), (1,), (2,), (3,)]


def list_tokens(persist_to: PersistTo = None, *, as_json: AsJson = False) -> None:
    """List the tokens: whose they are and when they were used, to the hour. Not what they are."""
    from wrangler_py.clock import iso

    with opened(persist_to, reads=True) as tokens:
        found = tokens.list()
    if as_json:
        terminal.print_json(
            [
                {
                    "id": one.id,
                    "name": one.name,
                    "created_on": iso(one.created_at),
                    "last_used_on": None if one.last_used_at is None else iso(one.last_used_at),
                }
                for one in found
            ]
        )
        return
    if not found:
        terminal.warn("There are no tokens. Make one: pywrangler tokens create NAME")
        return
    from wrangler_py.cli.screens import tables
    from wrangler_py.cli.screens.times import local_at

    rows = [
        [
            one.name,
            one.id,
            local_at(one.created_at),
            "never" if one.last_used_at is None else local_at(one.last_used_at),
        ]
        for one in found
    ]
    console = terminal.screen()
    console.print(tables.table(console, HEADERS, rows, tables.Narrow(STACKS, (0, 1))))
