from __future__ import annotations

import asyncio
import logging

import pytest

from wrangler_py.sdk.context import Context, WaitUntil, current_context, wait_until


async def test_work_goes_on_until_it_is_drained() -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0)
        done.append("work")

    pending = WaitUntil()
    Context(pending).waitUntil(work())
    assert (len(pending), done) == (1, [])
    await pending.drain()
    assert (len(pending), done) == (0, ["work"])


async def test_draining_waits_for_what_work_adds() -> None:
    done = []
    pending = WaitUntil()
    context = Context(pending)

    async def outer() -> None:
        context.wait_until(inner())

    async def inner() -> None:
        await asyncio.sleep(0)
        done.append("inner")

    context.waitUntil(outer())
    await pending.drain()
    assert done == ["inner"]


async def test_a_failure_is_reported_and_the_rest_goes_on() -> None:
    errors: list[BaseException] = []
    done = []

    async def fail() -> None:
        raise ValueError("bad")

    async def work() -> None:
        done.append("work")

    pending = WaitUntil(errors.append)
    pending.add(fail())
    pending.add(work())
    await pending.drain()
    assert [str(error) for error in errors] == ["bad"]
    assert done == ["work"]


async def test_a_failure_that_nobody_asked_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("bad")

    pending = WaitUntil()
    pending.add(fail())
    with caplog.at_level(logging.ERROR):
        await pending.drain()
    assert "bad" in caplog.text


async def test_draining_ends_after_its_time() -> None:
    cancelled = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    errors: list[BaseException] = []
    pending = WaitUntil(errors.append)
    pending.add(forever())
    await pending.drain(timeout=0.01)
    assert (len(pending), cancelled, errors) == (0, [True], [])


async def test_a_handler_on_a_thread_may_add_work() -> None:
    done = []

    async def work() -> None:
        done.append(asyncio.get_running_loop())

    pending = WaitUntil()
    await asyncio.to_thread(Context(pending).waitUntil, work())
    await pending.drain()
    assert done == [asyncio.get_running_loop()]


async def test_only_what_can_be_awaited_is_taken() -> None:
    with pytest.raises(TypeError, match="not function; call the async function"):
        WaitUntil().add(lambda: None)  # type: ignore[arg-type]


async def test_the_module_function_means_the_call_that_is_being_handled() -> None:
    done = []

    async def work() -> None:
        done.append("work")

    pending = WaitUntil()
    token = current_context.set(Context(pending, props={"a": 1}))
    wait_until(work())
    current_context.reset(token)
    await pending.drain()
    assert done == ["work"]


def test_outside_of_a_call_it_says_so() -> None:
    async def work() -> None:
        pass

    with pytest.raises(RuntimeError, match="while a request is handled"):
        wait_until(work())


async def test_passing_through_is_nothing_here() -> None:
    context = Context(WaitUntil(), props={"a": 1}, exports="e")
    context.passThroughOnException()
    assert (context.props, context.exports) == ({"a": 1}, "e")
