"""The group commit by itself: which writes go together, who is told what, and what a failure leaves behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.world import run_virtual
from wrangler_py.clock import LoopClock
from wrangler_py.engine.commits import GroupCommit
from wrangler_py.engine.model import HistoryType, Status, Trigger
from wrangler_py.engine.store import Batch, Creation, Ending, EventRow, HistoryLine, Parking, StatusChange
from wrangler_py.errors import Abort, StaleEpochError, StoreUnavailableError

LOCKED = StoreUnavailableError("the database is locked")


class Shelf:
    """A store that keeps batches in a list, and refuses some."""

    def __init__(self) -> None:
        self.kept: list[tuple[Batch, int | None]] = []
        self.fault: Callable[[Batch], Exception | None] = lambda _: None
        #: How long each batch takes, in seconds, once this is set.
        self.takes_s = 0.0
        self.open = asyncio.Event()
        self.open.set()

    async def apply(self, batch: Batch, epoch: int | None) -> list[int | None]:
        await self.open.wait()
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        if (error := self.fault(batch)) is not None:
            raise error
        self.kept.append((batch, epoch))
        return [None if one.id == "taken" else len(one.id) for one in batch.creations]

    @property
    def lines(self) -> list[list[tuple[int, str]]]:
        """Row and step of what each batch appended to history."""
        return [[(line[0], f"{line[1]}-{line[3]}") for line in batch.history] for batch, _ in self.kept]


class Scene:
    """A group commit under the lease 7, its store, and what it told."""

    def __init__(self) -> None:
        self.shelf, self.told = Shelf(), list[object]()
        self.commits = GroupCommit(self.shelf, LoopClock())  # type: ignore[arg-type]
        self.commits.epoch = 7

    def listen(self) -> None:
        self.commits.on_commit = lambda batch, rows: self.told.append((len(batch.history), list(rows)))
        self.commits.on_failure = self.told.append

    def log(self, row: int, step: int = 1) -> None:
        self.commits.log(line(row, step))

    def create(self, name: str) -> asyncio.Future[int | None]:
        return self.commits.create(Creation("w", name, b"{}", Trigger.API, "v1", 1))


def line(row: int, step: int = 1) -> HistoryLine:
    return (row, HistoryType.STEP_START, 5, step, 0, "s-1", None)


def step(row: int, number: int = 1) -> tuple[int, str]:
    return row, f"STEP_START-{number}"


def on_scene(body: Callable[[Scene], Awaitable[Any]], *, listens: bool = True) -> Any:
    async def main() -> Any:
        scene = Scene()
        if listens:
            scene.listen()
        try:
            return await body(scene)
        finally:
            scene.shelf.fault = lambda _: None
            scene.shelf.open.set()
            await scene.commits.close()

    return run_virtual(main())


async def outcome(future: Awaitable[Any]) -> Any:
    """Return what a future gives, or its error; "nothing" if it gives nothing for a day."""
    try:
        async with asyncio.timeout(86_400):
            return await future
    except TimeoutError:
        return "nothing"
    except BaseException as error:
        return error


async def outcomes(*futures: Awaitable[Any]) -> list[Any]:
    return [await outcome(one) for one in futures]


def refuses(
    error: Exception, *rows: int, creations: tuple[str, ...] = ()
) -> Callable[[Batch], Exception | None]:
    """Refuse what holds history of one of ``rows``, or one of the creations."""

    def fault(batch: Batch) -> Exception | None:
        is_meant = any(one[0] in rows and one[1] is HistoryType.STEP_START for one in batch.history)
        return error if is_meant or any(one.id in creations for one in batch.creations) else None

    return fault


WRITES: dict[str, tuple[Any, ...]] = {
    "log": (line(1),),
    "chunk": ((1, 1, 0, b"x"),),
    "status": (StatusChange(1, Status.WAITING, None, 5),),
    "park": (Parking(1, Status.WAITING, None, 0, 5),),
    "end": (Ending(1, Status.COMPLETE, 5),),
    "set_deaths": (1, 2),
    "consume": (EventRow(1, 1, "go", b"", 5),),
    "give_back": (EventRow(1, 1, "go", b"", 5),),
}


# what goes together ---------------------------------------------------------------------------------------------------


def test_what_is_added_in_one_turn_is_one_transaction_under_the_lease() -> None:
    async def body(scene: Scene) -> None:
        for turn in (1, 2, 3):
            scene.log(1, turn)
            scene.log(2, turn)
            await scene.commits.durable()
        assert scene.shelf.lines == [[step(1, turn), step(2, turn)] for turn in (1, 2, 3)]
        assert [epoch for _, epoch in scene.shelf.kept] == [7, 7, 7]
        assert scene.told == [(2, [])] * 3

    on_scene(body)


@pytest.mark.parametrize("kind", WRITES)
def test_every_kind_of_write_goes_to_disk_by_itself_and_is_known_to_be_on_its_way(kind: str) -> None:
    async def body(scene: Scene) -> None:
        writes_for, scene.shelf.takes_s = scene.commits.writes_for, 10
        assert not writes_for(1)
        getattr(scene.commits, kind)(*WRITES[kind])
        assert (writes_for(1), writes_for(2)) == (True, False)
        await asyncio.sleep(5)
        assert (writes_for(1), writes_for(2)) == (True, False)
        await asyncio.sleep(6)
        assert not writes_for(1)
        ((batch, epoch),) = scene.shelf.kept
        assert (batch.rows, epoch) == (frozenset({1}), 7)

    on_scene(body)


def test_creations_alone_need_no_lease_and_each_is_told_its_row() -> None:
    async def body(scene: Scene) -> None:
        assert await asyncio.gather(scene.create("abc"), scene.create("taken"), scene.create("ab")) == [
            3,
            None,
            2,
        ]
        assert [epoch for _, epoch in scene.shelf.kept] == [None]
        assert scene.told == [(0, [3, None, 2])]

    on_scene(body)


def test_what_comes_while_a_transaction_is_under_way_goes_with_the_next() -> None:
    async def body(scene: Scene) -> None:
        scene.shelf.open.clear()
        scene.log(1)
        first = scene.commits.transaction
        await asyncio.sleep(1)
        scene.log(2)
        assert scene.commits.transaction == first + 1
        scene.shelf.open.set()
        await scene.commits.durable()
        assert scene.shelf.lines == [[step(1)], [step(2)]]

    on_scene(body)


def test_one_task_writes_for_life_and_belongs_to_no_caller() -> None:
    async def body(scene: Scene) -> None:
        scene.log(1)
        await scene.commits.flush()
        (writer,) = asyncio.all_tasks() - {asyncio.current_task()}
        for number in range(3):
            await asyncio.sleep(1)
            scene.log(number)
            await scene.commits.flush()
            assert asyncio.all_tasks() - {asyncio.current_task()} == {writer}

    on_scene(body)


def test_a_flush_waits_for_what_is_added_and_what_is_under_way_and_for_nothing_else() -> None:
    async def body(scene: Scene) -> None:
        await scene.commits.flush()
        scene.shelf.takes_s = 10
        scene.log(1)
        await asyncio.sleep(1)
        under_way = asyncio.create_task(scene.commits.flush())
        await asyncio.sleep(1)
        scene.log(2)
        added = asyncio.create_task(scene.commits.flush())
        await asyncio.sleep(7)
        assert not under_way.done()
        await under_way
        assert scene.shelf.lines == [[step(1)]]
        assert not added.done()
        await added
        assert scene.shelf.lines == [[step(1)], [step(2)]]
        await scene.commits.flush()

    on_scene(body)


def test_what_ended_together_is_recorded_as_a_group_behind_what_it_groups() -> None:
    """One result is no group, and nothing stands behind an end."""

    async def body(scene: Scene) -> None:
        for row in (1, 2, 3):
            scene.log(row)
        for row, number in ((1, 4), (1, 2), (2, 3), (3, 1), (3, 2)):
            scene.commits.result(row, number)
        scene.commits.end(Ending(3, Status.COMPLETE, 6, output=b"1"))
        now = LoopClock().now()
        await scene.commits.durable()
        group = (1, HistoryType.RESULT_GROUP, now, 4, 0, None, b'{"steps":[4,2]}')
        assert scene.shelf.kept[0][0].history == [line(1), line(2), line(3), group]

    on_scene(body)


def test_closing_writes_what_is_left_and_ends_the_writer() -> None:
    async def body(scene: Scene) -> None:
        await scene.commits.close()
        scene.log(1)
        (writer,) = asyncio.all_tasks() - {asyncio.current_task()}
        await scene.commits.close()
        assert writer.done()
        assert scene.shelf.lines == [[step(1)]]
        scene.log(2)
        await scene.commits.close()
        assert scene.shelf.lines == [[step(1)], [step(2)]]

    on_scene(body)


# a transaction that is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [LOCKED, MemoryError()], ids=["locked", "out of memory"])
def test_a_refusal_is_told_to_all_who_wait_and_poisons_the_lease(error: Exception) -> None:
    async def body(scene: Scene) -> None:
        scene.shelf.fault = refuses(error, 1)
        scene.shelf.open.clear()
        scene.log(1)
        waiters = scene.commits.durable(), scene.commits.durable(), scene.create("a")
        flushed = asyncio.ensure_future(scene.commits.flush())
        await asyncio.sleep(1)
        scene.shelf.open.set()
        runner, other, creator, flush = await outcomes(*waiters, flushed)
        assert isinstance(runner, Abort)
        assert isinstance(other, Abort)
        assert isinstance(creator, StoreUnavailableError)
        assert "was not confirmed" in str(creator)
        assert isinstance(flush, StoreUnavailableError)
        assert scene.told == [flush]
        assert flush is error or flush.__cause__ is error
        assert scene.commits.epoch is None
        assert scene.shelf.kept == []

    on_scene(body)


def test_without_a_lease_only_creations_are_written() -> None:
    """There is none at first."""

    async def body(scene: Scene) -> None:
        scene.commits = GroupCommit(scene.shelf, LoopClock())  # type: ignore[arg-type]
        scene.log(1)
        scene.commits.set_deaths(1, 1)
        scene.commits.result(1, 1)
        assert isinstance(await outcome(scene.commits.durable()), Abort)
        assert await outcome(scene.create("ab")) == 2
        assert not any(batch.is_driving or batch.results for batch, _ in scene.shelf.kept)

    on_scene(body)


def test_what_was_added_behind_a_refused_transaction_is_dropped_but_for_creations() -> None:
    async def body(scene: Scene) -> None:
        scene.shelf.fault = refuses(LOCKED, 1)
        scene.shelf.open.clear()
        scene.log(1)
        await asyncio.sleep(1)
        scene.log(2)
        runner, creator = scene.commits.durable(), scene.create("abc")
        await asyncio.sleep(1)
        scene.shelf.open.set()
        assert isinstance(await outcome(runner), Abort)
        assert await outcome(creator) == 3
        assert scene.shelf.lines == [[]]
        assert [epoch for _, epoch in scene.shelf.kept] == [None]

    on_scene(body)


def test_refused_creations_leave_the_lease_alone() -> None:
    async def body(scene: Scene) -> None:
        scene.shelf.fault = refuses(LOCKED, creations=("a",))
        assert isinstance(await outcome(scene.create("a")), StoreUnavailableError)
        assert scene.told == [LOCKED]
        scene.log(1)
        await scene.commits.durable()
        assert scene.shelf.kept[0][1] == 7

    on_scene(body)


def test_a_lease_that_is_gone_is_no_lease() -> None:
    async def body(scene: Scene) -> None:
        scene.shelf.fault = refuses(StaleEpochError("gone"), 1)
        scene.log(1)
        assert isinstance(await outcome(scene.commits.flush()), StaleEpochError)
        assert scene.commits.epoch is None

    on_scene(body)


# something in it that cannot be written -------------------------------------------------------------------------------


def test_what_cannot_be_written_is_the_fault_of_one_and_costs_no_other() -> None:
    async def body(scene: Scene) -> None:
        scene.shelf.fault = refuses(ValueError("no such letter"), 2, creations=("bad",))
        for row in (1, 2, 3):
            scene.log(row)
        runner = scene.commits.durable()
        good, bad, taken = await outcomes(scene.create("good"), scene.create("bad"), scene.create("taken"))
        assert await outcome(runner) is None
        assert (good, taken) == (4, None)
        assert isinstance(bad, StoreUnavailableError)
        assert "ValueError: no such letter" in str(bad)
        assert [batch.lost for batch, _ in scene.shelf.kept] == [frozenset()] * 3 + [
            frozenset({2}),
            frozenset(),
        ]
        assert scene.shelf.lines == [[], [], [step(1)], [(2, "WORKFLOW_FAILURE-0")], [step(3)]]
        assert [epoch for _, epoch in scene.shelf.kept] == [None, None, 7, 7, 7]
        assert scene.told == [(0, [4]), (0, [None]), (1, []), (1, []), (1, [])]
        assert scene.commits.epoch == 7

    on_scene(body)


def test_an_instance_whose_doings_cannot_be_written_ends_and_its_end_says_why() -> None:
    async def body(scene: Scene) -> Ending:
        scene.shelf.fault = refuses(ValueError("\ud800"), 2)
        scene.log(2)
        await scene.commits.flush()
        ((batch, _),) = scene.shelf.kept
        (end,) = batch.endings
        (last,) = batch.history
        assert last[:6] == (2, HistoryType.WORKFLOW_FAILURE, end.at, 0, 0, None)
        return end

    end = on_scene(body)
    assert (end.row, end.status, end.output) == (2, Status.ERRORED, None)
    assert (end.error.name, end.error.message) == (
        "WorkflowInternalError",
        r"What the instance did cannot be stored: ValueError: \ud800",
    )


@pytest.mark.parametrize("who", ["an instance", "a creation"])
def test_a_refusal_on_the_way_to_what_cannot_be_written_is_a_refusal(who: str) -> None:
    async def body(scene: Scene) -> None:
        faults = iter([ValueError(), LOCKED])
        scene.shelf.fault = lambda _: next(faults, None)
        scene.log(1)
        created = scene.create("a") if who == "a creation" else None
        assert isinstance(await outcome(scene.commits.durable()), Abort)
        assert created is None or isinstance(await outcome(created), StoreUnavailableError)
        assert scene.commits.epoch is None
        assert scene.told == [LOCKED]

    on_scene(body)


# who is told ----------------------------------------------------------------------------------------------------------


def test_an_observer_that_fails_is_reported_and_stops_nothing() -> None:
    async def body(scene: Scene) -> None:
        reported = list[dict[str, Any]]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        error = LookupError("a bug")

        def fail(*_: object) -> None:
            raise error

        scene.commits.on_commit = fail
        scene.log(1)
        await scene.commits.durable()
        scene.log(2)
        await scene.commits.durable()
        text = "an observer of the group commit failed"
        assert reported == [{"message": text, "exception": error}] * 2

    on_scene(body)


def test_nobody_need_listen() -> None:
    async def body(scene: Scene) -> None:
        scene.log(1)
        await scene.commits.durable()
        (writer,) = asyncio.all_tasks() - {asyncio.current_task()}
        scene.shelf.fault = lambda _: LOCKED
        scene.log(1)
        assert isinstance(await outcome(scene.commits.durable()), Abort)
        await asyncio.sleep(1)
        assert not writer.done()

    on_scene(body, listens=False)


def test_an_error_that_nobody_waits_for_is_reported_to_nobody() -> None:
    async def body(scene: Scene) -> None:
        reported = list[object]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        # An error of its own: its traceback holds what it was raised for.
        scene.shelf.fault = lambda _: StoreUnavailableError("locked")
        scene.create("a")
        await asyncio.sleep(1)
        gc.collect()
        assert scene.shelf.kept == []
        assert reported == []

    on_scene(body, listens=False)


def test_a_waiter_that_gave_up_disturbs_nobody() -> None:
    async def body(scene: Scene) -> None:
        waiters = scene.commits.durable(), scene.create("a"), scene.commits.durable()
        for waiter in waiters[:2]:
            waiter.cancel()
        assert await outcome(waiters[2]) is None

    on_scene(body)


def test_a_refused_batch_poisons_the_lease_although_the_store_has_emptied_it():
    """The store takes out the lines of instances that are not driven any more, and then its answer is lost."""

    async def body(scene: Scene) -> Any:
        def emptied(batch: Batch) -> Exception:
            batch.history.clear()
            return LOCKED

        scene.shelf.fault = emptied
        scene.log(1)
        with pytest.raises(StoreUnavailableError):
            await scene.commits.flush()
        return scene.commits.epoch

    assert on_scene(body) is None
