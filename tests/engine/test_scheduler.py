"""The scheduler by itself: who gets a slot, who waits for one, and when it looks at the store again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.world import run_virtual
from wrangler_py.clock import LoopClock
from wrangler_py.engine import Definition, scheduler
from wrangler_py.engine.instance.context import Stop
from wrangler_py.engine.instance.place import StepPlace
from wrangler_py.engine.scheduler import CLAIM_SIZE, RETRY_MS, Scheduler
from wrangler_py.engine.timers import Timers
from wrangler_py.errors import StaleEpochError, StoreUnavailableError


class Instance:
    """An instance in memory that runs until a test says that it waits, goes on or ends."""

    def __init__(self, row: int, workflow: str, slots: Scheduler, definition: Any, deaths: int = 0) -> None:
        self.row, self.definition, self._slots = row, definition, slots
        self.instance = SimpleNamespace(workflow=workflow, id=f"i{row}")
        self.place = StepPlace(workflow, f"i{row}")
        self.suspicion = SimpleNamespace(deaths=deaths, is_on_trial=False)
        self.code, self.gate = SimpleNamespace(has_ended=False), SimpleNamespace(release=self._let_go)
        self.releases = 0
        self.stop_reason: Stop | None = None
        self.idle, self.in_flight, self.grants = False, 0, 0
        #: It has nothing to go on with when it gets its slot.
        self.is_done_at_once = False
        self.over = asyncio.get_running_loop().create_future()

    def _let_go(self) -> None:
        self.releases += 1

    def survived(self) -> None:
        self.suspicion.deaths = 0
        self._slots.came_through(self)  # type: ignore[arg-type]

    def granted(self) -> None:
        self.grants += 1
        self.idle = self.is_done_at_once

    def stop(self, reason: Stop) -> None:
        self.stop_reason = reason

    async def waits(self) -> None:
        self.idle = True
        self._slots.give_back(self)  # type: ignore[arg-type]
        await asyncio.sleep(0.001)

    async def wants_to_go_on(self) -> bool:
        """Return True if it got its slot."""
        before = self.grants
        self._slots.request(self)  # type: ignore[arg-type]
        await asyncio.sleep(0.001)
        return self.grants > before

    async def ends(self) -> None:
        self.code.has_ended = True
        self.over.set_result(None)
        await asyncio.sleep(0.001)


class Runner:
    def __init__(self, claimed: Any, definition: Any, _: Any, slots: Scheduler) -> None:
        row, deaths = claimed
        self.context = Instance(row, definition.name, slots, definition, deaths)

    def start(self) -> asyncio.Future[None]:
        return self.context.over


class Store:
    """Due instances by workflow, as (when, row, deaths), and what was asked of it."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self.due: dict[str, list[tuple[int, int, int]]] = {}
        self.looks: list[tuple[int, str, int]] = []
        self.looks_for_suspects = 0
        self.error: Exception | None = None
        #: Duration of each look, in seconds.
        self.takes_s = 0.0

    async def claim(self, wanted: Any, epoch: int, *, now: int, limit: int, suspects: bool) -> list[Any]:
        assert epoch == 7
        if not suspects:
            self.looks.append((now, wanted.workflow, limit))
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        if self.error is not None and not suspects:
            raise self.error
        waiting = self.due.get(wanted.workflow, [])
        taken = [one for one in waiting if one[0] <= now and bool(one[2]) == suspects][:limit]
        self.due[wanted.workflow] = [one for one in waiting if one not in taken]
        return [one[1:] for one in taken]

    async def suspects(self, wanted: Any, *, limit: int) -> list[tuple[int, int]]:
        self.looks_for_suspects += 1
        found = [(deaths, at) for at, _, deaths in self.due.get(wanted.workflow, []) if deaths]
        return sorted(found, key=lambda one: one[1])[:limit]

    async def next_due(self, wanted: Any) -> int | None:
        names = [one.workflow for one in wanted]
        found = [at for name in names for at, _, deaths in self.due.get(name, []) if not deaths]
        return min(found, default=None)


