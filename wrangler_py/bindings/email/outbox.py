"""The folder of messages that were "sent": one ``.eml`` file each, whole or not there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from wrangler_py.clock import iso
from wrangler_py.errors import StoreUnavailableError
from wrangler_py.storage.private import make_folder, opener


class Outbox:
    """Writes messages into ``folder``. ``shown_from`` is where the user is: paths are told from there."""

    def __init__(self, folder: Path, *, shown_from: Path) -> None:
        self._folder, self._shown_from = folder, shown_from

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        # Of its own: those of the loop may all be waiting for a message to be written, in ``def`` handlers.
        return ThreadPoolExecutor(1, thread_name_prefix="email")

    async def keep(self, write: Callable[[], bytes], id: str, at: int) -> str:
        """Store the message that ``write`` returns, which may take its time; return the path to be shown.

        Raises:
            StoreUnavailableError: it cannot be written.
        """
        path = self._folder / f"{iso(at).replace(':', '-')}-{id[:8]}.eml"
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: _write(path, write()))
        return self._shown(path)

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._shown_from) if path.is_relative_to(self._shown_from) else path)

    def close(self) -> None:
        """Finish what is being written."""
        if "_thread" in vars(self):
            self._thread.shutdown()


def _write(path: Path, data: bytes) -> None:
    """Write beside, then rename: whoever looks finds the whole message, also after a crash at any moment."""
    beside = path.with_name(f".{path.name}.part")
    try:
        make_folder(path.parent)
        with open(beside, "wb", opener=opener) as file:
            file.write(data)
        os.replace(beside, path)
    except OSError as error:
        raise StoreUnavailableError(
            f"The email cannot be written to {path.parent}: {error.strerror}"
        ) from error
