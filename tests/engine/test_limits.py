"""Laws of limits (engine-semantics, section 5): they count an instance's whole life, wherever it was."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.support.world import DAY, in_world
from wrangler_py.engine import Status, limits
from wrangler_py.errors import InvalidInstanceIdError

#: How a life is cut in two: it stays in memory, leaves it, or its process dies.
CUTS = pytest.mark.parametrize("cut", ["stays", "hibernates", "crashes"])
BYTES = 10_000


async def through_the_middle(world, cut):
    """Create an instance, and let it go through the sleep in its middle."""
    row = await world.engine.create("w")
    await asyncio.sleep(60)
    assert world.engine.resident_count() == (0 if cut == "hibernates" else 1)
    if cut == "crashes":
        await world.crash()
    return await world.finish(row)


def options(cut):
    return {"hibernate_after_ms": 0 if cut == "hibernates" else DAY}


@CUTS
@pytest.mark.parametrize("kind", ["do", "wait_for_event"])
def test_the_step_limit_counts_steps_of_all_lifetimes(tmp_path, cut, kind):
    done = []

    async def run(event, step):
        for number in range(6):
            if number == 2:
                await step.sleep("middle", "1 hour")
            if kind == "do":
                await step.do(f"s{number}", lambda: 1)
            else:
                await asyncio.wait(
                    [asyncio.ensure_future(step.wait_for_event(f"s{number}", "go", timeout=0))]
                )
            done.append(number)

    async def body(world):
        await world.define(run, step_limit=4)
        return await through_the_middle(world, cut)

    row = in_world(tmp_path, body, **options(cut))
    assert (row.status, row.error.message) == (
        Status.ERRORED,
        "The limit of 4 steps has been reached. This limit can be changed in your worker configuration.",
    )
    assert max(done) == 3


@CUTS
@pytest.mark.parametrize("fits", [True, False])
def test_the_storage_limit_counts_results_and_events_of_all_lifetimes(tmp_path, monkeypatch, cut, fits):
    """Two results, an event and another result; the last makes it too much, or just not."""
    stored = 4 * BYTES + 100
    small = msgspec.structs.replace(limits.PLANS["free"], state_bytes=stored if fits else stored - BYTES)
    monkeypatch.setitem(limits.PLANS, "free", small)

    async def run(event, step):
        await step.do("one", lambda: "x" * BYTES)
        await step.do("two", lambda: "x" * BYTES)
        await step.wait_for_event("wait", "go")
        await step.sleep("middle", "1 hour")
        await step.do("three", lambda: "x" * BYTES)

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w", id="a")
        await world.engine.send_event("w", "a", "go", "x" * BYTES)
        await asyncio.sleep(60)
        if cut == "crashes":
            await world.crash()
        return await world.finish(row)

    row = in_world(tmp_path, body, plan="free", **options(cut))
    if fits:
        assert row.error is None
    else:
        assert row.error.message == "The instance has exceeded the 100MB storage limit"


@pytest.mark.parametrize("good", ["a", "A", "0", "_", "a-_9", "x" * 64])
def test_an_instance_id_of_the_documented_form_is_taken(good):
    assert limits.check_instance_id(good) == good


@pytest.mark.parametrize("bad", ["x" * 65, "", "-", "a.b", "a b", "a\n", "é", None, 5, b"a"])
def test_any_other_instance_id_is_refused(bad):
    with pytest.raises(InvalidInstanceIdError):
        limits.check_instance_id(bad)


def test_the_limits_are_those_of_the_documents():
    """docs, table "Limits"."""
    paid, free = limits.PLANS["paid"], limits.PLANS["free"]
    assert (paid.state_bytes, paid.state_name, free.state_bytes, free.state_name) == (
        2**30,
        "1GiB",
        10**8,
        "100MB",
    )
    assert (paid.concurrency, free.concurrency) == (4500, 25)
    assert (paid.queued, free.queued) == (100_000, 10_000)
    assert (paid.retention_ms, free.retention_ms) == (30 * DAY, 3 * DAY)
    assert (paid.daily, free.daily) == (None, 100_000)
    assert (limits.MAX_VALUE_BYTES, limits.MAX_SLEEP_MS) == (2**20, 365 * DAY)
    assert (limits.DEFAULT_STEPS, limits.MAX_STEPS) == (1024, 25_000)
    assert (limits.MAX_ID_LENGTH, limits.MAX_STEP_NAME, limits.MAX_BATCH) == (64, 256, 100)
    assert (limits.RATE_COUNT, limits.RATE_MS, limits.DELAY_FUNCTION_S) == (100, 10_000, 5.0)