class Scene:
    def __init__(self, capacity: int) -> None:
        self.clock = LoopClock()
        self.store = Store(self.clock)
        self.commits = SimpleNamespace(epoch=7)
        self.shared = SimpleNamespace(
            clock=self.clock, timers=Timers(self.clock), is_quarantined=False, commits=self.commits
        )
        self.slots = Scheduler(self.store, self.shared, capacity=capacity)  # type: ignore[arg-type]
        self.define("w")

    def define(self, name: str, concurrency: int | None = None, *, make: Any = object) -> None:
        self.slots.definitions[name] = Definition(name, "s", "W", "v1", make, concurrency=concurrency)

    def due(self, *rows: int, workflow: str = "w", in_ms: int = 0, deaths: int = 0) -> None:
        waiting = self.store.due.setdefault(workflow, [])
        waiting += [(self.clock.now() + in_ms, row, deaths) for row in rows]

    async def looks(self) -> list[int]:
        """Let it look, and return the rows that are in memory."""
        self.slots.kick()
        await asyncio.sleep(0.001)
        return self.rows

    @property
    def rows(self) -> list[int]:
        return sorted(self.slots.resident)

    def __getitem__(self, row: int) -> Any:
        return self.slots.resident[row]


@pytest.fixture(autouse=True)
def plain_runners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "Runner", Runner)


def on_scene(body: Callable[[Scene], Awaitable[Any]], *, capacity: int = 100, starts: bool = True) -> Any:
    async def main() -> Any:
        scene = Scene(capacity)
        if starts:
            scene.slots.start(7)
        try:
            return await body(scene)
        finally:
            await scene.slots.stop()

    return run_virtual(main())


# slots ----------------------------------------------------------------------------------------------------------------


def test_no_more_are_taken_up_than_there_are_slots() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, 2, 3)
        assert await scene.looks() == [1, 2]
        await scene[1].ends()
        assert scene.rows == [2, 3]

    on_scene(body, capacity=2)


def test_a_workflows_concurrency_holds_for_it_alone() -> None:
    async def body(scene: Scene) -> None:
        scene.define("w", 1)
        scene.define("other")
        scene.due(1, 2)
        scene.due(3, 4, workflow="other")
        assert await scene.looks() == [1, 3, 4]
        await scene[3].ends()
        assert scene.rows == [1, 4]
        await scene[1].ends()
        assert scene.rows == [2, 4]

    on_scene(body)


def test_one_that_waits_gives_its_slot_to_the_next() -> None:
    async def body(scene: Scene) -> None:
        scene.define("w", 1)
        scene.due(1, 2, 3)
        await scene.looks()
        await scene[1].waits()
        assert scene.rows == [1, 2]

    on_scene(body)


def test_one_that_goes_on_waits_for_a_slot_and_comes_before_those_not_in_memory() -> None:
    async def body(scene: Scene) -> None:
        scene.define("w", 1)
        scene.due(1, 2, 3)
        await scene.looks()
        first = scene[1]
        await first.waits()
        assert not await first.wants_to_go_on()
        assert not await first.wants_to_go_on()
        await scene[2].waits()
        assert first.grants == 1
        assert scene.rows == [1, 2]
        await first.waits()
        assert first.grants == 1
        assert scene.rows == [1, 2, 3]

    on_scene(body)


def test_one_that_ended_or_is_stopped_meanwhile_gets_no_slot() -> None:
    async def body(scene: Scene) -> None:
        scene.define("w", 1)
        scene.due(1, 2, 3, 4)
        await scene.looks()
        waiting = []
        for row in (1, 2, 3):
            waiting.append(scene[row])
            await scene[row].waits()
        for one in waiting:
            assert not await one.wants_to_go_on()
        waiting[0].code.has_ended = True
        waiting[1].stop_reason = Stop.PAUSE
        await scene[4].waits()
        assert [one.grants for one in waiting] == [0, 0, 1]

    on_scene(body)


def test_one_that_has_nothing_to_go_on_with_gives_its_slot_back_at_once() -> None:
    async def body(scene: Scene) -> None:
        scene.define("w", 1)
        scene.due(1)
        await scene.looks()
        await scene[1].waits()
        scene[1].is_done_at_once = True
        assert await scene[1].wants_to_go_on()
        scene.due(2)
        assert await scene.looks() == [1, 2]

    on_scene(body)


