"""`breakpoint()` in user code: pdb in the session's terminal.

The keys and the terminal belong to the supervisor. A worker asks for them, waits, talks, and gives them back; meanwhile
no code is replaced, other output waits, and no step times out. All this happens for each prompt: while the program goes
on to the next line, the session has its keys again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from wrangler_py.runtime.output import Console

#: Seconds by which the deadlines of steps are moved ahead of the clock, and how often.
AHEAD, EVERY = 5.0, 2.0
NO_TERMINAL = (
    "breakpoint() is passed over: the session has no terminal to debug in. Try --debug-port with an editor."
)


class Debugger:
    """Talks with the user from whichever thread stopped, one thread at a time.

    ``ask`` and ``give_back`` send to the supervisor, `answered` is called with its answer; ``excuse`` moves the
    deadlines of running steps by seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        has_terminal: bool,
        ask: Callable[[], object],
        give_back: Callable[[], object],
        excuse: Callable[[float], None],
    ) -> None:
        self._console, self._has_terminal = console, has_terminal
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
        if not self._has_terminal:
            self._console.line(f"▲ [WARNING] {NO_TERMINAL}")
            return
        from wrangler_py.runtime.prompt import Prompt

        prompt = Prompt(self.conversation, self._console.out)
        # The last call here: from now on this thread is traced, and the next line it runs must be the user's.
        prompt.set_trace(sys._getframe(1))

    def answered(self, terminal: str | None) -> None:
        """Take the supervisor's answer: the terminal's path, or None. Called from any thread."""
        self._terminal = terminal
        self._answered.set()

    @contextlib.contextmanager
    def conversation(self) -> Iterator[bool]:
        """Hold the terminal as standard input and output; False if there is none any more."""
        with self._talking:
            self._answered.clear()
            self._ask()
            self._answered.wait()
            self._console.hold()
            self.is_open = True
            try:
                with self._excused(), _standard_streams(self._terminal, self._console.out):
                    yield self._terminal is not None
            finally:
                self.is_open = False
                self._console.release()
                self._give_back()

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


@contextlib.contextmanager
def _standard_streams(terminal: str | None, screen: TextIO) -> Iterator[None]:
    """Make the terminal standard input for the time being, and ``screen`` output: line editing needs the real ones."""
    if terminal is None:
        yield
        return
    before = sys.stdin, sys.stdout
    _point_input_at(terminal)
    with open(0, closefd=False) as keyboard:
        sys.stdin, sys.stdout = keyboard, screen
        try:
            yield
        finally:
            sys.stdin, sys.stdout = before
            _point_input_at(os.devnull)


def _point_input_at(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.dup2(descriptor, 0)
    os.close(descriptor)
