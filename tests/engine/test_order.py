"""A replay never lies: each task gets its own results, in the order of the first run, whatever came in between."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.world import HOUR, World, in_world, run_virtual
from wrangler_py.clock import VirtualLoop
from wrangler_py.engine import Status
from wrangler_py.engine.instance.tasks import Tasks, current_tasks, watch
from wrangler_py.errors import WorkflowTimeoutError
from wrangler_py.serde import decode


async def at_once() -> int:
    """The callback of a step that ends in the turn in which it begins: a `def` one would go through a thread."""
    return 1


async def after_a_crash(
    world: World, run: Any, *, wait: float = 1, version: str = "v1", reads: tuple[float, float] = (0, 0)
) -> Any:
    """Run until ``run`` has slept for ``wait`` seconds, crash, let it end; return the detail.

    ``reads``: in how many seconds the store answers reads of the first step's stream, before the crash and after it.
    """
    with_slow_reads(world, reads[0])
    await world.define(run, version=version)
    row = await world.engine.create("w")
    await asyncio.sleep(wait)
    await world.crash()
    with_slow_reads(world, reads[1])
    await world.finish(row)
    return await world.engine.detail("w", row.id)


def test_two_tasks_that_use_one_step_name_keep_their_own_results(tmp_path):
    async def run(event, step):
        async def load(who):
            return await step.do("load", lambda: who)

        seller = asyncio.create_task(load("seller"))
        await step.do("open", lambda: True)
        buyer = await load("buyer")
        await step.sleep("day", "3 seconds")
        return [buyer, await seller]

    detail = in_world(tmp_path, lambda world: after_a_crash(world, run))
    assert (detail.output, detail.warnings) == (["buyer", "seller"], [])


def test_equal_names_keep_their_results_without_a_crash_too(tmp_path):
    """With ``hibernate_after_ms=0`` every sleep is followed by a replay."""

    async def run(event, step):
        async def branch(who):
            first = await step.do("load", lambda: who)
            await step.sleep("nap", "1 second")
            return [first, await step.do("load", who.upper)]

        return await asyncio.gather(*(branch(who) for who in "abc"))

    async def body(world):
        return decode((await world.run(run)).output)

    assert in_world(tmp_path, body, hibernate_after_ms=0) == [["a", "A"], ["b", "B"], ["c", "C"]]


def test_equal_names_keep_their_results_where_each_is_taken_up_as_it_completes(tmp_path):
    """`asyncio.as_completed` makes its tasks from a set of coroutines, which has another order each time."""

    async def run(event, step):
        async def branch(number):
            loaded = await step.do("load", lambda: number)
            await step.sleep("nap", (loaded + 1) * 100)
            return [number, await step.do("check", lambda: number)]

        branches = [branch(number) for number in range(8)]
        return [await first for first in asyncio.as_completed(branches)]

    async def body(world):
        return decode((await world.run(run)).output)

    expected = [[number, number] for number in range(8)]
    assert in_world(tmp_path, body, hibernate_after_ms=0) == expected


def test_a_step_whose_task_was_cancelled_before_it_began_is_no_forgotten_await(tmp_path):
    async def run(event, step):
        reminder = asyncio.create_task(step.sleep("remind", "1 hour"))
        result = await step.do("pay", lambda: "paid")
        reminder.cancel()
        await step.sleep("van", "3 seconds")
        return result

    detail = in_world(tmp_path, lambda world: after_a_crash(world, run))
    assert (detail.status, detail.output) == ("complete", "paid")


def test_a_call_that_a_cancelled_task_never_began_is_no_forgotten_await(tmp_path):
    async def run(event, step):
        asyncio.create_task(step.sleep("remind", "1 hour")).cancel()
        return "done"

    async def body(world):
        row = await world.run(run)
        return row.status, row.error

    assert in_world(tmp_path, body) == (Status.COMPLETE, None)


def test_results_come_in_the_order_in_which_they_were_stored(tmp_path):
    seen: list[list[str]] = []

    async def run(event, step):
        order: list[str] = []
        seen.append(order)

        async def branch(name, ms):
            async def work():
                await asyncio.sleep(ms / 1000)
                return name

            order.append(await step.do(name, work))

        await asyncio.gather(branch("slow", 300), branch("quick", 100), branch("middling", 200))
        await step.sleep("night", "8 hours")
        return order

    detail = in_world(tmp_path, lambda world: after_a_crash(world, run))
    assert detail.output == ["quick", "middling", "slow"]
    assert seen[1] == seen[0]


def test_what_is_overdue_does_not_overtake_what_was_stored(tmp_path):
    async def run(event, step):
        order: list[str] = []

        async def nap():
            await step.sleep("nap", "10 seconds")
            order.append("nap")

        async def work():
            await asyncio.sleep(0)
            for number in range(3):
                order.append(await step.do("work", lambda number=number: f"work {number}"))

        await asyncio.gather(nap(), work())
        return order

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        world.clock.start += HOUR
        await world.crash()
        await world.finish(row)
        return (await world.engine.detail("w", row.id)).output

    assert in_world(tmp_path, body) == ["work 0", "work 1", "work 2", "nap"]


def test_results_stored_together_are_handed_over_together_on_a_replay(tmp_path):
    """`asyncio.wait(FIRST_COMPLETED)` sees both of two results that one transaction stored, then and on replay."""
    seen: list[int] = []

    async def run(event, step):
        tasks = [asyncio.create_task(step.do(name, at_once)) for name in "ab"]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        seen.append(len(done))
        await step.sleep("night", "8 hours")

    in_world(tmp_path, lambda world: after_a_crash(world, run))
    assert seen == [2, 2]


def test_groups_of_results_are_nobodys_business(tmp_path):
    """They are recorded for replays: no reader of the history, no observer, no page is given them."""

    async def run(event, step):
        await asyncio.gather(*(step.do(name, at_once) for name in "abc"))

    async def body(world):
        row = await world.run(run)
        kept = world.store._read("SELECT count(*) FROM history WHERE type = 'RESULT_GROUP'")[0][0]
        told = {one.event.type.value for one in world.seen}
        return kept, set(await world.types(row)) | told

    kept, types = in_world(tmp_path, body)
    assert kept == 1
    assert "RESULT_GROUP" not in types


def test_an_instance_with_one_task_stores_no_word_of_tasks(tmp_path):
    async def run(event, step):
        await step.do("a", lambda: 1)
        await step.sleep("b", 10)

    async def body(world):
        await world.run(run)
        return world.store._read(
            "SELECT count(*) FROM history WHERE data LIKE '%task%' OR type = 'RESULT_GROUP'"
        )

    assert in_world(tmp_path, body) == [(0,)]


def test_a_branch_added_in_front_by_an_edit_does_not_make_the_others_run_again(tmp_path):
    """The tasks' numbers have moved; the names say which step is which."""
    called: list[str] = []

    def first_of(names: str) -> Any:
        async def run(event, step):
            async def branch(name):
                def work():
                    called.append(name)
                    return name

                return await step.do(f"fetch {name}", work)

            found = await asyncio.gather(*(branch(name) for name in names))
            await step.wait_for_event("w", "go")
            return found

        return run

    async def body(world):
        await world.define(first_of("ab"))
        row = await world.engine.create("w")
        await asyncio.sleep(60)
        await world.define(first_of("cab"))
        await world.engine.send_event("w", row.id, "go")
        return decode((await world.finish(row)).output)

    assert in_world(tmp_path, body) == ["c", "a", "b"]
    assert called == ["a", "b", "c"]