def test_one_slot_is_given_to_one_of_those_that_go_on_and_the_next_to_the_next() -> None:
    async def body(scene: Scene) -> None:
        scene.define("w", 1)
        scene.due(1, 2, 3)
        await scene.looks()
        first, second = scene[1], None
        await first.waits()
        second = scene[2]
        await second.waits()
        for one in (first, second):
            assert not await one.wants_to_go_on()
        await scene[3].waits()
        assert (first.grants, second.grants) == (1, 0)
        await first.waits()
        assert (first.grants, second.grants) == (1, 1)

    on_scene(body)


def test_slots_are_held_while_the_store_is_asked() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1)
        await scene.looks()
        await scene[1].waits()
        scene.store.takes_s = 1
        scene.due(2)
        scene.slots.kick()
        await asyncio.sleep(0.5)
        assert not await scene[1].wants_to_go_on()
        await asyncio.sleep(1)
        assert scene.rows == [1, 2]
        assert scene[1].grants == 0
        await scene[2].waits()
        assert scene[1].grants == 1

    on_scene(body, capacity=1)


def test_one_that_ends_while_it_waits_gives_no_second_slot_back() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, 2, 3, 4)
        await scene.looks()
        await scene[1].waits()
        assert scene.rows == [1, 2, 3]
        await scene[1].ends()
        assert scene.rows == [2, 3]

    on_scene(body, capacity=2)


# quarantine -----------------------------------------------------------------------------------------------------------


def test_in_quarantine_nobody_goes_on_and_nobody_is_taken_up() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, 2)
        scene.due(3, deaths=2)
        await scene.looks()
        suspect = scene[3]
        assert scene.rows == [3]
        assert suspect.suspicion.is_on_trial
        assert scene.shared.is_quarantined
        scene.due(4)
        assert await scene.looks() == [3]
        await suspect.ends()
        assert scene.rows == [1, 2, 4]
        assert not scene.shared.is_quarantined

    on_scene(body)


def test_one_in_memory_does_not_go_on_in_quarantine() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1)
        await scene.looks()
        await scene[1].waits()
        scene.due(2, deaths=2)
        assert await scene.looks() == [1, 2]
        assert not await scene[1].wants_to_go_on()
        assert not await scene[1].wants_to_go_on()
        await scene[2].ends()
        assert scene[1].grants == 1

    on_scene(body)


def test_a_suspect_in_memory_goes_on_alone() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, deaths=2)
        await scene.looks()
        suspect = scene[1]
        await suspect.waits()
        scene.due(2)
        await scene.looks()
        scene[2].in_flight = 1
        assert not await suspect.wants_to_go_on()
        assert not await suspect.wants_to_go_on()
        assert scene.shared.is_quarantined
        scene[2].in_flight = 0
        scene.slots.look_for_suspects()
        await asyncio.sleep(0.001)
        assert suspect.grants == 1
        assert suspect.suspicion.is_on_trial
        scene.slots.came_through(suspect)
        assert not suspect.suspicion.is_on_trial

    on_scene(body, capacity=2)


def test_a_suspect_in_memory_goes_on_at_once_if_nothing_speaks_against_it() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, deaths=2)
        await scene.looks()
        await scene[1].waits()
        assert not scene.shared.is_quarantined
        assert await scene[1].wants_to_go_on()
        assert scene.shared.is_quarantined

    on_scene(body)


def test_a_suspect_that_ended_or_is_stopped_is_not_tried() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, 2, deaths=1)
        await scene.looks()
        one, other = scene[1], scene[2]
        for suspect in (one, other):
            await suspect.waits()
        scene.due(3)
        await scene.looks()
        scene[3].in_flight = 1
        for suspect in (one, other):
            assert not await suspect.wants_to_go_on()
        one.code.has_ended, other.stop_reason = True, Stop.HIBERNATE
        scene[3].in_flight = 0
        await scene.looks()
        assert (one.grants, other.grants) == (0, 0)
        assert not scene.shared.is_quarantined

    on_scene(body)


def test_a_suspect_in_memory_waits_for_a_slot_and_holds_nobody_meanwhile() -> None:
    async def body(scene: Scene) -> None:
        scene.define("w", 1)
        scene.due(1, deaths=1)
        await scene.looks()
        await scene[1].waits()
        scene.due(2)
        await scene.looks()
        assert not await scene[1].wants_to_go_on()
        assert not scene.shared.is_quarantined
        await scene[2].ends()
        assert scene[1].grants == 1

    on_scene(body)


