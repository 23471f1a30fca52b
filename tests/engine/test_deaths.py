"""Laws of deaths of the process: each counts, once, and for whoever was executing (engine-semantics, section 2)."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.support.world import HOUR, MINUTE, in_world
from wrangler_py.engine import Status
from wrangler_py.engine.quarantine import Evidence

ONCE = {"retries": {"limit": 0, "delay": 0}}
TWICE = {"retries": {"limit": 1, "delay": 0}}
DIED = "Attempt failed due to internal workflows error: the process died while this step was executing"


async def detail(world, row):
    return await world.engine.detail("w", row.id)


async def deaths_of(world, row) -> int:
    return world.store._value("SELECT deaths FROM instances WHERE number = ?", (row.row,))


def killer(world, config=TWICE, *, before=None):
    """Return a `run` whose step kills its process, in the turn in which it begins or after ``before`` seconds."""

    async def run(event, step):
        @step.do("crunch", config=config)
        async def crunch():
            if before is not None:
                await asyncio.sleep(before)
            await world.die()

        return await crunch()

    return run


def test_an_instance_whose_process_died_before_its_first_commit_begins_in_the_next(tmp_path):
    lives = []

    async def body(world):
        async def run(event, step):
            lives.append(None)
            if len(lives) == 1:
                await world.die()
            return len(lives)

        await world.define(run)
        row = await world.engine.create("w")
        await world.live_on(60)
        return await world.types(row)

    assert in_world(tmp_path, body) == ["WORKFLOW_QUEUED", "WORKFLOW_START", "WORKFLOW_SUCCESS"]


@pytest.mark.parametrize("before", [None, 0, 0.05, 5])
def test_a_step_that_kills_its_process_fails_for_good_after_its_attempts(tmp_path, before):
    async def body(world):
        await world.define(killer(world, before=before))
        row = await world.engine.create("w")
        await world.live_on(120)
        return await detail(world, row), world.deaths

    seen, deaths = in_world(tmp_path, body)
    assert (seen.status, seen.error.name, seen.error.message) == ("errored", "WorkflowInternalError", DIED)
    assert [one.error.message for one in seen.steps[0].attempts] == [DIED] * 2
    # The first one, in the very turn of the start, leaves no trace but the suspicion.
    assert deaths == (3 if before is None else 2)


@pytest.mark.parametrize("before", [None, 0.05])
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_step_that_the_record_names_is_called_as_often_as_it_may_be(tmp_path, limit, before):
    calls = []

    async def body(world):
        async def crunch(ctx):
            calls.append(ctx.attempt)
            if before is not None:
                await asyncio.sleep(before)
            await world.die(attempt=ctx.attempt)

        async def run(event, step):
            await step.do("crunch", {"retries": {"limit": limit, "delay": 0}}, crunch)

        await world.define(run)
        row = await world.engine.create("w")
        await world.live_on(200)
        return await detail(world, row)

    seen = in_world(tmp_path, body)
    assert (seen.status, seen.error.message) == ("errored", DIED)
    assert [one.error.message for one in seen.steps[0].attempts] == [DIED] * (limit + 1)
    assert calls == list(range(1, limit + 2))


def test_a_rollback_that_the_record_names_is_called_as_often_as_it_may_be(tmp_path):
    calls = []

    async def body(world):
        async def undo(ctx):
            calls.append(ctx.attempt)
            await world.die(attempt=ctx.attempt, is_rollback=True)

        async def run(event, step):
            config = {"retries": {"limit": 1, "delay": 0}}
            await step.do("pay", config, lambda: 1, rollback=undo, rollback_config=config)
            raise ValueError("no")

        await world.define(run)
        row = await world.engine.create("w")
        await world.live_on(200)
        return await detail(world, row)

    seen = in_world(tmp_path, body)
    assert (seen.error.message, seen.rollback.outcome, seen.rollback.error.message) == ("no", "failed", DIED)
    assert calls == [1, 2]


@pytest.mark.parametrize("is_named", [True, False])
def test_attempts_under_way_count_only_where_the_culprit_is_unknown(tmp_path, is_named):
    """In other instances, in the culprit's own, in a rollback; with limits of 0."""
    begun = Counter()

    async def body(world):
        async def work(ctx):
            begun[ctx.step.name, ctx.attempt] += 1
            await asyncio.sleep(1)

        async def crunch(ctx):
            await asyncio.sleep(0.5)
            if is_named:
                await world.die(attempt=ctx.attempt)
            await world.die()

        async def neighbour(event, step):
            await step.do("work", ONCE, work)

        async def undone(event, step):
            await step.do("pay", ONCE, lambda: 1, rollback=work, rollback_config=ONCE)
            raise ValueError("no")

        async def both(event, step):
            config = {"retries": {"limit": 3, "delay": 0}}
            results = await asyncio.gather(
                step.do("beside", ONCE, work), step.do("crunch", config, crunch), return_exceptions=True
            )
            return [None if one is None else type(one).__name__ for one in results]

        await world.define(neighbour, "n")
        await world.define(undone, "u")
        await world.define(both)
        rows = [await world.engine.create(name) for name in ("n", "u", "w")]
        await world.live_on(300)
        return [await world.engine.detail(one.workflow, one.id) for one in rows]

    alone, undone, both = in_world(tmp_path, body)
    names = ("work", "pay", "beside")
    if is_named:
        assert (alone.status, undone.rollback.outcome, both.status) == ("complete", "complete", "complete")
        assert both.output == [None, "WorkflowInternalError"]
        assert min(begun[name, 1] for name in names) > 1
        assert {attempt for _, attempt in begun} == {1}
        assert [len(one.steps[0].attempts) for one in (alone, both)] == [1, 1]
        assert alone.steps[0].attempts[0].success is True
    else:
        assert (alone.status, undone.rollback.outcome) == ("errored", "failed")
        assert {begun[name, 1] for name in names} == {1}


