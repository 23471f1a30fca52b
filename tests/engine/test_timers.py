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
        assert await waiting == clock.max_wait * 1000

    on_virtual_time(test)


def test_a_clock_set_forward_while_a_timer_fires_wakes_the_next_at_once() -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        def forward() -> None:
            clock.skew = DAY

        timers.call_at(clock.now() + 1000, forward)
        assert await wait_for(timers, clock.now() + DAY) == 1000

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


def test_a_cancelled_timer_never_fires() -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        fired = list[int]()
        planned = [timers.call_at(clock.now() + DAY, lambda: fired.append(1)) for _ in range(3)]
        for timer in planned[1:]:
            timer.cancel()
        await asyncio.sleep(2 * DAY / 1000)
        assert fired == [1]

    on_virtual_time(test)


def heaps(timers: Timers) -> set[int]:
    return {len(timers._by_wall), len(timers._by_loop)}


def test_cancelled_timers_are_cleared_out_once_they_are_more_than_a_hundred_and_more_than_half() -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        many = [timers.call_at(clock.now() + DAY, print) for _ in range(1000)]

        def cancel(count: int) -> None:
            for _ in range(count):
                timer = many.pop()
                timer.cancel()
                timer.cancel()

        cancel(500)
        assert heaps(timers) == {1000}
        cancel(1)
        assert heaps(timers) == {499}
        cancel(249)
        assert heaps(timers) == {499}
        cancel(1)
        assert heaps(timers) == {249}
        cancel(200)
        assert heaps(timers) == {124}
        cancel(25)
        assert heaps(timers) == {124}
        cancel(1)
        assert heaps(timers) == {23}

    on_virtual_time(test)


def test_what_has_fired_by_one_clock_is_cleared_out_for_the_other() -> None:
    """An hour and a day are left by the wall clock, one hour by the loop's, for the timer that keeps the rest down."""

    async def test(timers: Timers, clock: SettableClock) -> None:
        clock.skew = DAY
        timers.call_at(clock.now() + DAY // 24, print)
        clock.skew = 0
        for _ in range(300):
            timers.call_at(clock.now() + DAY // 12, lambda: None)
        clock.skew = DAY // 8
        await asyncio.sleep(clock.max_wait + 1)
        assert len(timers._by_loop) <= 101

    on_virtual_time(test)


def test_after_a_clearing_out_each_timer_that_is_left_fires_in_its_time() -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        began, fired = clock.now(), list[tuple[int, int]]()
        delays = [number * 37 % 1000 for number in range(1000)]  # Each once.
        planned = [
            timers.call_at(began + delay, lambda delay=delay: fired.append((delay, clock.now() - began)))
            for delay in delays
        ]
        for delay, timer in zip(delays, planned, strict=True):
            if delay % 5 != delay // 100 % 5:
                timer.cancel()
        await asyncio.sleep(1)
        assert fired == [(delay, delay) for delay in range(1000) if delay % 5 == delay // 100 % 5]

    on_virtual_time(test)


def scheduled() -> int:
    """Return how many timers the event loop has."""
    loop = asyncio.get_running_loop()
    return sum(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]


def test_however_many_wake_ups_are_planned_the_event_loop_has_one_timer() -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        for delay in range(5000, 0, -100):
            timers.call_at(clock.now() + delay, lambda: None)
        assert scheduled() == 1

    on_virtual_time(test)


def test_once_closed_nothing_that_was_planned_fires_although_more_is_planned() -> None:
    async def test(timers: Timers, clock: SettableClock) -> None:
        fired = list[int]()
        timers.call_at(clock.now() + 10, lambda: fired.append(10))
        timers.close()
        assert scheduled() == 0
        timers.call_at(clock.now() + 20, lambda: fired.append(20))
        await asyncio.sleep(1)
        assert fired == [20]

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