def test_while_a_suspect_cannot_be_tried_others_are_held_for_it() -> None:
    """For a little while: `engine.quarantine` says for how long."""

    async def body(scene: Scene) -> None:
        scene.due(1, 2)
        await scene.looks()
        scene[1].in_flight = 1
        scene.due(3, deaths=2)
        assert await scene.looks() == [1, 2]
        assert scene.shared.is_quarantined
        scene[1].in_flight = 0
        scene.slots.look_for_suspects()
        await asyncio.sleep(0.001)
        assert scene.rows == [1, 2, 3]

    on_scene(body)


def test_a_suspect_that_is_due_later_holds_nobody_and_is_tried_in_time() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, deaths=1, in_ms=5_000)
        scene.due(2, deaths=1, in_ms=9_000)
        scene.due(3, in_ms=60_000)
        await scene.looks()
        assert not scene.shared.is_quarantined
        await asyncio.sleep(4.9)
        assert scene.rows == []
        await asyncio.sleep(0.2)
        assert scene.rows == [1]
        await scene[1].ends()
        await asyncio.sleep(4)
        assert scene.rows == [2]

    on_scene(body)


def test_a_suspect_that_survives_long_enough_is_none_any_more() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, deaths=2)
        scene.due(2)
        assert await scene.looks() == [1]
        await asyncio.sleep(29)
        assert scene.rows == [1]
        await asyncio.sleep(2)
        assert scene.rows == [1, 2]

    on_scene(body)


def test_more_are_tried_together_as_more_come_through() -> None:
    async def body(scene: Scene) -> None:
        scene.due(*range(1, 60), deaths=1)
        assert await scene.looks() == [*range(1, 9)]
        for row in range(1, 9):
            scene[row].survived()
            await scene[row].ends()
        assert len(scene.rows) == 8
        for row in list(scene.rows):
            scene[row].survived()
            await scene[row].ends()
        assert len(scene.rows) == 16

    on_scene(body)


@pytest.mark.parametrize(("deaths", "is_tried"), [(1, True), (2, False)])
def test_one_that_outlived_its_trial_and_still_executes_holds_only_those_that_are_tried_alone(
    deaths: int, is_tried: bool
) -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, deaths=1)
        await scene.looks()
        scene[1].in_flight = 1
        await asyncio.sleep(3.1)
        assert scene[1].suspicion.deaths == 0
        assert not scene[1].suspicion.is_on_trial
        scene.due(2, deaths=deaths)
        assert await scene.looks() == ([1, 2] if is_tried else [1])
        if not is_tried:
            scene[1].in_flight = 0
            assert await scene.looks() == [1, 2]

    on_scene(body)


def test_the_end_of_a_quarantine_lets_steps_begin_and_nothing_else_does() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1)
        await scene.looks()
        await scene.looks()
        assert scene[1].releases == 0
        scene.due(2, deaths=2)
        await scene.looks()
        await scene.looks()
        assert scene[1].releases == 0
        await scene[2].ends()
        assert scene[1].releases == 1

    on_scene(body)


def test_others_are_held_for_two_seconds_and_go_on_for_twenty_while_one_keeps_a_suspect_waiting() -> None:
    async def body(scene: Scene) -> list[int]:
        scene.due(1)
        await scene.looks()
        scene[1].in_flight = 1
        scene.due(2, deaths=2)
        await scene.looks()
        held = list[int]()
        for second in range(1, 50):
            await asyncio.sleep(1)
            if scene.shared.is_quarantined:
                held.append(second)
        return held

    assert on_scene(body) == [1, 22, 23, 44, 45]


def test_under_a_new_lease_no_trial_goes_on() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, deaths=2)
        await scene.looks()
        await scene.slots.stop()
        scene.slots.resident.clear()
        scene.due(2)
        scene.slots.start(7)
        await asyncio.sleep(0.001)
        assert scene.rows == [2]

    on_scene(body)


# looking at the store -------------------------------------------------------------------------------------------------