def test_a_second_life_of_an_instance_knows_nothing_of_the_deaths_of_the_first(tmp_path):
    calls = []

    async def body(world):
        async def crunch(ctx):
            calls.append(ctx.attempt)
            if len(calls) == 1:
                await world.die(attempt=ctx.attempt)

        async def run(event, step):
            await step.do("crunch", ONCE, crunch)

        await world.define(run)
        row = await world.engine.create("w")
        await world.live_on(100)
        before = await detail(world, row)
        await world.engine.restart("w", row.id)
        await world.live_on(10)
        return before.status, (await detail(world, row)).status

    assert in_world(tmp_path, body) == ("errored", "complete")
    assert calls == [1, 1]


def test_a_step_of_limit_zero_kills_at_most_twice(tmp_path):
    async def body(world):
        await world.define(killer(world, ONCE))
        row = await world.engine.create("w")
        await world.live_on(60)
        return await detail(world, row), world.deaths

    seen, deaths = in_world(tmp_path, body)
    assert (seen.status, len(seen.steps[0].attempts), deaths) == ("errored", 1, 2)


def test_the_delay_of_a_step_applies_after_each_death(tmp_path):
    async def body(world):
        await world.define(
            killer(world, {"retries": {"limit": 2, "delay": "1 minute", "backoff": "constant"}})
        )
        row = await world.engine.create("w")
        await world.live_on(300)
        ended = await world.engine.status("w", row.id)
        return ended.status, ended.ended_at - row.created_at, world.deaths

    status, took, deaths = in_world(tmp_path, body)
    assert (status, deaths) == (Status.ERRORED, 4)
    assert 2 * MINUTE <= took < 2 * MINUTE + 20_000


def test_a_run_that_kills_its_process_between_steps_is_given_up(tmp_path):
    async def body(world):
        async def run(event, step):
            await step.do("first", lambda: 1)
            await world.die()

        await world.define(run)
        row = await world.engine.create("w")
        await world.live_on(120)
        return await detail(world, row), world.deaths

    seen, deaths = in_world(tmp_path, body)
    assert (seen.status, seen.error.name) == ("errored", "WorkflowInternalError")
    assert seen.error.message.startswith(
        "The process died 5 times in a row while this instance was executing"
    )
    assert seen.warnings == []  # Its steps did not come up again, because run() was not called.
    assert deaths <= 6


def test_a_rollback_that_kills_its_process_counts_its_attempts(tmp_path):
    async def body(world):
        async def undo():
            await world.die()

        async def run(event, step):
            await step.do("pay", {"retries": {"limit": 0, "delay": 0}}, lambda: 1, rollback=undo)
            raise ValueError("no")

        await world.define(run)
        row = await world.engine.create("w")
        await world.live_on(3000)
        return await detail(world, row), world.deaths

    seen, deaths = in_world(tmp_path, body)
    assert (seen.status, seen.rollback.outcome) == ("errored", "failed")
    assert seen.rollback.error.name == "WorkflowInternalError"
    assert deaths <= 8


def test_suspicion_is_lifted_by_progress(tmp_path):
    async def body(world):
        async def run(event, step):
            await step.do("a", TWICE, lambda: asyncio.sleep(1))
            await step.wait_for_event("w", "go")

        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(0.5)
        await world.crash()
        before = await deaths_of(world, row)
        await asyncio.sleep(2)
        return before, await deaths_of(world, row)

    assert in_world(tmp_path, body) == (1, 0)


