"""`breakpoint()` in user code: pdb in the session's terminal.

The keys and the terminal belong to the supervisor. A worker asks for them, waits, talks, and gives them back; meanwhile no
code is replaced, other output waits, and no step times out. All this happens for each prompt: while the program goes on
to the next line, the session has its keys again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pdb
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TextIO

from wrangler_py.runtime.output import Console

#: Code that stepping does not stop in.
SKIPPED = ("wrangler_py.*", "asyncio.*", "uvloop.*", "concurrent.*", "contextvars", "threading", "selectors")
#: Seconds by which the deadlines of steps are moved ahead of the clock, and how often.
AHEAD, EVERY = 5.0, 2.0
NO_TERMINAL = "breakpoint() is passed over: the session has no terminal to debug in. Use --debug-port with an editor."


class Debugger:
    """Talks with the user from whichever thread stopped, one thread at a time.

    ``ask`` and ``give_back`` send to the supervisor, `answered` is called with its answer; ``excuse`` moves the deadlines
    of running steps by seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        ask: Callable[[], None],
        give_back: Callable[[], None],
        excuse: Callable[[float], None],
    ) -> None:
        self._console = console
        self._ask, self._give_back, self._excuse = ask, give_back, excuse
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._talking = threading.RLock()
        self._answered = threading.Event()
        self._terminal: str | None = None
        #: True while a prompt is open; the loop may be blocked by it.
        self.is_open = False

    def install(self) -> None:
        """Make `breakpoint()` come here, unless ``PYTHONBREAKPOINT`` names another debugger."""
        if "PYTHONBREAKPOINT" not in os.environ:
            sys.breakpointhook = self.hook

    def hook(self, *_args: Any, **_options: Any) -> None:
        """Stop in the caller's frame."""
        if not self._has_terminal():
            self._console.line(f"▲ [WARNING] {NO_TERMINAL}")
            return
        prompt = Prompt(self.conversation)
        # The last call here: from now on this thread is traced, and the next line it runs must be the user's.
        prompt.set_trace(sys._getframe(1))

    def answered(self, terminal: str | None) -> None:
        """Take the supervisor's answer: the terminal's path, or None."""
        self._terminal = terminal
        self._answered.set()

    @contextlib.contextmanager
    def conversation(self) -> Iterator[TextIO | None]:
        """Hold the terminal; gives a file to read from and write to, or None if there is no terminal any more."""
        with self._talking:
            terminal = self._acquire()
            self._console.hold()
            self.is_open = True
            try:
                with _opened(terminal) as file, self._excused():
                    yield file
            finally:
                self.is_open = False
                self._console.release()
                self._give_back()

    def _has_terminal(self) -> bool:
        with self._talking:
            terminal = self._acquire()
            self._give_back()
        return terminal is not None

    def _acquire(self) -> str | None:
        self._answered.clear()
        self._ask()
        self._answered.wait()
        return self._terminal

    @contextlib.contextmanager
    def _excused(self) -> Iterator[None]:
        """Keep steps from timing out: at once if the loop waits with us, else ahead of the clock, again and again."""
        began = time.monotonic()
        if threading.get_ident() == self._loop_thread:
            yield
            self._excuse(time.monotonic() - began)
            return
        done, given = threading.Event(), AHEAD
        self._excuse_from_thread(AHEAD)

        def go_on() -> None:
            nonlocal given
            while not done.wait(EVERY):
                given += EVERY
                self._excuse_from_thread(EVERY)

        ticker = threading.Thread(target=go_on, name="pywrangler-debugger", daemon=True)
        ticker.start()
        try:
            yield
        finally:
            done.set()
            ticker.join()
            self._excuse_from_thread(time.monotonic() - began - given)

    def _excuse_from_thread(self, seconds: float) -> None:
        self._loop.call_soon_threadsafe(self._excuse, seconds)


class Prompt(pdb.Pdb):
    """pdb, holding the terminal only while it shows its prompt."""

    def __init__(self, conversation: Callable[[], contextlib.AbstractContextManager[TextIO | None]]) -> None:
        super().__init__(skip=SKIPPED, nosigint=True)
        self._conversation = conversation

    def interaction(self, frame: FrameType | None, *rest: Any) -> None:
        """Talk with the user about where the program stands."""
        with self._conversation() as terminal:
            if terminal is None:
                self.set_continue()
                return
            self._take_streams(terminal)
            super().interaction(frame, *rest)

    def _take_streams(self, terminal: TextIO) -> None:
        self.stdin = self.stdout = terminal
        # Line editing needs the process's own standard streams to be that terminal; `_opened` arranged it.
        self.use_rawinput = True

    def set_quit(self) -> None:
        """Let the program go on, instead of ending it: ``q`` leaves the debugger, not the session."""
        self.set_continue()


@contextlib.contextmanager
def _opened(path: str | None) -> Iterator[TextIO | None]:
    """Make the terminal the standard streams of Python for the time being."""
    if path is None:
        yield None
        return
    with open(path, "r+b", buffering=0) as raw:  # noqa: PTH123 - a device
        os.dup2(raw.fileno(), 0)
    before = sys.stdin, sys.stdout
    with open(0, closefd=False) as reader, open(_writable(path), "w", buffering=1) as writer:  # noqa: PTH123
        sys.stdin, sys.stdout = reader, writer
        try:
            yield writer
        finally:
            sys.stdin, sys.stdout = before


def _writable(path: str) -> int:
    return os.dup(sys.__stdout__.fileno()) if _is(path, sys.__stdout__) else os.open(path, os.O_WRONLY | os.O_NOCTTY)