def test_it_looks_when_it_starts_and_no_more_once_it_is_stopped() -> None:
    async def body(scene: Scene) -> None:
        await scene.slots.stop()
        scene.due(1)
        scene.due(2, in_ms=1000)
        scene.slots.start(7)
        await asyncio.sleep(0.001)
        assert scene.rows == [1]
        await scene.slots.stop()
        looks = len(scene.store.looks)
        await asyncio.sleep(10)
        await scene.looks()
        assert len(scene.store.looks) == looks

    on_scene(body, starts=False)


def test_it_looks_again_exactly_when_the_next_is_due() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, in_ms=5_000)
        scene.due(2, in_ms=7_000)
        start = scene.clock.now()
        await asyncio.sleep(20)
        assert scene.rows == [1, 2]
        assert [at - start for at, _, _ in scene.store.looks] == [0, 5_000, 7_000]

    on_scene(body)


def test_it_does_not_look_when_what_was_due_is_due_no_more() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, in_ms=5_000)
        await scene.looks()
        scene.store.due.clear()
        await scene.looks()
        looks = len(scene.store.looks)
        await asyncio.sleep(20)
        assert len(scene.store.looks) == looks

    on_scene(body)


def test_one_that_leaves_memory_while_it_waits_is_taken_up_when_it_is_due() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1)
        await scene.looks()
        await scene[1].waits()
        scene.due(1, in_ms=5_000)
        await scene[1].ends()
        assert scene.rows == []
        await asyncio.sleep(5)
        assert scene.rows == [1]

    on_scene(body)


def test_nothing_goes_on_once_it_is_stopped() -> None:
    async def body(scene: Scene) -> None:
        scene.store.takes_s = 5
        scene.due(1)
        scene.slots.kick()
        await asyncio.sleep(1)
        await scene.slots.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(10)
        assert scene.rows == []

    on_scene(body)


def test_an_earlier_one_that_comes_is_not_missed() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, in_ms=50_000)
        await asyncio.sleep(1)
        scene.due(2, in_ms=1_000)
        await scene.looks()
        await asyncio.sleep(1.1)
        assert scene.rows == [2]
        await asyncio.sleep(50)
        assert scene.rows == [1, 2]

    on_scene(body)


def test_what_has_no_code_here_is_left_alone() -> None:
    async def body(scene: Scene) -> None:
        scene.define("elsewhere", make=None)
        scene.due(1, workflow="elsewhere")
        scene.due(2, workflow="elsewhere", in_ms=1_000)
        scene.due(3)
        start = len(scene.store.looks)
        assert await scene.looks() == [3]
        await asyncio.sleep(10)
        assert {name for _, name, _ in scene.store.looks} == {"w"}
        assert len(scene.store.looks) - start <= 2

    on_scene(body)


def test_a_workflow_without_a_free_slot_is_not_asked_for() -> None:
    async def body(scene: Scene) -> None:
        scene.define("w", 1)
        scene.due(1, 2)
        await scene.looks()
        looks = len(scene.store.looks), scene.store.looks_for_suspects
        await scene.looks()
        assert (len(scene.store.looks), scene.store.looks_for_suspects) == looks

    on_scene(body)


def test_a_workflow_whose_slots_another_has_just_taken_is_not_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def body(scene: Scene) -> None:
        scene.define("other")
        scene.due(1, 2)
        scene.due(3, workflow="other")
        assert await scene.looks() == [1, 2]
        await scene[1].ends()
        assert scene.rows == [2, 3]
        assert 0 not in [limit for _, _, limit in scene.store.looks]

    on_scene(body, capacity=2)
    assert not caplog.records


def test_the_event_loop_turns_between_two_batches() -> None:
    async def body(scene: Scene) -> None:
        await asyncio.sleep(0.001)
        scene.due(*range(10 * CLAIM_SIZE))
        scene.slots.kick()
        turns = 0
        while len(scene.rows) < 10 * CLAIM_SIZE:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 10

    on_scene(body, capacity=1000)


def test_a_large_crowd_is_taken_up_in_small_batches_without_another_word() -> None:
    async def body(scene: Scene) -> None:
        scene.define("other")
        scene.due(*range(2 * CLAIM_SIZE + 5))
        await asyncio.sleep(0.001)
        assert scene.rows == [*range(2 * CLAIM_SIZE + 5)]
        assert {limit for _, name, limit in scene.store.looks if name == "w"} == {CLAIM_SIZE}

    on_scene(body, capacity=1000)


