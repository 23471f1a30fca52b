"""Single keys typed in the session's terminal."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable
from typing import Any


class Keys:
    """Calls ``pressed`` with each key. The terminal is as it was before whenever `pause` or `stop` returned."""

    def __init__(self, pressed: Callable[[str], None], descriptor: int = 0) -> None:
        self._pressed = pressed
        self._descriptor = descriptor
        self._is_reading = False
        #: How the terminal was before it was touched.
        self._cooked: list[Any] | None = None

    @property
    def terminal(self) -> str | None:
        """Return the path of the terminal keys come from, None if standard input is none."""
        try:
            return os.ttyname(self._descriptor)
        except OSError:
            return None

    def start(self) -> bool:
        """Read keys one by one, without Enter, from now on. False if this process is not at the front of a terminal."""
        if not _is_in_front(self._descriptor):
            return False
        if self._cooked is None:
            self._cooked = termios.tcgetattr(self._descriptor)
        if not self._is_reading:
            self._is_reading = True
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        tty.setcbreak(self._descriptor, termios.TCSANOW)
        return True

    def stop(self) -> None:
        """Leave the keyboard to whoever is next, the shell or a debugger, in the state in which it was found."""
        if self._is_reading:
            self._is_reading = False
            asyncio.get_running_loop().remove_reader(self._descriptor)
        if self._cooked is not None and _is_in_front(self._descriptor):
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._cooked)

    def _read(self) -> None:
        try:
            typed = os.read(self._descriptor, 64)
        except OSError:
            typed = b""
        if not typed:
            self.stop()
        if not typed.startswith(b"\x1b"):
            for key in typed.decode(errors="ignore"):
                self._pressed(key)


def _is_in_front(descriptor: int) -> bool:
    """Return False in the background of a shell: touching the terminal from there would stop this process."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False


def may_ask() -> bool:
    """Return True if a person sits there: both ends are a terminal, and it is no automatic run."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")
