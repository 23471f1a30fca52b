"""Attempts of a step leave one start and one end each in the history, however and whenever they are cut off."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

import pytest

from tests.engine.test_executing import Shared
from tests.support.world import HOUR, in_world
from wrangler_py.engine.entries import read_failure, read_start
from wrangler_py.engine.executing import Executing
from wrangler_py.engine.instance import attempts, executor
from wrangler_py.engine.retry import DEFAULT_CONFIG

ONCE = {"retries": {"limit": 0, "delay": 0}}


def no():
    raise ValueError("no")


async def history(world):
    return [(event.type.value, event) for event in await world.engine.history("w", "me")]


async def kinds(world):
    """Return the types of what steps left."""
    return [kind for kind, event in await history(world) if event.step]


def test_a_step_keeps_the_config_that_it_started_with(tmp_path):
    def code(limit):
        async def run(event, step):
            await step.do("s", {"retries": {"limit": limit, "delay": "1 hour", "backoff": "constant"}}, no)

        return run

    async def body(world):
        await world.define(code(1))
        row = await world.engine.create("w", id="me")
        await world.settle()
        await world.define(code(5))
        await world.crash()
        await world.finish(row)
        return (await kinds(world)).count("ATTEMPT_START")

    assert in_world(tmp_path, body) == 2


@pytest.mark.parametrize("config", [None, ONCE])
def test_the_start_of_a_step_says_how_and_where_it_was_called(tmp_path, config):
    async def run(event, step):
        async def outer():
            await step.do("inner", config, lambda: 1)

        async def beside():
            await step.do("beside", config, lambda: 2)

        await step.do("outer", config, outer)
        await asyncio.gather(beside())

    async def body(world):
        await world.run(run, id="me")
        starts = [
            (event.name, read_start(event)) for kind, event in await history(world) if kind == "STEP_START"
        ]
        assert {start.config == DEFAULT_CONFIG for _, start in starts} == {config is None}
        return {name: (start.parent, bool(start.task)) for name, start in starts}

    assert in_world(tmp_path, body) == {"outer-1": (0, False), "inner-1": (1, False), "beside-1": (0, True)}


def test_an_attempt_that_the_end_of_the_process_cuts_off_stays_open(tmp_path):
    """Its end says so when the next process finds it, and not before: nobody has given the step up."""

    async def run(event, step):
        await step.do("s", ONCE, lambda: asyncio.sleep(HOUR))

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w", id="me")
        await world.settle()
        await world.engine.drain(0)
        assert await kinds(world) == ["STEP_START", "ATTEMPT_START"]
        await world.start()
        return (await world.finish(row)).error

    error = in_world(tmp_path, body)
    assert (error.name, error.message) == (
        "WorkflowInternalError",
        "Attempt failed due to internal workflows error",
    )


@pytest.mark.parametrize("fails", [True, False])
def test_an_attempt_that_ends_well_or_not_lifts_the_suspicion(tmp_path, fails):
    """At once, while another of its steps goes on."""

    async def run(event, step):
        config = {"retries": {"limit": 1, "delay": "1 hour"}}
        short = step.do("short", config, no if fails else lambda: 1)
        await asyncio.gather(short, step.do("long", lambda: asyncio.sleep(60)))

    async def body(world):
        await world.define(run)
        await world.engine.create("w", id="me")
        world.store._execute("UPDATE instances SET deaths = 1")
        await asyncio.sleep(1)
        return world.store._value("SELECT deaths FROM instances")

    assert in_world(tmp_path, body) == 0


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("turns", range(12))
def test_a_step_that_is_given_up_while_its_end_is_on_the_way_has_that_one_end(tmp_path, fails, turns):
    async def run(event, step):
        ended = asyncio.Event()

        def work():
            ended.set()
            return no() if fails else 1

        async def call():
            await step.do("s", ONCE, work)

        task = asyncio.ensure_future(call())
        await ended.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError, ValueError):
            await task
        await step.sleep("on", 1000)

    async def body(world):
        await world.run(run, id="me")
        return await kinds(world)

    found = in_world(tmp_path, body)
    assert sum(found.count(kind) for kind in ("STEP_SUCCESS", "STEP_FAILURE")) == 1
    assert sum(found.count(kind) for kind in ("ATTEMPT_SUCCESS", "ATTEMPT_FAILURE")) == 1


def test_a_result_that_cannot_be_stored_fails_its_attempt_and_its_step(tmp_path):
    async def run(event, step):
        await step.do("s", object)

    async def body(world):
        await world.run(run, id="me")
        return [
            (kind, read_failure(event).error.name)
            for kind, event in await history(world)
            if "_FAILURE" in kind
        ]

    fatal = "WorkflowFatalError"
    assert in_world(tmp_path, body)[:2] == [("ATTEMPT_FAILURE", fatal), ("STEP_FAILURE", fatal)]


def test_where_the_delay_function_fails_the_attempt_has_its_own_error_and_the_step_the_other(tmp_path):
    async def run(event, step):
        await step.do("s", {"retries": {"limit": 3, "delay": lambda _: no()}}, no)

    async def body(world):
        await world.run(run, id="me")
        return [
            (kind, read_failure(event).error.message)
            for kind, event in await history(world)
            if kind in ("ATTEMPT_FAILURE", "STEP_FAILURE")
        ]

    attempt, step = in_world(tmp_path, body)
    assert attempt == ("ATTEMPT_FAILURE", "no")
    assert step[0] == "STEP_FAILURE"
    assert step[1].startswith('The delay function for step "s-1" raised')


@pytest.mark.parametrize(("limit", "attempts_in_all"), [(0, 1), (4, 5), (math.inf, 0)])
def test_the_record_of_what_executes_says_which_attempt_it_is_and_of_how_many(
    tmp_path, monkeypatch, limit, attempts_in_all
):
    shared, seen = Shared(), []
    for module in (attempts, executor):
        monkeypatch.setattr(module, "RECORD", shared.record)

    async def run(event, step):
        async def work(ctx):
            seen.extend(shared.last_words.on_loop)
            if ctx.attempt <= min(limit, 1):
                raise ValueError("again")

        async def undo():
            seen.extend(shared.last_words.on_loop)

        config = {"retries": {"limit": limit, "delay": 0}}
        await step.do("s", config, work, rollback=undo, rollback_config=config)
        raise ValueError("undo")

    async def body(world):
        await world.run(run, id="me")

    in_world(tmp_path, body)
    last = min(limit, 1) + 1
    tries = [Executing("w", "me", "s-1", number, attempts_in_all) for number in range(1, last + 1)]
    assert seen == [*tries, Executing("w", "me", "s-1", 1, attempts_in_all, is_rollback=True)]
