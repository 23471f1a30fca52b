"""The output and the log of one process of a session."""

from __future__ import annotations

import sys

from wrangler_py.runtime.channel import Load, LoadFront
from wrangler_py.runtime.logs import SessionLog
from wrangler_py.runtime.output import Console


def open_log(order: Load | LoadFront, **fields: str) -> tuple[Console, SessionLog]:
    """Return what this process writes to, and its log; as objects, they have ``fields`` that say whose it is."""
    if order.log_format == "json":
        from wrangler_py.runtime.jsonlog import JsonConsole, JsonLog

        records = JsonConsole(sys.stdout, sys.stderr, fields)
        return records, JsonLog(records, order.log_level)
    label = " ".join(filter(None, (fields["script"], fields["version"][:8])))
    console = Console(sys.stdout, sys.stderr, colour=order.colour, label=label)
    return console, SessionLog(console, order.log_level)
