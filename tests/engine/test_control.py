"""Laws of pause, resume, terminate, restart, delete and ids (engine-semantics, section 1)."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress

import pytest

from tests.support.world import HOUR, World, in_world
from wrangler_py.engine import Kind, NewInstance, Status, StepRef
from wrangler_py.engine.model import Request
from wrangler_py.errors import (
    CannotRestartError,
    InstanceBusyError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidArgumentError,
    InvalidInstanceIdError,
    PayloadTooLargeError,
    StoreUnavailableError,
    WorkflowNotFoundError,
)
from wrangler_py.serde import decode


async def sleeper(event, step):
    await step.do("before", lambda: 1)
    await step.sleep("nap", "1 hour")
    return await step.do("after", lambda: 2)


@pytest.mark.parametrize("hibernate_after_ms", [0, 2 * HOUR])
def test_a_pause_stops_the_clock_of_a_sleep(tmp_path, hibernate_after_ms):
    async def body(world):
        await world.define(sleeper)
        row = await world.engine.create("w")
        await asyncio.sleep(1800)
        assert await world.engine.pause("w", row.id) is Status.PAUSED
        assert world.engine.resident_count() == 0
        await asyncio.sleep(10 * 3600)
        assert await world.status(row) is Status.PAUSED
        assert await world.engine.resume("w", row.id) is Status.QUEUED
        ended = await world.finish(row)
        return ended.ended_at - row.created_at

    assert in_world(tmp_path, body, hibernate_after_ms=hibernate_after_ms) == pytest.approx(
        11 * HOUR, abs=3000
    )


def test_a_pause_lets_steps_in_flight_finish_and_starts_no_new_one(tmp_path):
    async def run(event, step):
        await step.do("one", work)
        await step.do("two", work)

    async def work():
        await asyncio.sleep(10)

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        assert await world.engine.pause("w", row.id) is Status.WAITING_FOR_PAUSE
        await asyncio.sleep(60)
        detail = await world.engine.detail("w", row.id)
        assert (detail.status, [view.success for view in detail.steps]) == ("paused", [True])
        await world.engine.resume("w", row.id)
        return (await world.finish(row)).status

    assert in_world(tmp_path, body) is Status.COMPLETE


def test_resume_takes_back_a_pause_that_still_waits(tmp_path):
    async def run(event, step):
        await step.do("one", work)
        await step.do("two", work)

    async def work():
        await asyncio.sleep(10)

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        await world.engine.pause("w", row.id)
        assert await world.engine.resume("w", row.id) is Status.RUNNING
        ended = await world.finish(row)
        return ended.ended_at - row.created_at

    assert in_world(tmp_path, body) < 22_000


def test_pause_and_resume_have_no_effect_elsewhere(tmp_path):
    async def body(world):
        row = await world.run(sleeper)
        assert await world.engine.pause("w", row.id) is Status.COMPLETE
        assert await world.engine.resume("w", row.id) is Status.COMPLETE

    in_world(tmp_path, body)


def test_an_event_sent_during_a_pause_is_kept(tmp_path):
    async def run(event, step):
        return (await step.wait_for_event("w", "go")).payload

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        await world.engine.pause("w", row.id)
        assert await world.engine.send_event("w", row.id, "go", 5) == world.clock.now()
        await world.settle()
        assert await world.status(row) is Status.PAUSED
        await world.engine.resume("w", row.id)
        return decode((await world.finish(row)).output)

    assert in_world(tmp_path, body) == 5


@pytest.mark.parametrize("moment", ["queued", "sleeping", "complete"])
def test_restart_runs_all_again_under_the_same_id(tmp_path, moment):
    async def body(world):
        await world.define(sleeper)
        row = await world.engine.create("w", id="me", params={"a": 1})
        if moment == "sleeping":
            await asyncio.sleep(60)
        if moment == "complete":
            await world.finish(row)
        assert await world.engine.restart("w", "me") is Status.QUEUED
        ended = await world.finish(row)
        types = await world.types(row)
        return ended.status, ended.created_at == row.created_at, types.count("STEP_SUCCESS"), types[0]

    assert in_world(tmp_path, body) == (Status.COMPLETE, True, 2, "WORKFLOW_QUEUED")


def test_restart_from_a_step_keeps_what_started_before(tmp_path):
    calls = []

    async def run(event, step):
        for name in "abc":
            await step.do(name, lambda name=name: calls.append(name))
        await step.sleep("nap", "1 hour")

    async def body(world):
        row = await world.run(run)
        await world.engine.restart("w", row.id, from_=StepRef("b"))
        await world.finish(row)
        assert calls == ["a", "b", "c", "b", "c"]
        await world.engine.restart("w", row.id, from_=StepRef("nap", kind=Kind.SLEEP))
        await world.finish(row)
        assert len(calls) == 5
        with pytest.raises(CannotRestartError, match='Step "nope" not found in execution history'):
            await world.engine.restart("w", row.id, from_=StepRef("nope"))

    in_world(tmp_path, body)


def test_cursors_of_history_only_grow_across_a_restart(tmp_path):
    async def body(world):
        row = await world.run(sleeper)
        last = (await world.engine.history("w", row.id))[-1].seq
        await world.engine.restart("w", row.id)
        return (await world.engine.history("w", row.id))[0].seq > last

    assert in_world(tmp_path, body)


def test_delete_removes_everything_and_the_id_is_free(tmp_path):
    async def body(world):
        await world.define(sleeper)
        row = await world.engine.create("w", id="me")
        await world.settle()
        await world.engine.delete("w", "me")
        with pytest.raises(InstanceNotFoundError):
            await world.engine.status("w", "me")
        assert world.store._read("SELECT count(*) FROM history") == [(0,)]
        assert world.engine.resident_count() == 0
        result = await world.engine.delete_batch("w", ["me"])
        return row.id, [error.code for error in result.errors]

    assert in_world(tmp_path, body) == ("me", ["instance.not_found"])


def test_deleting_a_workflow_stops_what_runs_of_it_and_nothing_else(tmp_path):
    async def body(world):
        stopped = []

        async def run(event, step):
            async def work():
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    stopped.append(event.payload)
                    raise

            await step.do("work", work)

        await world.define(run)
        await world.define(run, "other")
        for name in ("a", "b"):
            await world.engine.create("w", id=name, params=name)
        other = await world.engine.create("other", id="c")
        await world.settle()
        await world.engine.delete_workflow("w")
        assert sorted(stopped) == ["a", "b"]
        assert world.engine.resident_count() == 1
        for name in ("a", "b"):
            with pytest.raises(InstanceNotFoundError):
                await world.engine.status("w", name)
        end = await world.finish(other)
        return end.status, world.store._read("SELECT DISTINCT instance FROM history") == [(other.row,)]

    assert in_world(tmp_path, body) == (Status.COMPLETE, True)


def test_what_another_process_drives_and_does_not_give_up_is_busy_after_ten_seconds(tmp_path):
    """Nothing of it is changed, and it is asked for no more."""

    async def body(world):
        await world.define(sleeper)
        row = await world.engine.create("w", id="me")
        await world.settle()
        other = await World(tmp_path).open()
        await other.define(sleeper)
        try:
            for command in (other.engine.terminate("w", "me"), other.engine.restart("w", "me")):
                before = world.clock.now()
                with pytest.raises(InstanceBusyError):
                    await command
                assert 10_000 <= world.clock.now() - before < 10_100
                assert (await other.store.get("w", "me")).request is None
        finally:
            await other.close()
        return (await world.finish(row)).output

    assert decode(in_world(tmp_path, body, hibernate_after_ms=2 * HOUR)) == 2


def test_an_instance_that_is_given_up_for_another_process_is_due_again_in_five_seconds(tmp_path):
    """That process may die before it writes."""

    async def body(world):
        await world.define(sleeper)
        row = await world.engine.create("w", id="me")
        await world.settle()
        await world.store.ask(await world.store.get("w", "me"), Request.LET_GO)
        await world.engine._control.answer_requests(world.engine._commits.epoch)
        world.engine._scheduler.kick()
        given_up = await world.store.get("w", "me")
        assert (given_up.epoch, given_up.request) == (None, None)
        return given_up.due_at - world.clock.now(), (await world.finish(row)).output

    assert in_world(tmp_path, body, hibernate_after_ms=2 * HOUR) == (5_000, b"2")


@contextmanager
def failing(store, name, *, call):
    """Let one call of a method of the store fail, counted from 1."""
    method, calls = getattr(store, name), []

    async def fail(*given, **named):
        calls.append(1)
        if len(calls) == call:
            raise StoreUnavailableError("the disk is full")
        return await method(*given, **named)

    setattr(store, name, fail)
    yield
    setattr(store, name, method)


@pytest.mark.parametrize("command", ["terminate", "restart", "delete"])
def test_a_command_that_fails_once_it_has_stopped_an_instance_leaves_it_to_go_on(tmp_path, command):
    async def body(world):
        await world.define(sleeper)
        row = await world.engine.create("w", id="me")
        await world.settle()
        with failing(world.store, "look", call=2), pytest.raises(StoreUnavailableError):
            await getattr(world.engine, command)("w", "me")
        return decode((await world.finish(row)).output), await world.types(row)

    output, types = in_world(tmp_path, body, hibernate_after_ms=2 * HOUR)
    assert (output, types.count("STEP_SUCCESS"), types.count("WORKFLOW_START")) == (2, 2, 1)


def test_a_command_that_fails_leaves_an_instance_to_go_on_that_was_claimed_since_it_looked(tmp_path):
    looks = []

    async def body(world):
        await world.define(sleeper)
        look = world.store.look

        async def slow(*given):
            looks.append(await look(*given))
            if len(looks) == 2:
                raise StoreUnavailableError("the disk is full")
            world.engine._scheduler.claims.release()
            await world.settle()
            return looks[-1]

        await world.engine._scheduler.claims.acquire()
        row = await world.engine.create("w", id="me")
        world.store.look = slow
        with pytest.raises(StoreUnavailableError):
            await world.engine.terminate("w", "me")
        world.store.look = look
        return (await world.finish(row)).status

    assert in_world(tmp_path, body, hibernate_after_ms=2 * HOUR) is Status.COMPLETE
    assert looks[0].instance.epoch is None


def test_a_command_whose_answer_is_lost_leaves_the_life_alone_that_it_has_begun(tmp_path):
    """The change is stored and its new life goes on while the command learns nothing of it."""
    lives = []

    async def run(event, step):
        lives.append(None)
        await step.sleep("nap", "1 hour")
        return len(lives)

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w", id="me")
        await world.settle()
        change = world.store.change

        async def lost(*given, **named):
            await change(*given, **named)
            world.engine._scheduler.kick()
            await world.settle()
            raise StoreUnavailableError("the answer is lost")

        world.store.change = lost
        with pytest.raises(StoreUnavailableError):
            await world.engine.restart("w", "me")
        world.store.change = change
        return (await world.finish(row)).status

    assert in_world(tmp_path, body, hibernate_after_ms=2 * HOUR) is Status.COMPLETE
    assert len(lives) == 2


def clinging(lives, seconds=25):
    """Return a `run` whose first life holds on to what it does for so many seconds, whatever cancels it."""

    async def run(event, step):
        lives.append("begins")
        if len(lives) == 1:
            until = asyncio.get_running_loop().time() + seconds
            while (left := until - asyncio.get_running_loop().time()) > 0:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(left)
        lives.append("ends")

    return run


def test_after_a_command_that_failed_an_instance_goes_on_once_its_code_has_unwound(tmp_path):
    """Not before: two lives of it never overlap."""
    lives = []

    async def body(world):
        await world.define(clinging(lives))
        row = await world.engine.create("w", id="me")
        await world.settle()
        with failing(world.store, "look", call=2), pytest.raises(StoreUnavailableError):
            await world.engine.terminate("w", "me")
        assert lives == ["begins"]
        return (await world.finish(row)).status

    assert in_world(tmp_path, body) is Status.COMPLETE
    assert lives == ["begins", "ends"] * 2


def test_of_two_commands_that_stopped_an_instance_the_later_says_how_it_goes_on(tmp_path):
    """The first has failed when the second comes, and its code unwinds meanwhile."""
    lives = []

    async def body(world):
        await world.define(clinging(lives, 8))
        row = await world.engine.create("w", id="me")
        await world.settle()
        with failing(world.store, "look", call=2), pytest.raises(StoreUnavailableError):
            await world.engine.terminate("w", "me")
        await world.engine.terminate("w", "me")
        await asyncio.sleep(60)
        return await world.status(row)

    assert in_world(tmp_path, body) is Status.TERMINATED
    assert lives == ["begins", "ends"]


def test_a_request_to_pause_that_comes_again_leaves_the_pause(tmp_path):
    async def run(event, step):
        await step.do("one", lambda: asyncio.sleep(10))
        await step.do("two", lambda: 1)

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w", id="me")
        await world.settle()
        for _ in range(2):
            await world.store.ask(await world.store.get("w", "me"), Request.PAUSE)
            await world.engine._control.answer_requests(world.engine._commits.epoch)
        await asyncio.sleep(60)
        return await world.status(row)

    assert in_world(tmp_path, body) is Status.PAUSED


@pytest.mark.parametrize("bad", ["", "-a", "a b", "x" * 65, "é", 5, "a\n"])
def test_invalid_ids_are_refused(tmp_path, bad):
    async def body(world):
        await world.define(sleeper)
        with pytest.raises(InvalidInstanceIdError, match="Workflow instance has invalid id"):
            await world.engine.create("w", id=bad)

    in_world(tmp_path, body)


def test_ids_are_unique_even_of_finished_instances(tmp_path):
    async def body(world):
        row = await world.run(sleeper, id="me")
        with pytest.raises(InstanceExistsError):
            await world.engine.create("w", id="me", params={"other": 1})
        assert (await world.engine.status("w", "me")).ended_at == row.ended_at
        result = await world.engine.create_batch("w", [NewInstance("me"), NewInstance("you")])
        assert [one.id for one in result.created] == ["you"]
        result = await world.engine.create_batch(
            "w", [NewInstance("me"), NewInstance("!")], skip_existing=False
        )
        return sorted(error.code for error in result.errors)

    assert in_world(tmp_path, body) == ["instance.already_exists", "instance.invalid_id"]


def test_bad_creations_are_refused(tmp_path):
    async def body(world):
        await world.define(sleeper)
        with pytest.raises(WorkflowNotFoundError):
            await world.engine.create("nobody")
        with pytest.raises(PayloadTooLargeError):
            await world.engine.create("w", params="x" * (1 << 20))
        with pytest.raises(InvalidArgumentError):
            await world.engine.create("w", params=print)
        for batch in ([], [NewInstance()] * 101):
            with pytest.raises(InvalidArgumentError):
                await world.engine.create_batch("w", batch)

    in_world(tmp_path, body)


def test_creations_up_to_their_limits_are_taken(tmp_path):
    async def body(world):
        await world.define(sleeper)
        made = await world.engine.create_batch("w", [NewInstance()] * 100)
        full = await world.engine.create("w", params="x" * ((1 << 20) - 2))
        with pytest.raises(PayloadTooLargeError):
            await world.engine.create("w", params="x" * ((1 << 20) - 1))
        return len(made.created), len(full.params)

    assert in_world(tmp_path, body) == (100, 1 << 20)


def test_two_commands_at_once_agree(tmp_path):
    async def body(world):
        await world.define(sleeper)
        row = await world.engine.create("w")
        await world.settle()
        both = await asyncio.gather(
            world.engine.terminate("w", row.id), world.engine.terminate("w", row.id), return_exceptions=True
        )
        return sorted(type(one).__name__ for one in both)

    assert in_world(tmp_path, body) == ["CannotTerminateError", "Status"]


def test_a_task_that_run_left_behind_writes_nothing_behind_the_end(tmp_path):
    async def run(event, step):
        async def slow():
            await asyncio.sleep(1)

        async def behind():
            await step.do("slow", slow)
            await step.do("next", slow)

        left.append(asyncio.create_task(behind()))
        await step.do("quick", lambda: 1)

    left = []

    async def body(world):
        row = await world.run(run)
        types = await world.types(row)
        await asyncio.sleep(60)
        assert left[0].done()
        return types[-1], await world.types(row) == types

    assert in_world(tmp_path, body) == ("WORKFLOW_SUCCESS", True)


@pytest.mark.parametrize("place", ["run", "step"])
@pytest.mark.parametrize("command", ["terminate", "delete", "restart", "pause"])
def test_an_instance_may_steer_itself(tmp_path, command, place):
    """The command stops the code that gives it, and must be carried out all the same, once."""
    lives: list[int] = []

    async def body(world):
        async def run(event, step):
            lives.append(1)
            if len(lives) > 1:
                return "again"
            if place == "run":
                await getattr(world.engine, command)("w", "me")
            else:
                await step.do("steer", lambda_of(world, command))
            await step.sleep("night", "8 hours")
            return "went on"

        await world.define(run)
        await world.engine.create("w", id="me")
        await asyncio.sleep(60)
        try:
            return (await world.engine.status("w", "me")).status.value, len(lives)
        except InstanceNotFoundError:
            return "deleted", len(lives)

    expected = {
        "terminate": ("terminated", 1),
        "delete": ("deleted", 1),
        "restart": ("complete", 2),
        "pause": ("paused", 1),
    }
    assert in_world(tmp_path, body) == expected[command]


def lambda_of(world, command):
    async def steer():
        await getattr(world.engine, command)("w", "me")

    return steer
