"""The API over a stored state that no session serves: for commands when `pywrangler dev` does not run."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from wrangler_py.runtime.host import Host
from wrangler_py.server.app import App, create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from wrangler_py.config.model import Config


@asynccontextmanager
async def cold_app(config: Config | None, state_dir: Path) -> AsyncIterator[App]:
    """Give the ASGI app over ``state_dir``. No user code is imported; nothing runs, new instances are queued.

    Raises:
        StateError: the state directory cannot be used.
    """
    host = await Host.open_cold(config, state_dir)
    try:
        yield create_app(host)
    finally:
        await host.close()
