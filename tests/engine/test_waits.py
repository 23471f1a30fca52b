"""Waits of an instance, the events on their way to it, and the gate before its steps: each by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.world import run_virtual
from wrangler_py.clock import LoopClock
from wrangler_py.engine.instance.gate import Gate
from wrangler_py.engine.instance.mailbox import Mailbox
from wrangler_py.engine.instance.place import StepPlace, current_step
from wrangler_py.engine.instance.waits import Wait, Waits
from wrangler_py.engine.store import EventRow
from wrangler_py.engine.timers import Timers
from wrangler_py.errors import Abort


class Scene:
    """An instance that notes what its waits and its gate ask of it."""

    def __init__(self) -> None:
        self._clock = LoopClock()
        self.began = self._clock.now()
        self.timers = Timers(self._clock)
        self.waits = Waits(self, self.timers)
        self.gate = Gate(self)
        self.wakes, self.idle_checks = 0, 0
        self.is_stopping = False
        self.is_held, self.is_collecting = False, False
        #: It has a slot: what is over goes on at once.
        self.has_slot = True

    def now(self) -> int:
        return self._clock.now()

    @property
    def passed(self) -> int:
        return self.now() - self.began

    def check_idle(self) -> None:
        self.idle_checks += 1

    def check_going(self) -> None:
        if self.is_stopping:
            raise Abort

    def wake(self) -> None:
        self.wakes += 1
        if self.has_slot:
            self.waits.let_go()

    def start(self, work: Awaitable[Any], *, nested: bool = False) -> asyncio.Task[int]:
        """Let a task wait; it returns after how many milliseconds that was over."""

        async def wait() -> int:
            if nested:
                current_step.set(StepPlace("w", "me", "outer-1"))
            await work
            return self.passed

        return asyncio.ensure_future(wait())

    async def sleep(self, ms: int) -> None:
        await asyncio.sleep(ms / 1000)

    def due_in(self) -> int | None:
        due_at = self.waits.due_at()
        return None if due_at is None else due_at - self.began


def on_scene(body: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        await body(Scene())

    run_virtual(main())


# waits ----------------------------------------------------------------------------------------------------------------


def test_a_wait_is_over_when_it_is_due_and_no_wait_is_left_then() -> None:
    async def body(scene: Scene) -> None:
        assert (bool(scene.waits), scene.due_in()) == (False, None)
        long, short = (scene.start(scene.waits.until_time(scene.began + ms)) for ms in (500, 200))
        await scene.sleep(1)
        assert (bool(scene.waits), scene.due_in(), scene.idle_checks) == (True, 200, 2)
        assert len(scene.waits.futures) == 2
        assert await short == 200
        assert scene.due_in() == 500
        assert await long == 500
        assert (bool(scene.waits), scene.wakes) == (False, 2)

    on_scene(body)


def test_what_is_due_already_is_not_waited_for() -> None:
    async def body(scene: Scene) -> None:
        await scene.waits.until_time(scene.began)
        assert (scene.passed, scene.idle_checks) == (0, 0)

    on_scene(body)


def test_what_is_over_without_a_slot_goes_on_when_it_gets_one_and_is_due_meanwhile() -> None:
    async def body(scene: Scene) -> None:
        scene.has_slot = False
        one = scene.start(scene.waits.until_time(scene.began + 200))
        scene.start(scene.waits.until_time(scene.began + 900))
        await scene.sleep(300)
        assert (scene.wakes, one.done(), scene.due_in()) == (1, False, 300)
        scene.waits.let_go()
        scene.waits.let_go()
        assert await one == 300
        assert scene.due_in() == 900

    on_scene(body)


def test_a_wait_that_rang_before_anybody_awaits_it_is_over_at_once() -> None:
    async def body(scene: Scene) -> None:
        wait = scene.waits.begin(scene.began + 500)
        wait.ring()
        assert await scene.start(scene.waits.until(wait)) == 0
        await scene.sleep(600)
        assert scene.wakes == 2

    on_scene(body)


def test_a_wait_that_is_given_up_wakes_nobody_later() -> None:
    async def body(scene: Scene) -> None:
        one = scene.start(scene.waits.until_time(scene.began + 200))
        await scene.sleep(1)
        one.cancel()
        await scene.sleep(500)
        assert (scene.wakes, bool(scene.waits)) == (0, False)

    on_scene(body)


def test_a_task_whose_instance_stops_meanwhile_does_not_go_on() -> None:
    async def body(scene: Scene) -> None:
        one = scene.start(scene.waits.until_time(scene.began + 200))
        await scene.sleep(1)
        scene.is_stopping = True
        with pytest.raises(Abort):
            await one

    on_scene(body)


def test_a_pause_holds_what_waits_but_for_steps_in_flight() -> None:
    """Even what is due already, and what rings after the instance was woken for something else."""

    async def body(scene: Scene) -> None:
        outside = scene.start(scene.waits.until_time(scene.began + 200))
        inside = scene.start(scene.waits.until_time(scene.began + 300), nested=True)
        later = scene.start(scene.waits.until_time(scene.began + 900))
        await scene.sleep(1)
        scene.waits.hold()
        due = scene.start(scene.waits.until_time(scene.began))
        assert await inside == 300
        await scene.sleep(100)
        assert (outside.done(), due.done(), scene.wakes) == (False, False, 1)
        scene.waits.unhold()
        assert (await outside, await due, scene.wakes) == (400, 400, 2)
        assert await later == 900

    on_scene(body)


def test_a_pause_that_is_taken_back_wakes_an_instance_only_if_a_wait_is_over() -> None:
    async def body(scene: Scene) -> None:
        one = scene.start(scene.waits.until_time(scene.began + 200))
        await scene.sleep(1)
        scene.waits.hold()
        scene.waits.unhold()
        assert scene.wakes == 0
        assert await one == 200

    on_scene(body)


def test_while_user_code_unwinds_the_instance_is_due_as_it_was_and_nothing_goes_on() -> None:
    async def body(scene: Scene) -> None:
        one = scene.start(scene.waits.until_time(scene.began + 200))
        other = scene.start(scene.waits.until_time(scene.began + 900))
        await scene.sleep(1)
        scene.waits.freeze()
        one.cancel()
        await scene.sleep(1)
        scene.waits.freeze()
        assert scene.due_in() == 200
        await scene.sleep(1000)
        scene.waits.let_go()
        await scene.sleep(1)
        assert (other.done(), scene.wakes, scene.due_in()) == (False, 0, 200)

    on_scene(body)


def test_once_closed_nothing_that_was_waited_for_wakes_anybody() -> None:
    async def body(scene: Scene) -> None:
        scene.waits.begin(scene.began + 100)
        one = scene.start(scene.waits.until_time(scene.began + 200))
        await scene.sleep(1)
        scene.waits.close()
        await scene.sleep(500)
        assert (bool(scene.waits), one.done(), scene.wakes) == (False, False, 0)

    on_scene(body)


# the mailbox ----------------------------------------------------------------------------------------------------------


def event(number: int, kind: str = "go") -> EventRow:
    return EventRow(number, 1, kind, b"", 0)


def with_mailbox(
    body: Callable[[Mailbox, Callable[[], Wait]], None], *events: EventRow, signal: int = 0
) -> None:
    async def on(scene: Scene) -> None:
        body(Mailbox(events, signal), lambda: scene.waits.begin(scene.began + 1000))

    on_scene(on)


def test_each_event_goes_to_one_waiter_of_its_type_first_in_first_out() -> None:
    def body(mailbox: Mailbox, wait: Callable[[], Wait]) -> None:
        first, second, other = wait(), wait(), wait()
        assert mailbox.expect(first, "go")
        assert (first.event, first.over) == (event(1), True)
        assert mailbox.expect(second, "go")
        assert second.event == event(3)
        assert not mailbox.expect(third := wait(), "go")
        assert not mailbox.expect(fourth := wait(), "go")
        assert mailbox.expect(other, "stop")
        assert mailbox.receive(event(4))
        assert (third.event, fourth.event) == (event(4), None)
        assert not mailbox.receive(event(5, "nobody's"))
        assert mailbox.receive(event(6))
        assert fourth.event == event(6)

    with_mailbox(body, event(1), event(2, "stop"), event(3))


def test_an_event_that_was_seen_before_changes_nothing() -> None:
    def body(mailbox: Mailbox, wait: Callable[[], Wait]) -> None:
        assert (mailbox.last_number, mailbox.signal) == (7, 3)
        assert not mailbox.receive(event(7))
        assert not mailbox.receive(event(2))
        assert (mailbox.last_number, mailbox.signal) == (7, 3)
        mailbox.receive(event(8))
        assert (mailbox.last_number, mailbox.signal) == (8, 4)
        numbers = []
        for _ in range(3):
            mailbox.expect(one := wait(), "go")
            numbers.append(one.event and one.event.number)
        assert numbers == [3, 7, 8]
        mailbox.expect(one := wait(), "go")
        assert one.event is None

    with_mailbox(body, event(3), event(7), signal=3)


def test_an_event_that_was_not_taken_goes_to_the_next_waiter_before_all_that_were_sent_later() -> None:
    def body(mailbox: Mailbox, wait: Callable[[], Wait]) -> None:
        first, second = wait(), wait()
        mailbox.expect(first, "go")
        mailbox.forget(first, "go")
        assert first.event is None
        mailbox.expect(second, "go")
        assert second.event == event(1)
        second.taken = True
        mailbox.forget(second, "go")
        assert second.event == event(1)
        mailbox.expect(third := wait(), "go")
        assert third.event == event(2)

    with_mailbox(body, event(1), event(2), event(3))


def test_an_event_that_was_not_taken_goes_to_one_that_waits_already() -> None:
    def body(mailbox: Mailbox, wait: Callable[[], Wait]) -> None:
        first, second = wait(), wait()
        mailbox.expect(first, "go")
        mailbox.expect(second, "go")
        mailbox.forget(first, "go")
        assert (second.event, second.over) == (event(1), True)

    with_mailbox(body, event(1))


def test_who_waits_no_more_is_given_nothing() -> None:
    def body(mailbox: Mailbox, wait: Callable[[], Wait]) -> None:
        first, second = wait(), wait()
        mailbox.forget(first, "never asked for")
        mailbox.expect(first, "go")
        mailbox.expect(second, "go")
        mailbox.forget(first, "go")
        mailbox.receive(event(1))
        assert (first.event, second.event) == (None, event(1))

    with_mailbox(body)


def test_events_that_are_put_back_keep_the_order_in_which_they_were_sent() -> None:
    def body(mailbox: Mailbox, wait: Callable[[], Wait]) -> None:
        for number in (4, 2, 9):
            mailbox.put_back(event(number))
        mailbox.put_back(event(5, "first of its type"))
        numbers = []
        for _ in range(4):
            mailbox.expect(one := wait(), "go")
            numbers.append(one.event and one.event.number)
        assert numbers == [2, 4, 6, 9]

    with_mailbox(body, event(6))


# the gate -------------------------------------------------------------------------------------------------------------


def test_a_step_passes_an_open_gate_at_once_and_stops_at_a_shut_one_until_it_is_released() -> None:
    async def body(scene: Scene) -> None:
        assert await scene.start(scene.gate.enter()) == 0
        scene.is_held = True
        held = [scene.start(scene.gate.enter()) for _ in range(2)]
        inside = scene.start(scene.gate.enter(), nested=True)
        await scene.sleep(100)
        assert (inside.done(), [one.done() for one in held]) == (True, [False, False])
        scene.is_held = False
        scene.gate.release()
        assert [await one for one in held] == [100, 100]
        scene.gate.release()

    on_scene(body)


def test_a_step_that_something_else_still_holds_is_held_again() -> None:
    async def body(scene: Scene) -> None:
        scene.is_held = True
        one = scene.start(scene.gate.enter())
        for _ in range(3):
            await scene.sleep(100)
            scene.gate.release()
        assert not one.done()
        scene.is_held = False
        scene.gate.release()
        assert await one == 300

    on_scene(body)


def test_of_two_steps_at_a_shut_gate_one_that_is_given_up_leaves_the_other_its_turn() -> None:
    async def body(scene: Scene) -> None:
        scene.is_held = True
        one, other = (scene.start(scene.gate.enter()) for _ in range(2))
        await scene.sleep(100)
        one.cancel()
        await scene.sleep(100)
        scene.is_held = False
        scene.gate.release()
        assert await other == 200

    on_scene(body)


@pytest.mark.parametrize("is_held", [False, True])
def test_no_step_passes_the_gate_of_an_instance_that_stops(is_held: bool) -> None:
    async def body(scene: Scene) -> None:
        scene.is_held, scene.is_stopping = is_held, True
        one = scene.start(scene.gate.enter())
        await scene.sleep(100)
        scene.is_held = False
        scene.gate.release()
        with pytest.raises(Abort):
            await one

    on_scene(body)


def test_while_rollbacks_are_collected_a_step_is_held_for_good_and_known_as_held() -> None:
    async def body(scene: Scene) -> None:
        scene.is_held = scene.is_collecting = True
        one = scene.start(scene.gate.enter())
        await scene.sleep(100)
        assert len(scene.gate.held) == 1
        scene.gate.release()
        await scene.sleep(100)
        assert not one.done()
        one.cancel()
        await scene.sleep(1)
        assert not scene.gate.held

    on_scene(body)
