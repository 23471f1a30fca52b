"""When the user's code failed: one short text for visitor and terminal, with the user's own frames."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.runtime.tracebacks import readable
from wrangler_py.server.answer import Answer, text

if TYPE_CHECKING:
    from wrangler_py.runtime.host import Host

#: All a visitor of a deployed Worker is told (docs of Workers, "Errors", 1101).
THREW = "error code: 1101 (the Worker threw an exception; its log says more)"
logger = logging.getLogger(__name__)


def log_fault(host: Host, error: Exception, what: str) -> str:
    """Log that ``what`` failed; return how it is told: the user's frames, or a mistake and its advice."""
    told = _mistake(error) if isinstance(error, UserError) else readable(error, host.roots)
    logger.error("%s failed\n%s", what, told)
    return told


def fault_page(host: Host, error: Exception, what: str) -> Answer:
    """Log that ``what`` failed and return the page that says so, status 500; how, only where visitors may know."""
    told = log_fault(host, error, what)
    return text(500, f"{told if host.options.shows_faults else THREW}\n")


def _mistake(error: UserError) -> str:
    frames = error.traceback.rstrip() if isinstance(error, WorkerLoadError) else ""
    return "\n".join(part for part in (frames, str(error), error.hint) if part)
