from __future__ import annotations

import asyncio

import pytest

from wrangler_py.sdk import js


async def test_a_timer_rings_once_with_its_arguments() -> None:
    rung: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
    js.setTimeout(lambda *args: rung.set_result(args), 1, 1, 2)
    assert await rung == (1, 2)


async def test_a_cleared_timer_does_not_ring() -> None:
    rung = []
    js.clearTimeout(js.setTimeout(lambda: rung.append("cleared"), 0))
    js.clearTimeout(None)
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    js.setTimeout(lambda: done.set_result(None), 1)
    await done
    assert rung == []


async def test_an_async_callback_runs_to_its_end() -> None:
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def callback() -> None:
        await asyncio.sleep(0)
        done.set_result("done")

    js.queueMicrotask(callback)
    assert await done == "done"


async def test_promises() -> None:
    async def value() -> int:
        return 1

    assert await js.Promise.all([value(), js.Promise.resolve(2), 3]) == [1, 2, 3]
    assert await js.Promise.resolve(value()) == 1
    with pytest.raises(ZeroDivisionError):
        await js.Promise.all([value(), failing()])


async def failing() -> float:
    return 1 / 0
