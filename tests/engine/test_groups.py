"""Results are handed over in groups, with a rest between two of them: `Order` by itself, beside no user code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.world import run_virtual
from wrangler_py.engine.instance.order import BLIND_REST_TURNS, MOST_TURNS, REST_TURNS, Order

# In the turn behind a rest a group is handed over, and in the next its tasks go on; the first of all has to begin.

#: Turns that a rest and the handing over of a group take at most.
SOON = REST_TURNS + 3
#: Steps 1, 2 and 3 by their recorded group and place; step 4 is unknown to history.
RANKS = {1: (1, 1), 2: (2, 3), 3: (2, 2)}


class Tasks:
    """The tasks of an instance, as `Order` asks for them."""

    def __init__(self) -> None:
        self.alive, self.replayed_to, self.moves = True, 0, 0
        self.turning: bool | None = False
        self.fired, self.can_fire = list[int](), True
        #: Set by the order: a timer that is due asks it whether it has to wait.
        self.holds_timers: Callable[[], bool] = lambda: False
        self.releases = 0

    def is_turning(self) -> bool | None:
        return self.turning

    def release_timers(self) -> None:
        self.releases += 1

    def fire_until(self, at: int) -> bool:
        self.fired.append(at)
        return self.can_fire


class Scene:
    def __init__(self) -> None:
        self.tasks, self.rests = Tasks(), 0
        replay: Any = SimpleNamespace(ranks=RANKS, ends=3)
        self.order = Order(self.tasks, replay, self._at_rest)  # type: ignore[arg-type]
        self.came = list[str]()
        self._waiting = list[asyncio.Future[Any]]()

    def _at_rest(self) -> None:
        assert not self.order.is_busy
        self.rests += 1

    def awaits(self, name: str, result: Awaitable[Any]) -> asyncio.Future[None]:
        """Let somebody wait for a result, from now on."""

        async def wait() -> None:
            await result
            self.came.append(name)

        future = asyncio.ensure_future(wait())
        self._waiting.append(future)
        return future

    async def turns(self, count: int) -> list[str]:
        """Let the event loop turn so often; return whose results have come."""
        for _ in range(count):
            await asyncio.sleep(0)
        return self.came

    async def until_it_comes(self, name: str, each_turn: Callable[[], None] = lambda: None) -> int:
        """Return how many turns it takes."""
        for turn in range(200):
            if name in self.came:
                return turn
            each_turn()
            await asyncio.sleep(0)
        raise AssertionError(f"{name} does not come")


def on_scene(body: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        await body(Scene())

    run_virtual(main())


def test_the_results_of_one_task_pass_at_once() -> None:
    async def body(scene: Scene) -> None:
        scene.tasks.alive = False
        for name, result in (
            ("recorded", scene.order.recorded(1, 50)),
            ("live", scene.order.live(1)),
            ("rest", scene.order.rest()),
        ):
            scene.awaits(name, result)
        assert await scene.turns(1) == ["recorded", "live", "rest"]
        assert (scene.order.is_busy, scene.rests) == (False, 0)

    on_scene(body)


def test_with_one_task_left_results_still_wait_behind_those_that_wait_already() -> None:
    async def body(scene: Scene) -> None:
        scene.awaits("1", scene.order.recorded(1, 50))
        await scene.turns(1)
        scene.tasks.alive = False
        scene.awaits("2", scene.order.recorded(2, 60))
        scene.awaits("live", scene.order.live(1))
        scene.awaits("rest", scene.order.rest())
        reads(scene, "read").set_result("")
        assert await scene.turns(1) == []
        assert await scene.turns(6 * SOON) == ["read", "1", "2", "rest", "live"]

    on_scene(body)


def test_groups_come_in_the_order_of_history_and_within_one_in_that_of_their_places() -> None:
    """New results come behind: first those that wait for a rest, then the transactions of this life."""

    async def body(scene: Scene) -> None:
        scene.awaits("second transaction", scene.order.live(2))
        scene.awaits("first transaction", scene.order.live(1))
        scene.awaits("rest", scene.order.rest())
        scene.awaits("unknown", scene.order.recorded(4, 70))
        for step in (2, 3, 1):
            scene.awaits(str(step), scene.order.recorded(step, 60))
        await scene.until_it_comes("second transaction")
        assert scene.came == ["1", "3", "2", "unknown", "rest", "first transaction", "second transaction"]

    on_scene(body)


def test_between_two_groups_the_instance_comes_to_rest() -> None:
    async def body(scene: Scene) -> None:
        scene.awaits("1", scene.order.recorded(1, 50))
        scene.awaits("2", scene.order.recorded(2, 60))
        first, second = await scene.until_it_comes("1"), await scene.until_it_comes("2")
        assert (first, second) == (REST_TURNS + 3, REST_TURNS + 1)
        assert (scene.order.is_busy, scene.rests) == (True, 0)
        await scene.turns(SOON)
        assert (scene.order.is_busy, scene.rests) == (False, 1)
        await scene.turns(SOON)
        assert (scene.rests, scene.tasks.releases) == (1, 0)

    on_scene(body)


@pytest.mark.parametrize("what", ["a step is reached", "a task moves", "a task is about to go on"])
def test_while_anything_happens_there_is_no_rest_but_not_for_ever(what: str) -> None:
    async def body(scene: Scene) -> None:
        def happens() -> None:
            if what == "a step is reached":
                scene.order.moved()
            elif what == "a task moves":
                scene.tasks.moves += 1
            else:
                scene.tasks.turning = True

        for name in ("1", "2"):
            scene.awaits(name, scene.order.recorded(int(name), 50))
            assert await scene.until_it_comes(name, happens) == MOST_TURNS + (3 if name == "1" else 1)

    on_scene(body)


@pytest.mark.parametrize("what", ["a step is reached", "a task moves", "a task is about to go on"])
def test_a_rest_begins_anew_when_anything_happens(what: str) -> None:
    async def body(scene: Scene) -> None:
        scene.awaits("1", scene.order.recorded(1, 50))
        await scene.turns(REST_TURNS)
        if what == "a step is reached":
            scene.order.moved()
        elif what == "a task moves":
            scene.tasks.moves += 1
        else:
            scene.tasks.turning = True
            await scene.turns(1)
            scene.tasks.turning = False
        left = REST_TURNS + (1 if what == "a task is about to go on" else 2)
        assert await scene.until_it_comes("1") == left

    on_scene(body)


def test_a_rest_lasts_longer_where_tasks_are_too_many_to_see() -> None:
    async def body(scene: Scene) -> None:
        scene.tasks.turning = None
        scene.awaits("1", scene.order.recorded(1, 50))
        assert await scene.until_it_comes("1") == BLIND_REST_TURNS + 3

    on_scene(body)


@pytest.mark.parametrize(("late", "is_awaited"), [(3, True), (1, True), ("live", False)])
def test_a_rest_begins_anew_for_one_more_of_the_next_group_and_for_no_other(
    late: Any, is_awaited: bool
) -> None:
    async def body(scene: Scene) -> None:
        scene.awaits("2", scene.order.recorded(2, 50))
        await scene.turns(REST_TURNS)
        scene.awaits("late", scene.order.live(1) if late == "live" else scene.order.recorded(late, 50))
        left = await scene.until_it_comes("2")
        assert left >= REST_TURNS if is_awaited else left == 3

    on_scene(body)


def test_the_replay_has_come_as_far_as_the_latest_result_that_was_handed_over() -> None:
    async def body(scene: Scene) -> None:
        for step, ended_at, reached in ((1, 50, 50), (2, 40, 50), (3, 60, 60)):
            await scene.order.recorded(step, ended_at)
            assert scene.tasks.replayed_to == reached

    on_scene(body)


def test_what_came_after_a_step_was_given_up_waits_until_it_is_given_up_again() -> None:
    """The timers of user code are fired up to then, for they are what gave it up."""

    async def body(scene: Scene) -> None:
        scene.tasks.replayed_to = 30
        scene.awaits("2", scene.order.recorded(2, 90))
        waiting = scene.awaits("1", scene.order.given_up(1, 50))
        assert await scene.turns(3 * SOON) == []
        assert (set(scene.tasks.fired), scene.tasks.replayed_to) == ({50}, 50)
        assert len(scene.tasks.fired) == 3 * SOON // (REST_TURNS + 1)
        waiting.cancel()
        assert await scene.turns(2 * SOON) == ["2"]
        assert scene.tasks.replayed_to == 90

    on_scene(body)


def test_where_no_timer_gives_a_step_up_it_is_looked_at_every_ten_milliseconds() -> None:
    async def body(scene: Scene) -> None:
        scene.tasks.can_fire = False
        scene.tasks.replayed_to = 70
        scene.awaits("1", scene.order.given_up(1, 50))
        await asyncio.sleep(0.095)
        assert (len(scene.tasks.fired), scene.tasks.replayed_to) == (10, 70)

    on_scene(body)


def test_of_two_steps_given_up_together_the_later_says_how_far_the_timers_go() -> None:
    async def body(scene: Scene) -> None:
        scene.awaits("2", scene.order.given_up(2, 50))
        scene.awaits("3", scene.order.given_up(3, 80))
        await scene.turns(SOON)
        assert scene.tasks.fired[0] == 80

    on_scene(body)


# what is read from the store ------------------------------------------------------------------------------------------


def reads(scene: Scene, name: str) -> asyncio.Future[str]:
    """Let somebody read from the store, from now on; return what the store has to answer."""
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    scene.awaits(name, scene.order.read(answer))
    return answer


def test_what_the_only_task_reads_passes_at_once() -> None:
    async def body(scene: Scene) -> None:
        scene.tasks.alive = False
        answer = asyncio.get_running_loop().create_future()
        reading = asyncio.ensure_future(scene.order.read(answer))
        await scene.turns(SOON)
        answer.set_result("data")
        await scene.turns(2)
        assert (reading.done() and reading.result(), scene.order.is_busy) == ("data", False)

    on_scene(body)


def test_until_the_store_has_answered_all_that_is_read_nothing_is_handed_over() -> None:
    """Then, after a rest, what was read first comes first, and before every result."""

    async def body(scene: Scene) -> None:
        first, second = reads(scene, "first"), reads(scene, "second")
        scene.awaits("live", scene.order.live(1))
        scene.awaits("1", scene.order.recorded(1, 50))
        await scene.turns(3 * SOON)
        second.set_result("")
        assert await scene.turns(3 * MOST_TURNS) == []
        first.set_result("")
        assert await scene.turns(REST_TURNS) == []
        assert await scene.turns(5) == ["first", "second"]
        assert await scene.turns(3 * SOON) == ["first", "second", "1", "live"]

    on_scene(body)


def test_a_read_is_handed_over_after_a_rest_however_long_the_store_takes() -> None:
    """Reads one after the other leave the length of a rest as it is."""

    async def body(scene: Scene) -> None:
        scene.awaits("1", scene.order.recorded(1, 50))
        for name, takes in (("a", 0), ("b", 3 * SOON), ("c", 0)):
            answer = reads(scene, name)
            await scene.turns(takes)
            answer.set_result("")
            assert await scene.until_it_comes(name) == REST_TURNS + 3
        assert await scene.until_it_comes("1") == REST_TURNS + 1
        answer = reads(scene, "d")
        await scene.turns(3 * SOON)
        answer.set_result("")
        assert await scene.until_it_comes("d") == REST_TURNS + 3

    on_scene(body)


def test_a_read_that_fails_or_is_given_up_holds_nothing_up_any_longer() -> None:
    async def body(scene: Scene) -> None:
        failing = reads(scene, "failing")
        scene.awaits("1", scene.order.recorded(1, 50))
        await scene.turns(3 * SOON)
        failing.set_exception(OSError("no"))
        assert await scene.turns(2 * SOON) == ["1"]
        assert isinstance(scene._waiting[0].exception(), OSError)

    on_scene(body)


# the timers of user code ----------------------------------------------------------------------------------------------


def test_timers_are_held_until_every_recorded_result_has_been_handed_over_or_given_up() -> None:
    async def body(scene: Scene) -> None:
        held = [scene.tasks.holds_timers()]
        for step in (1, 3):
            await scene.order.recorded(step, 50)
            held.append(scene.tasks.holds_timers())
        scene.order.given_up(2, 60)
        held.append(scene.tasks.holds_timers())
        assert held == [True, True, True, False]

    on_scene(body)


def test_timers_are_held_while_the_store_is_asked() -> None:
    async def body(scene: Scene) -> None:
        for step in (1, 2, 3):
            await scene.order.recorded(step, 50)
        answer = reads(scene, "a")
        await scene.turns(1)
        assert scene.tasks.holds_timers()
        answer.set_result("")
        await scene.turns(1)
        assert not scene.tasks.holds_timers()
        assert await scene.turns(2 * SOON) == ["a"]
        assert scene.tasks.releases == 1

    on_scene(body)


def test_held_timers_go_on_once_nothing_recorded_waits_and_before_anything_new() -> None:
    async def body(scene: Scene) -> None:
        assert scene.tasks.holds_timers()
        scene.awaits("live", scene.order.live(1))
        scene.awaits("rest", scene.order.rest())
        scene.awaits("1", scene.order.recorded(1, 50))
        await scene.until_it_comes("1")
        assert scene.tasks.releases == 0
        await scene.turns(REST_TURNS)
        assert (scene.tasks.releases, scene.came) == (1, ["1"])
        assert await scene.until_it_comes("rest") == REST_TURNS + 2
        assert await scene.until_it_comes("live") == REST_TURNS + 1
        await scene.turns(2 * SOON)
        assert (scene.tasks.releases, scene.order.is_busy) == (1, False)

    on_scene(body)


def test_timers_that_are_held_go_on_where_no_result_comes_at_all() -> None:
    async def body(scene: Scene) -> None:
        assert scene.tasks.holds_timers()
        await scene.turns(SOON)
        assert scene.tasks.releases == 1

    on_scene(body)


def test_for_a_step_to_be_given_up_again_held_timers_go_on_before_any_is_hastened() -> None:
    async def body(scene: Scene) -> None:
        scene.awaits("1", scene.order.given_up(1, 50))
        assert scene.tasks.holds_timers()
        await scene.turns(SOON)
        assert (scene.tasks.releases, scene.tasks.fired) == (1, [])
        await scene.turns(SOON)
        assert (scene.tasks.releases, set(scene.tasks.fired)) == (1, {50})

    on_scene(body)
