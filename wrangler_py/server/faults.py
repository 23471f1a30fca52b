"""What a visitor sees when the user's code failed: a short page of text with the user's own frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.runtime.tracebacks import readable
from wrangler_py.server.answer import Answer, text

if TYPE_CHECKING:
    from wrangler_py.runtime.host import Host


def fault_page(host: Host, error: Exception) -> Answer:
    """Return status 500 and what happened."""
    content = _mistake(error) if isinstance(error, UserError) else readable(error, host.roots)
    return text(500, f"{content}\n")


def _mistake(error: UserError) -> str:
    frames = error.traceback.rstrip() if isinstance(error, WorkerLoadError) else ""
    return "\n".join(part for part in (frames, str(error), error.hint) if part)
