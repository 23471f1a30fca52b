"""When a wake-up fires, by two clocks: the wall clock and the loop's monotonic one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.clock import LoopClock, VirtualLoop
from wrangler_py.engine.timers import Timers

DAY = 24 * 60 * 60 * 1000


class SettableClock(LoopClock):
    """Virtual time, and a wall clock that somebody sets."""

    max_wait = 5.0

    def __init__(self) -> None:
        super().__init__()
        self.skew = 0

    def now(self) -> int:
        return super().now() + self.skew


def on_virtual_time(test: Callable[[Timers, SettableClock], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        clock = SettableClock()
        timers = Timers(clock)
        await test(timers, clock)
        timers.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


async def wait_for(timers: Timers, at: int) -> float:
    """Return after how many milliseconds of the loop's time a timer fires."""
    loop = asyncio.get_running_loop()
    began, fired = loop.time(), asyncio.Event()
    timers.call_at(at, fired.set)
    await fired.wait()
    return round((loop.time() - began) * 1000)


def test_a_clock_set_back_by_a_day_does_not_stall_a_delay() -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        waiting = asyncio.create_task(wait_for(timers, clock.now() + 30))
        await asyncio.sleep(0)
        clock.skew = -DAY
        assert await waiting == 30

    on_virtual_time(test)


def test_a_clock_set_forward_wakes_what_is_due_by_it() -> None:
    """So does a suspended laptop, whose monotonic clock stood still."""

    async def test(timers: Timers, clock: SettableClock) -> None:
        waiting = asyncio.create_task(wait_for(timers, clock.now() + DAY))
        await asyncio.sleep(1)
        clock.skew = DAY
        assert await waiting <= 1000 + clock.max_wait * 1000

    on_virtual_time(test)


def test_a_delay_planned_after_the_clock_was_set_back_lasts_as_long_as_any() -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        long = asyncio.create_task(wait_for(timers, clock.now() + 60_000))
        await asyncio.sleep(0)
        clock.skew = -DAY
        assert await wait_for(timers, clock.now() + 500) == 500
        assert await long == 60_000

    on_virtual_time(test)


def test_timers_due_together_fire_in_the_order_of_their_times() -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        now, fired = clock.now(), list[int]()
        for delay in (30, 10, 20, 10):
            timers.call_at(now + delay, lambda delay=delay: fired.append(delay))
        clock.skew = DAY
        await asyncio.sleep(6)
        assert fired == [10, 10, 20, 30]

    on_virtual_time(test)


def test_a_cancelled_timer_never_fires_and_is_cleared_out() -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        fired = list[int]()
        planned = [timers.call_at(clock.now() + DAY, lambda: fired.append(1)) for _ in range(1000)]
        for timer in planned[1:]:
            timer.cancel()
            timer.cancel()
        assert len(timers._by_wall) < 250
        assert len(timers._by_loop) < 250
        await asyncio.sleep(2 * DAY / 1000)
        assert fired == [1]

    on_virtual_time(test)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(-DAY, DAY)), max_size=20))
def test_no_timer_is_late_by_more_than_the_monotonic_clock_and_each_fires_once(
    plan: list[tuple[int, int]],
) -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        loop, late, fired = asyncio.get_running_loop(), list[float](), list[int]()

        def plan_one(number: int, delay: int) -> None:
            due = loop.time() + delay / 1000

            def fire() -> None:
                fired.append(number)
                late.append(loop.time() - due)

            timers.call_at(clock.now() + delay, fire)

        for number, (delay, skew) in enumerate(plan):
            plan_one(number, delay)
            await asyncio.sleep(0.01)
            clock.skew = skew
        await asyncio.sleep(10)
        assert sorted(fired) == list(range(len(plan)))
        assert all(one < 0.002 for one in late)

    on_virtual_time(test)


@pytest.mark.parametrize("delay", [-5, 0])
def test_what_is_due_already_fires_in_the_next_turn(delay: int) -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        assert await wait_for(timers, clock.now() + delay) == 0

    on_virtual_time(test)