def test_an_instance_that_waits_is_not_suspected(tmp_path):
    async def body(world):
        async def run(event, step):
            await step.wait_for_event("w", "go")

        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(0.5)
        await world.crash()
        return await deaths_of(world, row)

    assert in_world(tmp_path, body) == 0


def test_an_orderly_end_of_the_process_is_no_death(tmp_path):
    async def body(world):
        async def run(event, step):
            await step.do("a", TWICE, lambda: asyncio.sleep(60))

        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(0.5)
        await world.close()
        await world.open()
        return await deaths_of(world, row)

    assert in_world(tmp_path, body) == 0


def test_an_event_that_came_before_a_death_wakes_its_instance_after_it(tmp_path):
    async def body(world):
        async def run(event, step):
            return (await step.wait_for_event("w", "go", timeout="1 hour"))["payload"]

        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(0.5)
        await world.store.add_event(row, "go", b'"there"', world.clock.now())
        await world.crash()
        await asyncio.sleep(1)
        return (await detail(world, row)).output

    # It waits in memory, so that the process drives it when the event comes.
    assert in_world(tmp_path, body, hibernate_after_ms=24 * HOUR) == "there"


def neighbours(calls, seconds=2.0):
    """Return a `run` of a neighbour: one step of limit 0, which takes a while."""

    async def run(event, step):
        @step.do("work", config=ONCE)
        async def work():
            calls[event.instanceId] += 1
            await asyncio.sleep(seconds)
            return "done"

        return await work()

    return run


@pytest.mark.parametrize("before", [None, 0.05])
def test_a_killer_takes_no_attempt_of_neighbours_that_begin_after_its_first_death(tmp_path, before):
    calls = Counter()

    async def body(world):
        await world.define(killer(world, {"retries": {"limit": 5, "delay": 0}}, before=before))
        await world.define(neighbours(calls), "n")
        row = await world.engine.create("w")
        await world.live_on(0.2)
        assert world.deaths >= 1
        rows = [await world.engine.create("n", id=f"n{number}") for number in range(50)]
        await world.live_on(600)
        ends = {(await world.engine.status("n", one.id)).status for one in rows}
        return (await detail(world, row)).status, ends

    assert in_world(tmp_path, body) == ("errored", {Status.COMPLETE})
    assert set(calls.values()) == {1}


def test_neighbours_in_flight_at_the_first_death_lose_no_second_attempt(tmp_path):
    """Each has two attempts: the first is lost by the rule, the second must be theirs, whatever the killer does."""
    calls = Counter()

    async def body(world):
        async def neighbour(event, step):
            @step.do("work", config=TWICE)
            async def work():
                calls[event.instanceId] += 1
                await asyncio.sleep(2)

            await work()

        await world.define(neighbour, "n")
        await world.define(killer(world, {"retries": {"limit": 5, "delay": 0}}))
        rows = [await world.engine.create("n", id=f"n{number}") for number in range(5)]
        await world.live_on(0.2)
        row = await world.engine.create("w")
        await world.live_on(600)
        ends = {(await world.engine.status("n", one.id)).status for one in rows}
        return (await detail(world, row)).status, ends

    assert in_world(tmp_path, body) == ("errored", {Status.COMPLETE})
    assert set(calls.values()) == {2}


def test_many_instances_near_a_kill_from_outside_go_on_soon(tmp_path):
    async def body(world):
        async def run(event, step):
            await step.do("work", TWICE, lambda: asyncio.sleep(60))

        await world.define(run)
        rows = [await world.engine.create("w", id=f"n{number}") for number in range(200)]
        await asyncio.sleep(1)
        await world.crash()
        began = world.clock.now()
        last = max([(await world.finish(row)).ended_at for row in rows])
        return (last - began) / 1000

    # Their work takes a minute; groups that double each three seconds add little to it.
    assert in_world(tmp_path, body) < 60 + 25


def test_others_go_on_while_a_suspect_waits_for_its_retry(tmp_path):
    async def body(world):
        async def quick(event, step):
            await step.do("quick", lambda: 1)

        await world.define(quick, "q")
        await world.define(killer(world, {"retries": {"limit": 1, "delay": "1 hour"}}))
        await world.engine.create("w")
        await world.live_on(30)
        row = await world.engine.create("q")
        await world.live_on(1)
        return (await world.engine.status("q", row.id)).status

    assert in_world(tmp_path, body) is Status.COMPLETE


