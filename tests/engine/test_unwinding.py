"""Laws of the end of a life: once a command has answered, nothing of the old life runs, or writes.

User code may take a while to unwind, and some never does; a command waits for the first, and goes round the second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from tests.support.world import World, in_world
from wrangler_py.engine import InstanceRow, Status
from wrangler_py.errors import CannotTerminateError, InstanceNotFoundError, StoreUnavailableError
from wrangler_py.sdk.workers.workflows import NonRetryableError


class Slow:
    """A workflow whose code takes ``unwinds_s`` to end when it is cancelled, and then tries to go on.

    ``swallows``: its step returns a result all the same.
    """

    def __init__(self, unwinds_s: float, *, swallows: bool = False) -> None:
        self.unwinds_s, self.swallows = unwinds_s, swallows
        self.lives = 0
        self.seen: list[tuple[int, str]] = []

    async def run(self, event: Any, step: Any) -> str:
        self.lives += 1
        life = self.lives
        self.seen.append((life, "begins"))

        async def work() -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(self.unwinds_s)
                self.seen.append((life, "unwinds"))
                if not self.swallows:
                    raise

        await step.do("before", lambda: self.seen.append((life, "first step")))
        try:
            await step.do("work", {"timeout": "1 day"}, work)
        except BaseException:
            await step.do("after the end", lambda: self.seen.append((life, "goes on")))
            raise
        return "done"


async def in_the_middle(world: World, slow: Slow) -> InstanceRow:
    await world.define(slow.run)
    row = await world.engine.create("w")
    await world.settle()
    assert slow.seen == [(1, "begins"), (1, "first step")]
    slow.seen.clear()
    return row


@pytest.mark.parametrize("command", ["terminate", "restart", "delete"])
def test_a_command_answers_when_the_old_life_has_unwound(tmp_path, command):
    async def body(world):
        slow = Slow(unwinds_s=3)
        row = await in_the_middle(world, slow)
        await getattr(world.engine, command)("w", row.id)
        assert slow.seen[0] == (1, "unwinds")
        slow.seen.clear()
        await asyncio.sleep(60)
        return [event for life, event in slow.seen if life == 1]

    assert in_world(tmp_path, body) == []


def test_a_restart_begins_the_new_life_after_the_old_one(tmp_path):
    async def body(world):
        slow = Slow(unwinds_s=3)
        row = await in_the_middle(world, slow)
        await world.engine.restart("w", row.id)
        await world.settle()
        assert slow.seen == [(1, "unwinds"), (2, "begins"), (2, "first step")]
        types = await world.types(row)
        return types.count("WORKFLOW_START"), types.count("STEP_START"), types.count("STEP_SUCCESS")

    assert in_world(tmp_path, body) == (1, 2, 1)


def test_code_left_behind_takes_nothing_from_the_next_life_when_it_ends(tmp_path):
    """An observer sees every event of the new life."""

    async def body(world):
        slow = Slow(unwinds_s=60)
        row = await in_the_middle(world, slow)
        await world.engine.restart("w", row.id)
        slow.unwinds_s = 0
        await world.finish(row)
        assert (1, "unwinds") in slow.seen
        types = await world.types(row)
        return [one.event.type.value for one in world.seen][-len(types) :] == types

    assert in_world(tmp_path, body)


@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("command", ["terminate", "restart", "delete"])
def test_code_that_never_unwinds_is_left_behind_and_writes_nothing(tmp_path, command, swallows):
    """It had five seconds. What it still does counts for nothing, in this life and the next."""

    async def body(world):
        slow = Slow(unwinds_s=1800, swallows=swallows)
        row = await in_the_middle(world, slow)
        began = world.clock.now()
        await getattr(world.engine, command)("w", row.id)
        assert world.clock.now() - began <= 5100
        slow.unwinds_s = 0
        await asyncio.sleep(600)
        before = await _stored(world, row, command)
        await asyncio.sleep(3000)
        after = await _stored(world, row, command)
        assert (1, "unwinds") in slow.seen
        assert (1, "goes on") not in slow.seen
        return before == after

    assert in_world(tmp_path, body)


async def _stored(world: World, row: InstanceRow, command: str) -> Any:
    """Return all that is stored of an instance; of one that runs again, what its new life did not write."""
    if command == "delete":
        with pytest.raises(InstanceNotFoundError):
            await world.status(row)
        return world.store._value("SELECT count(*) FROM history")
    types = await world.types(row)
    return (
        types if command == "terminate" else (types.count("WORKFLOW_START"), types.count("WORKFLOW_QUEUED"))
    )


@pytest.mark.parametrize("kind", [Exception, BaseException])
def test_terminate_stops_user_code_that_catches_everything(tmp_path, kind):
    async def run(event, step):
        for number in range(10**4):
            try:
                await step.do(f"s{number}", work)
            except kind:
                await asyncio.sleep(1)

    async def work():
        calls.append(1)
        await asyncio.sleep(3600)

    calls: list[int] = []

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        assert await world.engine.terminate("w", row.id) is Status.TERMINATED
        with pytest.raises(CannotTerminateError):
            await world.engine.terminate("w", row.id)
        assert (await world.engine.detail("w", row.id)).steps[-1].type == "termination"
        types = await world.types(row)
        await asyncio.sleep(2 * 3600)
        assert (await world.status(row), await world.types(row)) == (Status.TERMINATED, types)
        return world.engine.resident_count(), types[-1], len(calls)

    # Nothing can end a coroutine that catches its cancellation too: it is left behind, with nothing it could do.
    left_behind = int(kind is BaseException)
    assert in_world(tmp_path, body) == (left_behind, "WORKFLOW_TERMINATED", 1)


def test_a_pause_takes_an_instance_whose_run_has_ended_while_a_step_beside_it_unwinds(tmp_path):
    """The last step in flight ends only when `run()` has failed: the instance pauses, and fails when it is resumed."""
    unwound = []

    async def run(event, step):
        async def beside():
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(2)
                unwound.append(True)

        async def fails():
            await asyncio.sleep(1)
            raise NonRetryableError("no luck")

        task = asyncio.create_task(step.do("beside", {"timeout": "1 day"}, beside))
        await step.do("fails", fails)
        await task

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        assert await world.engine.pause("w", row.id) is Status.WAITING_FOR_PAUSE
        await asyncio.sleep(10)
        paused = await world.status(row)
        await world.engine.resume("w", row.id)
        ended = await world.finish(row)
        assert ended.error.message == "no luck"
        return paused, ended.status

    assert in_world(tmp_path, body) == (Status.PAUSED, Status.ERRORED)
    assert unwound == [True]


@pytest.mark.parametrize("command", ["terminate", "restart", "pause"])
@pytest.mark.parametrize("form", ["step", "gather", "nested", "group", "wait_for", "timeout"])
def test_the_clean_up_of_a_step_is_not_cut_off(tmp_path, form, command):
    """Clean-up awaits, as `await client.aclose()` does: a second cancellation would hit it there."""
    cleaned = []

    async def run(event, step):
        async def work():
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(2)
                cleaned.append(True)

        working = step.do("work", {"timeout": "1 day"}, work)
        if form == "step":
            await working
        elif form == "gather":
            await asyncio.gather(working, step.sleep("night", "8 hours"))
        elif form == "nested":
            await asyncio.gather(asyncio.gather(working, step.sleep("night", "8 hours")), asyncio.sleep(3600))
        elif form == "group":
            async with asyncio.TaskGroup() as group, asyncio.TaskGroup() as inner:
                inner.create_task(working)
                group.create_task(asyncio.sleep(3600))
        elif form == "wait_for":
            await asyncio.wait_for(asyncio.create_task(working), 7200)
        else:
            async with asyncio.timeout(7200):
                await working

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        await getattr(world.engine, command)("w", row.id)
        seen = [] if command == "pause" else list(cleaned)
        if command != "terminate":
            await world.engine.terminate("w", row.id)
        return seen or cleaned

    assert in_world(tmp_path, body) == [True]


def test_the_end_of_the_event_loop_is_no_end_of_an_instance(tmp_path):
    """`asyncio.run` cancels all tasks of a process that goes down by an error: to an instance that is a crash."""
    called = []

    async def run(event, step):
        async def work():
            called.append("work")
            await asyncio.sleep(10)
            return "done"

        first = step.do("work", {"retries": {"limit": 5, "delay": 0}}, work)
        return [await first, await asyncio.create_task(step.sleep("night", "1 hour"))]

    async def body(world):
        await world.define(run)
        worker, sleeper = [await world.engine.create("w", id=name) for name in ("worker", "sleeper")]
        await asyncio.sleep(5)
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        await world.turns(50)
        stored = [await world.types(row) for row in (worker, sleeper)]
        await world.close()
        await world.open()
        await world.start()
        return stored, [(await world.finish(row)).status for row in (worker, sleeper)]

    stored, ends = in_world(tmp_path, body)
    assert [types[-1] for types in stored] == ["ATTEMPT_START"] * 2
    assert ends == [Status.COMPLETE] * 2
    assert called == ["work"] * 4


def test_code_of_an_instance_cannot_stop_the_event_loop(tmp_path):
    async def run(event, step):
        async def work():
            asyncio.get_running_loop().stop()

        await step.do("work", {"retries": {"limit": 0, "delay": 0}}, work)

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        return await world.finish(row), await world.engine.detail("w", row.id)

    row, detail = in_world(tmp_path, body)
    assert row.status is Status.ERRORED
    assert "cannot stop the event loop" in detail.error.message


def test_steps_that_end_together_although_they_were_stopped_leave_nothing_to_write(tmp_path):
    """Both swallow the cancellation, and their results come in a turn in which nobody writes anything."""

    async def run(event, step):
        async def swallows():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

        names = ("one", "two") if event.payload else ()
        await asyncio.gather(*(step.do(name, {"timeout": "1 day"}, swallows) for name in names))

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w", params=True)
        await world.settle()
        ended = await world.engine.terminate("w", row.id)
        return ended, (await world.finish(await world.engine.create("w", params=False))).status

    assert in_world(tmp_path, body) == (Status.TERMINATED, Status.COMPLETE)


def test_a_restart_that_gave_up_takes_nothing_from_the_life_that_a_later_one_began(tmp_path):
    """The old code ends while the new life is claimed, and a slow store takes writes that are late in any case last."""
    lives, unwinds = [], asyncio.Event()

    async def run(event, step):
        async def work():
            lives.append("works")
            try:
                await asyncio.sleep(1 if len(lives) > 1 else 3600)
            except asyncio.CancelledError:
                await unwinds.wait()

        await step.do("work", {"timeout": "1 day"}, work)
        await step.sleep("rest", "1 second")

    async def refuse(*args, **options):
        raise StoreUnavailableError("the database is locked")

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        change, world.store.change = world.store.change, refuse
        with pytest.raises(StoreUnavailableError):
            await world.engine.restart("w", row.id)
        world.store.change = change
        apply, claim, claimed = world.store.apply, world.store.claim, asyncio.Event()

        async def claim_when_all_has_ended(*args, **options):
            unwinds.set()
            await world.turns(40)
            found = await claim(*args, **options)
            if found:
                claimed.set()
            return found

        async def apply_late(batch, epoch):
            if batch.parkings:
                await claimed.wait()
            return await apply(batch, epoch)

        world.store.apply, world.store.claim = apply_late, claim_when_all_has_ended
        await world.engine.restart("w", row.id)
        return (await world.finish(row)).status

    assert in_world(tmp_path, body) is Status.COMPLETE
    assert lives == ["works", "works"]


def test_a_pause_takes_an_instance_that_goes_on_to_its_next_step_in_the_same_turn(tmp_path):
    """The step in flight ends, and that stops the instance: the next step is refused before the cancellation comes,
    which then meets the runner, as it waits for a task that unwinds."""

    async def run(event, step):
        async def beside():
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(1)

        task = asyncio.create_task(beside())
        await step.do("one", lambda: asyncio.sleep(1))
        await step.do("two", lambda: 2)
        task.cancel()

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        assert await world.engine.pause("w", row.id) is Status.WAITING_FOR_PAUSE
        await asyncio.sleep(10)
        paused = await world.status(row)
        await world.engine.resume("w", row.id)
        return paused, (await world.finish(row)).status

    assert in_world(tmp_path, body) == (Status.PAUSED, Status.COMPLETE)


async def successes_after_a_failed_terminate(
    world: World, row: InstanceRow, meanwhile: Callable[[], Awaitable[None]]
) -> int:
    """Let a terminate fail after it has stopped the runner and ``meanwhile``; return how often `run()` then ended."""
    look, looks = world.store.look, []

    async def fails_the_second_time(*args: Any) -> Any:
        looks.append(args)
        if len(looks) == 2:
            await meanwhile()
            raise StoreUnavailableError("the database cannot be read")
        return await look(*args)

    world.store.look = fails_the_second_time
    with pytest.raises(StoreUnavailableError):
        await world.engine.terminate("w", row.id)
    await world.finish(row)
    return (await world.types(row)).count("WORKFLOW_SUCCESS")


def test_a_command_that_gives_up_after_a_new_lease_leaves_the_instance_to_its_new_runner(tmp_path):
    """It stopped the runner, then the lease was lost, and the instance is driven under the next one already."""
    lives = []

    async def run(event, step):
        lives.append("begins")
        await step.do("work", lambda: asyncio.sleep(60))

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()

        async def driven_again():
            world.engine._lease_lost()
            await asyncio.sleep(5)

        return await successes_after_a_failed_terminate(world, row, driven_again)

    assert in_world(tmp_path, body, hibernate_after_ms=10**9) == 1
    assert lives == ["begins", "begins"]


def test_a_command_that_gives_up_leaves_an_instance_that_was_released_for_another_process(tmp_path):
    """Both had stopped the same code, which is left behind; the instance goes on before that has unwound."""
    lives = []

    async def run(event, step):
        lives.append("begins")

        async def work():
            try:
                await asyncio.sleep(120)
            except asyncio.CancelledError:
                await asyncio.sleep(60)

        await step.do("work", {"timeout": "1 day"}, work)

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        context, epoch = world.engine._scheduler.resident[row.row], world.engine._commits.epoch
        release = partial(world.engine._control._release, context, epoch)
        return await successes_after_a_failed_terminate(world, row, release)

    assert in_world(tmp_path, body, hibernate_after_ms=10**9) == 1
    assert lives == ["begins", "begins"]


def test_an_instance_is_not_released_from_the_runner_that_has_just_taken_it_up(tmp_path):
    """Another process asked for it, and before the store has let it go a command of this one made it due again."""

    async def run(event, step):
        await step.do("work", lambda: asyncio.sleep(60))

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        context, epoch = world.engine._scheduler.resident[row.row], world.engine._commits.epoch
        let_go, restarts = world.store.let_go, []

        async def slow(*args, **options):
            restarts.append(asyncio.ensure_future(world.engine.restart("w", row.id)))
            await asyncio.sleep(1)
            return await let_go(*args, **options)

        world.store.let_go = slow
        await world.engine._control._release(context, epoch)
        await restarts[0]
        await asyncio.sleep(1)
        seen = await world.store.look("w", row.id)
        return seen.instance.epoch == epoch, world.engine.resident_count()

    assert in_world(tmp_path, body, hibernate_after_ms=10**9) == (True, 1)