def test_a_batch_asks_for_no_more_than_there_are_slots() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1)
        await scene.looks()
        assert scene.store.looks[0][2] == 3
        await scene.looks()
        assert scene.store.looks[-1][2] == 2

    on_scene(body, capacity=3)


# failures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [StaleEpochError("gone"), StoreUnavailableError("the answer was lost")])
def test_a_claim_whose_answer_is_lost_or_a_lease_that_is_gone_ends_the_lease(error: Exception) -> None:
    async def body(scene: Scene) -> None:
        lost = list[bool]()
        scene.slots.on_lost = lambda: lost.append(True)
        scene.store.error = error
        await scene.looks()
        assert lost == [True]
        scene.store.error = None
        scene.due(1)
        assert await scene.looks() == []

    on_scene(body)


def test_what_was_claimed_while_the_lease_was_given_up_is_not_begun() -> None:
    async def body(scene: Scene) -> None:
        lost = list[bool]()
        scene.slots.on_lost = lambda: lost.append(True)
        scene.store.takes_s = 2
        scene.due(1)
        scene.slots.kick()
        await asyncio.sleep(1)
        scene.commits.epoch = None
        await asyncio.sleep(2)
        assert scene.rows == []
        assert lost == [True]

    on_scene(body)


@pytest.mark.parametrize("error", [StoreUnavailableError("locked"), LookupError("a bug")])
def test_after_a_failure_it_looks_again_a_second_later(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The first look of all may be the one that fails."""

    async def body(scene: Scene) -> None:
        async def fail(wanted: Any, *, limit: int) -> list[tuple[int, int]]:
            raise error

        works, scene.store.suspects = scene.store.suspects, fail  # type: ignore[method-assign]
        scene.slots.start(7)
        await asyncio.sleep(0.001)
        scene.store.suspects = works  # type: ignore[method-assign]
        looks = len(scene.store.looks)
        scene.due(1)
        await asyncio.sleep(RETRY_MS / 1000 - 0.1)
        assert len(scene.store.looks) == looks
        await asyncio.sleep(0.2)
        assert scene.rows == [1]

    on_scene(body, starts=False)
    assert len(caplog.records) == isinstance(error, LookupError)


# what is known of instances -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [None, *Stop])
def test_the_place_of_one_that_ended_is_known_until_its_last_writes_are_on_disk(reason: Stop | None) -> None:
    """Not if it writes nothing more."""

    async def body(scene: Scene) -> None:
        scene.due(1, 2)
        await scene.looks()
        scene[1].stop_reason = reason
        scene.slots.forget([1])
        assert scene.slots.place_of(1) == ("w", "i1")
        await scene[1].ends()
        if reason in (Stop.ABORT, Stop.LOST):
            with pytest.raises(KeyError):
                scene.slots.place_of(1)
        else:
            assert scene.slots.place_of(1) == ("w", "i1")
        scene.slots.forget([1])
        with pytest.raises(KeyError):
            scene.slots.place_of(1)
        assert scene.slots.place_of(2) == ("w", "i2")

    on_scene(body)


def test_code_that_is_left_behind_takes_nothing_of_the_next_life_along() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1)
        await scene.looks()
        old = scene[1]
        old.stop_reason = Stop.ABORT
        scene.due(1)
        await scene.looks()
        assert scene[1] is not old
        await old.ends()
        assert scene.rows == [1]
        assert scene.slots.place_of(1) == ("w", "i1")

    on_scene(body)


def test_one_that_is_driven_elsewhere_is_stopped_and_no_other() -> None:
    async def body(scene: Scene) -> None:
        scene.due(1, 2)
        await scene.looks()
        scene.slots.drop(1)
        scene.slots.drop(3)
        return scene[1].stop_reason, scene[2].stop_reason

    assert on_scene(body) == (Stop.LOST, None)


def test_in_flight_are_those_with_a_callback_executing() -> None:
    async def body(scene: Scene) -> int:
        scene.due(1, 2, 3)
        await scene.looks()
        scene[1].in_flight = 2
        return scene.slots.in_flight

    assert on_scene(body) == 1