def test_a_suspect_is_tried_although_others_are_always_busy(tmp_path):
    async def body(world):
        async def busy(event, step):
            for number in range(2000):
                await step.do(f"s{number}", ONCE, lambda: asyncio.sleep(0.3))

        await world.define(busy, "b")
        await world.define(killer(world, {"retries": {"limit": 2, "delay": "20 seconds"}}))
        row = await world.engine.create("w")
        await world.live_on(0.02)
        rows = [await world.engine.create("b", id=f"b{number}") for number in range(4)]
        await world.live_on(300)
        statuses = {(await world.engine.status("b", one.id)).status for one in rows}
        return (await detail(world, row)).status, statuses & {Status.ERRORED}

    assert in_world(tmp_path, body) == ("errored", set())


async def after_a_death(world, *evidence, stopped=()):
    """Let the process of two executing instances and one that waits die; return the deaths that count for each."""

    async def run(event, step):
        if event.payload == "waits":
            await step.wait_for_event("w", "go")
        await step.do("work", TWICE, lambda: asyncio.sleep(60))

    await world.define(run)
    rows = [await world.engine.create("w", id=name, params=name) for name in ("a", "b", "waits")]
    await asyncio.sleep(1)
    await world.store.reap(
        now=world.clock.now(), keep=(), owners=["pywrangler"], stopped=stopped, evidence=evidence
    )
    return [await deaths_of(world, row) for row in rows]


@pytest.mark.parametrize(
    ("how", "deaths"),
    [
        ({}, [1, 1, 0]),
        ({"evidence": [Evidence("pywrangler", [("w", "a")], is_certain=True)]}, [2, 0, 0]),
        ({"evidence": [Evidence("pywrangler", [("w", "a"), ("w", "b")])]}, [1, 1, 0]),
        ({"evidence": [Evidence("pywrangler")]}, [1, 1, 0]),
        ({"evidence": [Evidence("another", [("w", "a")], is_certain=True)]}, [1, 1, 0]),
        ({"stopped": ["pywrangler"]}, [0, 0, 0]),
    ],
)
def test_a_death_counts_for_those_that_were_executing_as_far_as_that_is_known(tmp_path, how, deaths):
    evidence = how.get("evidence", ())
    stopped = how.get("stopped", ())
    assert in_world(tmp_path, lambda world: after_a_death(world, *evidence, stopped=stopped)) == deaths


def test_deaths_that_something_else_may_have_caused_never_end_an_instance(tmp_path):
    """As a handler of requests that ends the process again and again while `run()` waits for something of its own."""

    async def body(world):
        async def run(event, step):
            await asyncio.sleep(100)
            return "done"

        await world.define(run)
        row = await world.engine.create("w")
        for _ in range(20):
            await asyncio.sleep(2)
            await world.store.reap(
                now=world.clock.now(), keep=(), owners=["pywrangler"], evidence=[Evidence("pywrangler")]
            )
            await world.crash()
        return (await world.finish(row)).status

    assert in_world(tmp_path, body) is Status.COMPLETE


def test_an_instance_with_several_deaths_is_due_later_with_each(tmp_path):
    async def body(world):
        await world.define(killer(world, before=60))
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        delays = []
        for deaths in range(9):
            epoch = await world.store.take_lease("o", world.clock.now() + MINUTE)
            world.store._execute("UPDATE instances SET epoch = ?, deaths = ?", (epoch, deaths))
            await world.store.reap(now=world.clock.now(), keep=(), owners=["o"])
            due_at = (await world.engine.status("w", row.id)).due_at
            delays.append(max(0, due_at - world.clock.now()))
        return delays

    assert in_world(tmp_path, body) == [0, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]


def test_no_other_run_begins_beside_a_suspect_on_trial(tmp_path):
    begun = Counter()

    async def body(world):
        async def neighbour(event, step):
            begun[event.instanceId] += 1
            await step.do("work", ONCE, lambda: 1)

        await world.define(neighbour, "n")
        await world.define(killer(world, {"retries": {"limit": 3, "delay": 0}}, before=1))
        await world.engine.create("w")
        while world.deaths < 2:
            await world.live_on(0.3)
        # Now and then, so that some come while the killer waits for its trial and some in the middle of it.
        rows = []
        for number in range(30):
            rows.append(await world.engine.create("n", id=f"n{number}"))
            await world.live_on(0.3)
        await world.live_on(60)
        return {(await world.engine.status("n", one.id)).status for one in rows}

    assert in_world(tmp_path, body) == {Status.COMPLETE}
    assert set(begun.values()) == {1}
