"""`pywrangler queues list`."""

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.queues.known import Entry, entry, names, opened
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import AsJson, localized

HEADERS = ["Queue", "Producers", "Consumer", "Waiting", "Delayed", "In flight"]
STACKS = [(0,), (1, 2), (3, 4, 5)]


@localized
def list_queues(local: Local, *, as_json: AsJson = False) -> None:
    """List the queues of this project, who uses them, and how many messages they hold."""
    with opened(local, reads=True) as queues:
        entries = [entry(local, queues, name) for name in names(local, queues)]
    if as_json:
        terminal.print_json(entries)
    elif entries:
        _show(entries)
    else:
        terminal.warn("There are no queues in this project. Declare one under [[queues.producers]].")


def _show(entries: list[Entry]) -> None:
    from wrangler_py.cli.screens import tables

    console = terminal.screen()
    rows = [_row(one) for one in entries]
    console.print(tables.table(console, HEADERS, rows, tables.Narrow(STACKS, (0,))))


def _row(one: Entry) -> list[str]:
    consumer = one["consumer"]["script"] if one["consumer"] else ""
    counts = [str(one[key]) for key in ("waiting", "delayed", "in_flight")]
    return [one["queue"], ", ".join(one["producers"]), consumer, *counts]