def test_histories_that_say_nothing_of_tasks_go_on_by_name(tmp_path):
    """Version 0.3 stored no paths."""
    called: list[str] = []

    async def run(event, step):
        async def branch(name):
            def work():
                called.append(name)
                return name

            return await step.do(f"fetch {name}", work)

        found = await asyncio.gather(*(branch(name) for name in "ab"))
        await step.sleep("night", "8 hours")
        return found

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        store = world.store
        with store._database.transaction():
            store._execute(
                "UPDATE history SET data = json_remove(data, '$.task') WHERE type LIKE '%_START' AND data LIKE '{%'"
            )
            store._execute("DELETE FROM history WHERE type = 'RESULT_GROUP'")
        await world.crash()
        await world.finish(row)
        return await world.engine.detail("w", row.id)

    detail = in_world(tmp_path, body)
    assert (detail.output, detail.warnings, called) == (["a", "b"], [], ["a", "b"])


@pytest.mark.parametrize("hibernate_after_ms", [0, 10_000])
@pytest.mark.parametrize("form", ["timeout", "wait_for", "wait", "race"])
def test_an_instance_with_a_timer_of_its_own_pending_is_not_asleep(tmp_path, form, hibernate_after_ms):
    async def run(event, step):
        waiting = step.wait_for_event("answer", "answer", timeout="1 hour")
        try:
            if form == "timeout":
                async with asyncio.timeout(1):
                    await waiting
            elif form == "wait_for":
                await asyncio.wait_for(waiting, 1)
            else:
                task = asyncio.create_task(waiting)
                others = {asyncio.create_task(asyncio.sleep(1))} if form == "race" else set()
                limit = None if others else 1
                await asyncio.wait({task, *others}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                task.cancel()
                return "gave up"
        except TimeoutError:
            return "gave up"

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(2)
        return decode((await world.engine.status("w", row.id)).output or b"null")

    assert in_world(tmp_path, body, hibernate_after_ms=hibernate_after_ms) == "gave up"


@pytest.mark.parametrize("form", ["to_thread", "executor", "socket", "future"])
def test_an_instance_that_awaits_something_from_outside_is_not_asleep(tmp_path, form):
    """Nobody could tell an instance that has left memory that its thread is done or that something was received."""
    release, (near, far) = threading.Event(), socket.socketpair()
    answers: list[Any] = []

    async def outside():
        if form == "to_thread":
            await asyncio.to_thread(release.wait)
        elif form == "executor":
            await asyncio.wait([asyncio.get_running_loop().run_in_executor(None, release.wait)])
        elif form == "socket":
            reader, writer = await asyncio.open_connection(sock=near)
            await reader.readexactly(1)
            writer.close()
        else:
            answers.append(asyncio.get_running_loop().create_future())
            await answers[0]

    async def run(event, step):
        waiting = asyncio.create_task(step.wait_for_event("answer", "answer", timeout="1 hour"))
        other = asyncio.create_task(outside())
        done, _ = await asyncio.wait({waiting, other}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return other in done

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.turns(200)
        if form in ("socket", "future"):  # While a thread works, virtual time stands still.
            await asyncio.sleep(30)
        resident = world.engine.resident_count()
        release.set()
        assert resident == 1
        far.send(b"x")
        for answer in answers:
            answer.set_result(None)
        await asyncio.sleep(1)
        return decode((await world.engine.status("w", row.id)).output or b"null")

    with near, far:
        assert in_world(tmp_path, body, hibernate_after_ms=0) is True


@pytest.mark.parametrize(
    "form", ["queue", "event", "lock", "condition", "shield", "group", "gather", "semaphore"]
)
def test_tasks_that_await_each_other_do_not_keep_an_instance_in_memory(tmp_path, form):
    async def run(event, step):
        async def night():
            await step.sleep("night", "8 hours")

        queue, lock, woken, condition = asyncio.Queue(), asyncio.Lock(), asyncio.Event(), asyncio.Condition()
        sleeper = asyncio.create_task(night())
        semaphore = asyncio.Semaphore(0)
        others = {
            "queue": queue.get,
            "event": woken.wait,
            "lock": lock.acquire,
            "semaphore": semaphore.acquire,
        }
        if form in others:
            await lock.acquire()
            asyncio.create_task(others[form]())  # noqa: RUF006
            await sleeper
        elif form == "condition":
            async with condition:
                other = asyncio.create_task(sleeper_then(sleeper, condition))
                await condition.wait()
                await other
        elif form == "shield":
            await asyncio.shield(sleeper)
        elif form == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(night())
        else:
            await asyncio.gather(asyncio.gather(sleeper), night())

    async def sleeper_then(sleeper, condition):
        await sleeper
        async with condition:
            condition.notify_all()

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(30)
        assert world.engine.resident_count() == 0
        return (await world.finish(row)).status

    assert in_world(tmp_path, body) is Status.COMPLETE


async def read_all(stream: Any) -> str:
    return b"".join([chunk async for chunk in stream]).decode()


async def some_bytes() -> Any:
    yield b"from the stream"


def with_slow_reads(world: World, seconds: float) -> None:
    """Let the store take its time for what the first step has stored."""
    read = world.store.chunk

    async def chunk(row: int, step: int, number: int) -> bytes | None:
        if seconds and step == 1:
            await asyncio.sleep(seconds)
        return await read(row, step, number)

    world.store.chunk = chunk


@pytest.mark.parametrize("seconds", [(0, 0.2), (0.2, 0)])
def test_how_fast_the_store_answers_decides_no_race(tmp_path, seconds):
    """Two streams are stored in one transaction; to read them takes time, and not the same in each life."""
    lives: list[Any] = []

    async def run(event, step):
        order: list[str] = []

        async def read(name):
            await read_all(await step.do(name, some_bytes))
            order.append(name)

        first, second = asyncio.create_task(read("first")), asyncio.create_task(read("second"))
        done, _ = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        lives.append((first in done, second in done, list(order)))
        await asyncio.gather(first, second)
        await step.sleep("night", "3 seconds")
        return order

    detail = in_world(tmp_path, lambda world: after_a_crash(world, run, reads=seconds))
    assert (detail.status, detail.warnings, len(lives)) == (Status.COMPLETE, [], 2)
    assert lives[0] == lives[1]


@pytest.mark.parametrize("seconds", [(0, 0.5), (0.5, 0), (0.5, 0.5)])
@pytest.mark.parametrize("how", ["timeout", "wait_for", "race"])
def test_no_timer_overtakes_what_the_store_is_asked_for(tmp_path, how, seconds):
    """A result in time in the first life is in time on a replay, however slow the store is then, and the reverse."""
    calls: list[str] = []
    lives: list[Any] = []

    async def run(event, step):
        async def work():
            text = await read_all(await step.do("first", some_bytes))
            return [text, await step.do("second", later)]

        async def later():
            calls.append("second")
            await asyncio.sleep(0.05)
            return len(calls)

        got = await within(how, 0.1, work())
        lives.append(got)
        await step.sleep("night", "3 seconds")
        return got

    detail = in_world(tmp_path, lambda world: after_a_crash(world, run, reads=seconds))
    assert lives == [None if seconds[0] else ["from the stream", 1]] * 2
    assert (detail.output, detail.warnings, calls) == (lives[0], [], ["second"])


async def within(how: str, seconds: float, work: Any) -> Any:
    """Return what ``work`` gives within ``seconds``, else None."""
    if how == "race":
        work = asyncio.ensure_future(work)
        done, _ = await asyncio.wait([work], timeout=seconds)
        work.cancel()
        return work.result() if done else None
    try:
        if how == "wait_for":
            return await asyncio.wait_for(work, seconds)
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        return None


def test_a_timer_held_back_by_a_replay_fires_once_all_that_is_stored_is_handed_over(tmp_path):
    """One that user code has given up meanwhile does not fire at all."""
    fired: list[tuple[int, str]] = []
    lives: list[None] = []

    async def run(event, step):
        lives.append(None)

        def fire(name):
            fired.append((len(lives), name))

        loop = asyncio.get_running_loop()
        loop.call_later(0.2, fire, "later")
        loop.call_later(0.1, fire, "sooner")
        given_up = loop.call_later(0.1, fire, "never")
        text = await read_all(await step.do("first", some_bytes))
        second = await step.do("second", at_once)
        given_up.cancel()
        await step.do("third", linger)
        return [text, second]

    async def linger():
        await asyncio.sleep(5)

    detail = in_world(tmp_path, lambda world: after_a_crash(world, run, reads=(0, 0.5)))
    assert detail.output == ["from the stream", 1]
    assert fired == [(1, "sooner"), (1, "later"), (2, "sooner"), (2, "later")]


def test_an_instance_whose_timers_are_over_leaves_memory(tmp_path):
    async def run(event, step):
        async with asyncio.timeout(3600):
            await step.do("quick", lambda: 1)
        await asyncio.sleep(0.5)
        await step.sleep("night", "8 hours")

    async def body(world):
        await world.define(run)
        await world.engine.create("w")
        await asyncio.sleep(30)
        return world.engine.resident_count()

    assert in_world(tmp_path, body) == 0


def test_a_deadline_that_is_over_at_once_fires_before_its_instance_leaves_memory(tmp_path):
    """It is no timer but a callback of the next turn, and a look around may be under way from the wait before."""

    async def run(event, step):
        with suppress(WorkflowTimeoutError):
            await step.wait_for_event("nobody", "sends it", timeout="1 second")
        await step.do("one", at_once)
        try:
            async with asyncio.timeout(0):
                await step.sleep("night", "8 hours")
        except TimeoutError:
            return "late"

    async def body(world):
        row = await world.run(run)
        return decode(row.output), await world.types(row)

    output, types = in_world(tmp_path, body, hibernate_after_ms=0)
    assert output == "late"
    assert "SLEEP_COMPLETE" not in types


def test_a_timer_that_is_due_is_pending_until_it_has_fired():
    """Time goes on while callbacks run: an instance that left memory in between would never hear of it."""

    async def main():
        loop, tasks, fired = asyncio.get_running_loop(), Tasks(), []
        assert isinstance(loop, VirtualLoop)
        watch(loop)
        current_tasks.set(tasks)
        loop.call_later(1, fired.append, True)
        loop.jump(2)
        assert (tasks.next_timer_ms() is None, fired) == (False, [])
        await asyncio.sleep(1e-3)
        assert (tasks.next_timer_ms() is None, fired) == (True, [True])

    run_virtual(main())


def test_the_hooks_are_put_into_a_loop_once():
    async def main():
        loop = asyncio.get_running_loop()
        watch(loop)
        factory, plan = loop.get_task_factory(), loop.call_later
        watch(loop)
        assert (loop.get_task_factory(), loop.call_later) == (factory, plan)

    run_virtual(main())


def test_a_task_factory_of_somebody_else_goes_on_working():
    made: list[asyncio.Task[Any]] = []

    def factory(loop, coro, **options):
        made.append(asyncio.Task(coro, loop=loop, **options))
        return made[-1]

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        watch(loop)
        await loop.create_task(asyncio.sleep(0), name="mine")

    loop = VirtualLoop()
    loop.run_until_complete(main())
    loop.close()
    assert "mine" in [task.get_name() for task in made]


# Random programs -----------------------------------------------------------------------------------------------------

NAMES = "xyz"


def programs(depth: int = 2) -> Any:
    leaf = st.one_of(
        st.tuples(st.just("step"), st.sampled_from(NAMES), st.sampled_from([0, 0, 1, 5, 50])),
        st.tuples(st.just("fail"), st.sampled_from(NAMES)),
        st.tuples(st.just("sleep"), st.sampled_from([0, 1, 5, 2000])),
        st.tuples(st.just("turns"), st.integers(0, 3)),
        st.tuples(st.just("lock"), st.sampled_from(NAMES)),
    )
    if not depth:
        return st.lists(leaf, min_size=1, max_size=3)
    inner = programs(depth - 1)
    branches = st.lists(inner, min_size=1, max_size=3)
    node = st.one_of(
        leaf,
        st.tuples(st.sampled_from(["gather", "first", "group", "race"]), branches),
        st.tuples(st.just("limit"), st.sampled_from([2, 20, 500]), inner),
        st.tuples(st.just("background"), inner),
        st.tuples(st.just("inside"), st.sampled_from(NAMES), inner),
    )
    return st.lists(node, min_size=1, max_size=4)


class Program:
    """A program of steps and tasks; ``lives`` holds what each life of an instance saw, in order."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self.lives: list[list[str]] = []

    def freeze(self) -> None:
        """Keep what was seen so far: the process dies now, which a test can only do by cancelling tasks."""
        self.lives = [list(seen) for seen in self.lives]

    async def run(self, event: Any, step: Any) -> Any:
        seen: list[str] = []
        self.lives.append(seen)
        self._tasks: list[Any] = []
        lock = asyncio.Lock()
        await self._sequence(self.tree, step, "", seen, lock)
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)
        return seen

    async def _sequence(self, tree: Any, step: Any, label: str, seen: list[str], lock: asyncio.Lock) -> None:
        for number, node in enumerate(tree):
            at = f"{label}/{number}"
            await getattr(self, f"_{node[0]}")(node, step, at, seen, lock)

    async def _step(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        async def work() -> str:
            if node[2]:
                await asyncio.sleep(node[2] / 1000)
            return at

        result = await step.do(node[1], work)
        assert result == at
        seen.append(at)

    async def _fail(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        def work() -> None:
            raise ValueError(at)

        # A crash may have taken the last attempt, or it was given up inside a callback: then the error is the engine's.
        with pytest.raises(Exception, match=f"{re.escape(at)}|internal workflows error|stopped waiting"):
            await step.do(node[1], {"retries": {"limit": 1, "delay": 3}}, work)
        seen.append(f"{at} failed")

    async def _sleep(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        await step.sleep("nap", node[1])
        seen.append(at)

    async def _turns(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        for _ in range(node[1]):
            await asyncio.sleep(0)

    async def _lock(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        async with lock:
            await self._step((*node, 0), step, at, seen, lock)

    async def _gather(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        await asyncio.gather(
            *(self._sequence(one, step, f"{at}.{n}", seen, lock) for n, one in enumerate(node[1]))
        )
        seen.append(f"{at} gathered")

    async def _first(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        tasks = [
            asyncio.create_task(self._sequence(one, step, f"{at}.{n}", seen, lock), name=str(n))
            for n, one in enumerate(node[1])
        ]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        seen.append(f"{at} first {sorted(task.get_name() for task in done)}")
        self._tasks.extend([*done, *pending])

    async def _race(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        tasks = [
            asyncio.create_task(self._sequence(one, step, f"{at}.{n}", seen, lock), name=str(n))
            for n, one in enumerate(node[1])
        ]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        seen.append(f"{at} won by {sorted(task.get_name() for task in done)}")

    async def _limit(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        try:
            async with asyncio.timeout(node[1] / 1000):
                await self._sequence(node[2], step, at, seen, lock)
        except TimeoutError:
            seen.append(f"{at} given up")

    async def _group(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        async with asyncio.TaskGroup() as group:
            for n, one in enumerate(node[1]):
                group.create_task(self._sequence(one, step, f"{at}.{n}", seen, lock))

    async def _background(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        self._tasks.append(asyncio.create_task(self._sequence(node[1], step, f"{at}&", seen, lock)))

    async def _inside(self, node: Any, step: Any, at: str, seen: list[str], lock: asyncio.Lock) -> None:
        async def work() -> str:
            await self._sequence(
                [one for one in node[2] if one[0] != "background"], step, f"{at}>", [], asyncio.Lock()
            )
            return at

        assert await step.do(node[1], work) == at
        seen.append(at)


# The same programs each time: the simulator is what searches for new ones.
@settings(derandomize=True, max_examples=80)
@given(tree=programs(), seed=st.integers(0, 2**16), hibernate=st.sampled_from([0, 10_000]))
def test_every_life_of_an_instance_begins_with_what_the_last_one_saw(tmp_path_factory, tree, seed, hibernate):
    program, chance = Program(tree), random.Random(seed)

    async def body(world: World) -> Any:
        await world.define(program.run)
        row = await world.engine.create("w")
        for _ in range(chance.randint(1, 3)):
            await asyncio.sleep(chance.choice([0, 0.001, 0.004, 0.05, 1, 1.9]))
            await world.turns(chance.randint(0, 30))
            program.freeze()
            await world.crash()
        await world.finish(row)
        return await world.engine.detail("w", row.id)

    detail = in_world(tmp_path_factory.mktemp("order"), body, hibernate_after_ms=hibernate)
    assert (detail.status, detail.error, detail.warnings) == ("complete", None, [])
    for before, after in zip(program.lives, program.lives[1:], strict=False):
        assert after[: len(before)] == before or before[: len(after)] == after
