"""Who reads the keyboard: the session's hot keys, or one worker's debugger at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from wrangler_py.runtime.channel import Terminal
from wrangler_py.runtime.keys import Keys
from wrangler_py.runtime.process import WorkerProcess


class Desk:
    """Gives the terminal to debuggers in the order they ask, and to the hot keys when none does.

    ``free`` is called each time a debugger has gone and no other waits.
    """

    def __init__(self, keys: Keys | None, free: Callable[[], None]) -> None:
        self._keys, self._free = keys, free
        self._asking: deque[WorkerProcess] = deque()
        self.holder: WorkerProcess | None = None

    def open(self) -> bool:
        """Let the hot keys work, also after this process was stopped and went on; False if there is no terminal."""
        return self._keys is not None and self.holder is None and self._keys.start()

    def close(self) -> None:
        """Leave the terminal as it was found."""
        if self._keys is not None:
            self._keys.stop()

    def ask(self, worker: WorkerProcess) -> None:
        """A debugger of ``worker`` wants the terminal."""
        self._asking.append(worker)
        if self.holder is None:
            self._next()

    def leave(self, worker: WorkerProcess) -> None:
        """A debugger of ``worker`` has let go, or the whole worker has."""
        if self.holder is worker:
            self.holder = None
            self._next()

    def forget(self, worker: WorkerProcess) -> None:
        """A worker is gone, and whatever it asked for."""
        self._asking = deque(each for each in self._asking if each is not worker)
        self.leave(worker)

    def _next(self) -> None:
        while self._asking:
            worker = self._asking.popleft()
            self.close()
            self.holder = worker
            if worker.send(Terminal(self._keys.terminal if self._keys is not None else None)):
                return
            self.holder = None
        self.open()
        self._free()
