"""send_email: messages are checked as on Cloudflare, written as ``.eml`` files, told in the log, and never sent.

`binding` is what hangs on ``env``; `draft` reads the dict form and `headers` its headers; `mime` writes and reads
messages; `outbox` keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from wrangler_py.bindings.declared import Declared

if TYPE_CHECKING:
    from wrangler_py.bindings.email.binding import SendEmail
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config
    from wrangler_py.config.model import EmailConfig

#: Where messages are kept: ``<state>/email``.
FOLDER = "email"


def declare(config: Config) -> Iterator[Declared]:
    """Yield the send_email bindings of a configuration."""
    for one in config.resources.send_email:
        yield Declared(one.binding, "Send Email", _detail(one), partial(_make, one))


def _detail(config: EmailConfig) -> str:
    receivers = (config.destination,) if config.destination else config.receivers
    to, by = ", ".join(receivers), ", ".join(config.senders)
    return " ".join(filter(None, [to, f"from {by}" if by else ""])) or "unrestricted"


def _make(config: EmailConfig, on: Resources) -> SendEmail:
    from wrangler_py.bindings.email.binding import SendEmail
    from wrangler_py.bindings.email.outbox import Outbox

    outbox = Outbox(on.state_dir / FOLDER, shown_from=on.config.root)
    on.on_close(outbox.close)
    return SendEmail(config, outbox, on.clock)
