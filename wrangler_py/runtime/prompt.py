"""pdb, as it fits into a session. Imported when the first breakpoint is met: most sessions meet none."""

from __future__ import annotations

import pdb
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, TextIO

#: Code that stepping does not stop in, and that `where`, `up` and `down` leave out. ``__main__`` is the worker's own.
SKIPPED = (
    "wrangler_py.*",
    "asyncio.*",
    "uvloop.*",
    "concurrent.*",
    "contextvars",
    "threading",
    "__main__",
    "runpy",
)


class Prompt(pdb.Pdb):
    """pdb that holds the terminal only while it shows its prompt, and knows only the user's frames."""

    def __init__(self, conversation: Callable[[], AbstractContextManager[bool]], screen: TextIO) -> None:
        super().__init__(skip=SKIPPED, nosigint=True)
        self.stdout = screen
        self._conversation = conversation

    def interaction(self, frame: FrameType | None, *rest: Any) -> None:
        """Talk with the user about where the program stands."""
        with self._conversation() as has_terminal:
            if has_terminal:
                super().interaction(frame, *rest)
            else:
                self.set_continue()

    def get_stack(self, f: FrameType | None, t: Any) -> tuple[list[tuple[FrameType, int]], int]:
        """Return the user's frames, and which of them is looked at."""
        stack, index = super().get_stack(f, t)
        own = [
            at
            for at, (frame, _) in enumerate(stack)
            if not self.is_skipped_module(str(frame.f_globals.get("__name__")))
        ]
        if not own:
            return stack, index
        return [stack[at] for at in own], max(sum(at <= index for at in own) - 1, 0)

    def set_quit(self) -> None:
        """Let the program go on, instead of ending it: ``q`` leaves the debugger, not the session."""
        self.set_continue()
