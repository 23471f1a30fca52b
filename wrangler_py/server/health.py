"""Is the session well? For commands that look for it, and for whatever keeps it running."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

from wrangler_py import __version__
from wrangler_py.server.answer import JSON_TYPE, Answer

if TYPE_CHECKING:
    from wrangler_py.server.call import Call


async def get_health(call: Call) -> Answer:
    """Return ``{status, version, name, error, resident, threads}``; broken code is answered 200 too.

    ``status`` is ``ok`` or ``broken``; ``error`` says why the Worker's code could not be loaded; ``resident``
    counts the instances in memory.
    """
    host, error = call.host, call.host.load_error
    health = {
        "status": "broken" if error else "ok",
        "version": __version__,
        "name": host.config.name if host.config else None,
        "error": str(error) if error else None,
        "resident": host.engine.resident_count(),
        "threads": threading.active_count(),
    }
    return Answer(200, msgspec.json.encode(health), (JSON_TYPE,))
