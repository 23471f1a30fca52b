"""Laws of where code runs, as another thread sees it: the watchdog's, while the event loop is blocked."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from tests.support.world import in_world
from wrangler_py.engine.instance.place import StepPlace, StepPlaces, current_step

PLACE = StepPlace("w", "i")
OUTER = StepPlace("w", "i", "outer-1", 1)
INNER = StepPlace("w", "i", "inner-1", 2, OUTER)


def seen_by_another_thread(ask):
    """Return what ``ask(loop)`` returns in another thread, while this thread's loop is blocked by the question."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(ask, loop).result()


def test_another_thread_sees_the_innermost_step_that_a_task_executes():
    async def main():
        places = StepPlaces()
        seen = [seen_by_another_thread(places.current)]
        outer = places.enter(asyncio.current_task(), PLACE, "outer-1", 1)
        inner = places.enter(asyncio.current_task(), PLACE, "inner-1", 2)
        seen.append(seen_by_another_thread(places.current))
        places.leave(inner)
        seen.append(seen_by_another_thread(places.current))
        places.leave(outer)
        return [*seen, seen_by_another_thread(places.current)]

    assert asyncio.run(main()) == [None, INNER, OUTER, None]


def test_a_task_beside_a_step_is_not_blamed_on_it():
    async def main():
        places = StepPlaces()

        async def beside():
            return seen_by_another_thread(places.current)

        places.enter(asyncio.current_task(), PLACE, "outer-1", 1)
        return await asyncio.create_task(beside())

    assert asyncio.run(main()) is None


def test_steps_that_take_turns_are_each_seen_in_their_own_turn():
    async def main():
        places = StepPlaces()

        async def step(place):
            seen = []
            places.enter(asyncio.current_task(), PLACE, place.step, place.number)
            for _ in range(3):
                await asyncio.sleep(0)
                seen.append((seen_by_another_thread(places.current), current_step.get()))
            return seen

        return await asyncio.gather(step(OUTER), step(other))

    other = StepPlace("w", "i", "other-1", 2)
    assert asyncio.run(main()) == [[(OUTER, OUTER)] * 3, [(other, other)] * 3]


def test_steps_and_rollbacks_are_seen_while_their_functions_run(tmp_path):
    seen = []

    async def body(world):
        def look():
            seen.append(seen_by_another_thread(world.engine.executing).step)

        async def act():
            look()

        async def stream():
            look()
            yield b""

        async def outer(step):
            await step.do("inner", act)
            look()

        async def run(event, step):
            async def undo():
                look()

            await step.do("outer", lambda _: outer(step), rollback=undo)
            await step.do("streamed", stream)
            raise ValueError("undo it")

        await world.run(run)

    in_world(tmp_path, body)
    assert seen == ["inner-1", "outer-1", "streamed-1", "outer-1"]
