"""The connections to one other Worker: few, kept, and always to where it listens now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wrangler_py.bindings.failures import PeerLostError
from wrangler_py.bindings.parcel import Answer, Misdirected, Parcel, open_answer
from wrangler_py.bindings.wires import ForeignError, UnreadError, Wire

if TYPE_CHECKING:
    from wrangler_py.sdk.web.streams import Source

#: Connections in use at a time; calls beyond wait. And those that are kept while nobody calls.
MAX_IN_USE, MAX_IDLE = 256, 32
#: Seconds after which an idle connection is not used again: fewer than the other side keeps it.
MAX_AGE = 60.0

#: Returns the base URL of a script that runs now, or None; ``unix://localhost/PATH`` is a socket in the file system.
Find = Callable[[str], str | None]


class AbsentError(Exception):
    """No running session has the Worker; nothing was done."""


class _Lane:
    """The connections of calls that as many other calls led to.

    A call waits for those it makes itself, which are in the next lane: so Workers that call each other in circles
    cannot wait for each other's connections.
    """

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(MAX_IN_USE)
        self.busy: set[Wire] = set()
        self.idle: list[Wire] = []
        #: Calls that have no connection yet.
        self.waiting = 0

    def forget(self, wire: Wire) -> None:
        """Let go of a connection; if it was in use, another call may have one."""
        if wire in self.busy:
            self.busy.remove(wire)
            self.free.release()
        elif wire in self.idle:
            self.idle.remove(wire)


class Link:
    """Carries parcels to the Worker ``script``, wherever ``find`` says it is."""

    def __init__(self, script: str, find: Find) -> None:
        self._script, self._find = script, find
        self._lanes: dict[int, _Lane] = {}
        #: Believed as long as a connection to it is open or on its way: then it is surely who listens there.
        self._address: str | None = None
        self._open = 0

    async def carry(self, parcel: Parcel, depth: int) -> tuple[Answer, Source]:
        """Return the answer to a parcel, and the body that comes with it. What was certainly not done is asked again.

        Raises:
            AbsentError: no session has the Worker.
            PeerLostError: the connection broke; the parcel may have been read or not.
            Exception: what the body of the parcel raised.
        """
        lane = self._lanes.setdefault(depth, _Lane())
        for _ in range(2):
            wire = await self._take(lane)
            try:
                answer = await wire.exchange(parcel)
                head = open_answer(answer)
            except UnreadError:
                continue
            except ForeignError:
                head = Misdirected("")
            if not isinstance(head, Misdirected):
                return head, answer.body
            # Somebody else listens there now, and has done nothing.
            self._forget_address()
            if not isinstance(parcel.body, bytes):
                break
        raise AbsentError

    async def _take(self, lane: _Lane) -> Wire:
        lane.waiting += 1
        try:
            await lane.free.acquire()
        finally:
            lane.waiting -= 1
        try:
            wire = self._rested(lane) or await self._connect(lane)
        except BaseException:
            lane.free.release()
            raise
        lane.busy.add(wire)
        return wire

    def _rested(self, lane: _Lane) -> Wire | None:
        while lane.idle:
            wire = lane.idle[-1]
            if wire.age < MAX_AGE and wire.is_fresh:
                return lane.idle.pop()
            wire.close()
        return None

    async def _connect(self, lane: _Lane) -> Wire:
        """Connect to where the Worker was last; to where it is now, if that fails or nothing is known."""
        if self._open and self._address is not None:
            try:
                return await self._dial(lane, self._address)
            except OSError:
                pass
        self._address = self._find(self._script)
        if self._address is None:
            raise AbsentError
        try:
            return await self._dial(lane, self._address)
        except OSError:
            raise AbsentError from None

    async def _dial(self, lane: _Lane, address: str) -> Wire:
        url = urlsplit(address)
        loop = asyncio.get_running_loop()
        make = partial(Wire, url.netloc, partial(self._changed, lane), self._lost)
        self._open += 1
        try:
            if url.scheme == "unix":
                _, wire = await loop.create_unix_connection(make, url.path)
            else:
                _, wire = await loop.create_connection(make, url.hostname or "localhost", url.port or 80)
        except BaseException:
            self._open -= 1
            raise
        return wire

    def _changed(self, lane: _Lane, wire: Wire) -> None:
        lane.forget(wire)
        if wire.is_closed:
            self._open -= 1
        elif len(lane.idle) < MAX_IDLE + lane.waiting:
            lane.idle.append(wire)
        else:
            wire.close()

    def _lost(self) -> Exception:
        return PeerLostError(
            f'Network connection lost: the Worker "{self._script}" went away during a call, '
            "which may have been carried out or not"
        )

    def _forget_address(self) -> None:
        """Have the next call look where the Worker is."""
        self._address = None
        for lane in self._lanes.values():
            for wire in list(lane.idle):
                wire.close()

    def close(self) -> None:
        """Close every connection."""
        self._forget_address()
        for lane in self._lanes.values():
            for wire in list(lane.busy):
                wire.close()
