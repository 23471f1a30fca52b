"""The heartbeat of a process: it renews the lease from a thread of its own, and sees when the event loop is blocked."""

from __future__ import annotations

import asyncio
import logging
import threading
from types import FrameType, SimpleNamespace

import pytest

from wrangler_py.engine import lease
from wrangler_py.engine.lease import Heartbeat
from wrangler_py.errors import StoreUnavailableError

NOW = 50_000
EPOCH = 7


class Heart:
    """A heartbeat over a made-up store, which answers each renewal by ``answers``, and the last one for ever.

    Its clock for what is blocked goes on by half a second with each look at it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: bool | Exception) -> None:
        self.answers = [*answers]
        self.renewals: list[tuple[int, int]] = []
        self.lost_in: list[int] = []
        self.blocks: list[tuple[float, list[str]]] = []
        self.is_blocked, self.has_beaten = threading.Event(), threading.Semaphore(0)
        self._seconds = 100.0
        monkeypatch.setattr(lease, "BEAT_S", 0.0001)
        monkeypatch.setattr(lease, "time", SimpleNamespace(monotonic=self._monotonic))

    def begin(self) -> Heartbeat:
        self._loop = asyncio.get_running_loop()
        return Heartbeat(self, self, EPOCH, on_lost=self._lose, on_blocked=self._block)

    async def beats(self, count: int) -> None:
        """Wait for so many beats more."""
        for _ in range(count):
            assert await asyncio.to_thread(self.has_beaten.acquire, timeout=10)

    def now(self) -> int:
        return NOW

    def renew_lease(self, epoch: int, until: int) -> bool:
        self.renewals.append((epoch, until))
        self.has_beaten.release()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _lose(self) -> None:
        self.lost_in.append(threading.get_ident())

    def _block(self, seconds: float, frames: list[FrameType]) -> None:
        self.blocks.append((seconds, [frame.f_code.co_name for frame in frames]))
        self.is_blocked.set()

    def _monotonic(self) -> float:
        self._seconds += 0.5
        return self._seconds


def test_a_lease_outlives_nine_beats_that_are_missed():
    assert (lease.LEASE_MS, lease.BEAT_S, lease.BLOCKED_S) == (10_000, 1.0, 1.0)


def test_a_lease_is_renewed_until_the_heart_is_stopped(monkeypatch):
    async def main() -> int:
        beating = heart.begin()
        await heart.beats(3)
        await beating.stop()
        assert not beating._thread.is_alive()
        return len(heart.renewals)

    heart = Heart(monkeypatch, True)
    assert asyncio.run(main()) >= 3
    assert set(heart.renewals) == {(EPOCH, NOW + 10_000)}
    assert heart.lost_in == []


def test_the_heart_never_keeps_a_process_alive(monkeypatch):
    async def main() -> None:
        beating = heart.begin()
        assert (beating._thread.daemon, beating._thread.name) == (True, "heartbeat")
        await beating.stop()

    heart = Heart(monkeypatch, True)
    asyncio.run(main())


def test_a_lease_that_is_lost_is_told_once_on_the_event_loop_and_not_asked_for_again(monkeypatch):
    async def main() -> None:
        beating = heart.begin()
        await asyncio.to_thread(beating._thread.join, 10)
        await asyncio.sleep(0)
        await beating.stop()

    heart = Heart(monkeypatch, True, False)
    asyncio.run(main())
    assert heart.lost_in == [threading.get_ident()]
    assert len(heart.renewals) == 2


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (StoreUnavailableError("locked"), []),
        (ValueError("odd"), ["the lease of this process could not be renewed: odd"]),
    ],
    ids=["the store's, which the next commit tells", "any other, which nobody else tells"],
)
def test_the_heart_beats_on_whatever_a_renewal_raises(monkeypatch, caplog, trouble, told):
    async def main() -> None:
        beating = heart.begin()
        await heart.beats(3)
        await beating.stop()

    heart = Heart(monkeypatch, trouble, True)
    with caplog.at_level(logging.DEBUG, "wrangler_py"):
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if record.name.startswith("wrangler_py")] == told
    assert heart.lost_in == []


def test_a_loop_that_does_not_answer_for_a_second_is_told_with_where_it_is_the_innermost_first(monkeypatch):
    def hold() -> None:
        assert heart.is_blocked.wait(10)

    async def main() -> None:
        beating = heart.begin()
        hold()
        await beating.stop()

    heart = Heart(monkeypatch, True)
    asyncio.run(main())
    seconds, names = heart.blocks[0]
    assert seconds == 1.0
    assert names.index("hold") < names.index("main") < names.index("run_forever")


def test_a_loop_that_answers_is_not_blocked(monkeypatch):
    def answered(epoch: int, until: int) -> bool:
        seen = threading.Event()
        heart._loop.call_soon_threadsafe(seen.set)
        assert seen.wait(10)
        return Heart.renew_lease(heart, epoch, until)

    async def main() -> None:
        beating = heart.begin()
        await heart.beats(8)
        await beating.stop()

    heart = Heart(monkeypatch, True)
    heart.renew_lease = answered
    asyncio.run(main())
    assert heart.blocks == []


def test_a_heart_that_outlives_its_loop_ends_when_the_lease_is_lost(monkeypatch):
    raised: list[object] = []

    async def main() -> Heartbeat:
        return heart.begin()

    heart = Heart(monkeypatch, True, True, False)
    monkeypatch.setattr(threading, "excepthook", raised.append)
    may_end = threading.Event()
    monkeypatch.setattr(heart, "now", lambda: may_end.wait(10) and NOW)
    beating = asyncio.run(main())
    may_end.set()
    beating._thread.join(10)
    assert (beating._thread.is_alive(), raised, heart.lost_in) == (False, [], [])
