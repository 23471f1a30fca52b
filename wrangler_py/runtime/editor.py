"""An editor's debugger, attached over debugpy (``--debug-port``)."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from wrangler_py.errors import UserError

#: Seconds to go on trying for the port: the worker before this one may still hold it.
PATIENCE, PAUSE = 40.0, 0.5
#: How often to look whether the whole process stood still, in seconds, and from when on it did.
LOOK, STILL = 0.25, 1.0


def check_debugger(port: int | None) -> None:
    """Raise UserError if a port is asked for and debugpy is not installed."""
    if port is not None and importlib.util.find_spec("debugpy") is None:
        raise UserError(
            "--debug-port needs debugpy, which is not installed.", hint="Install it: pip install debugpy"
        )


class EditorDebugger:
    """Lets an editor attach to this process on ``port``; ``tell`` says when it may, or why not."""

    def __init__(self, port: int, tell: Callable[[str], None], excuse: Callable[[float], None]) -> None:
        self._port, self._tell, self._excuse = port, tell, excuse
        self._looked_at = 0.0

    def start(self) -> None:
        """Listen, on a thread, as soon as the port is free; from then on excuse steps for the time stood still."""
        threading.Thread(target=self._listen, name="pywrangler-debugpy", daemon=True).start()
        self._looked_at = time.monotonic()
        self._look()

    def _listen(self) -> None:
        # It would warn of frozen modules, which are Python's own: nobody sets a breakpoint there.
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                _debugpy().listen(("127.0.0.1", self._port))
            except (RuntimeError, OSError) as error:
                if time.monotonic() > deadline:
                    self._tell(f"▲ [WARNING] debugpy cannot listen on port {self._port}: {error}")
                    return
                time.sleep(PAUSE)
            else:
                self._tell(f"⎔ debugpy listens on 127.0.0.1:{self._port}")
                return

    def _look(self) -> None:
        """Notice that a breakpoint in the editor has stopped all threads: steps are not to blame for that time."""
        now = time.monotonic()
        stood = now - self._looked_at - LOOK
        if stood > STILL and _is_attached():
            self._excuse(stood)
        self._looked_at = now
        asyncio.get_running_loop().call_later(LOOK, self._look)


def _is_attached() -> bool:
    return bool(_debugpy().is_client_connected())


def _debugpy() -> Any:
    return importlib.import_module("debugpy")
