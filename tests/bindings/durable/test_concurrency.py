"""What of an object runs when: in order, interleaved only where it waits, and alone in a critical section."""

from __future__ import annotations

import asyncio

import pytest

from tests.bindings.durable.room import in_room
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.sdk.workers import DurableObject

lives: list[DurableObject] = []


class Diary(DurableObject):
    """Writes down what it does; ``wait`` waits for something else than its storage."""

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.seen = []
        lives.append(self)

    async def wait(self, name, seconds=1):
        self.seen.append(f"{name} begins")
        await asyncio.sleep(seconds)
        self.seen.append(f"{name} ends")

    async def stores(self, name):
        self.seen.append(f"{name} begins")
        for number in range(3):
            await self.ctx.storage.put(name, number)
            await self.ctx.storage.get(name)
        self.seen.append(f"{name} ends")

    def plain(self, name):
        self.seen.append(name)

    async def alone(self, name, seconds=1, fail=False):
        async def closure():
            await self.wait(name, seconds)
            if fail:
                raise ValueError("in the section")

        await self.ctx.blockConcurrencyWhile(closure)
        self.seen.append(f"{name} goes on")

    async def moves(self, name, fail=False):
        async def closure(txn):
            await txn.put(name, 1)
            await self.wait(name)
            if fail:
                raise ValueError("in the transaction")

        await self.ctx.storage.transaction(closure)
        self.seen.append(f"{name} goes on")

    async def both(self):
        await asyncio.gather(self.moves("x"), self.moves("y"))

    async def nested(self):
        async def outer():
            self.seen.append("outer")
            await self.moves("inner")

        await self.ctx.blockConcurrencyWhile(outer)

    async def history(self):
        return self.seen

    async def stored(self):
        return await self.ctx.storage.list()

    async def later(self):
        self.ctx.waitUntil(self.wait("later", 30))

    def aborts(self, reason=None):
        self.ctx.storage.kv.put("never", 1)
        self.ctx.abort(reason)

    async def counts_later(self, seconds):
        await asyncio.sleep(seconds)
        return await self.counts()

    async def counts(self):
        value = (await self.ctx.storage.get("count")) or 0
        await self.ctx.storage.put("count", value + 1)
        return value + 1


@pytest.fixture(autouse=True)
def _no_lives():
    lives.clear()


async def together(*calls):
    return await asyncio.gather(*calls, return_exceptions=True)


def history_of(folder, *calls):
    """Make the calls at once; return what the object did."""

    async def body(room):
        stub = room.only()
        await together(*(getattr(stub, method)(*args) for method, *args in calls))
        return await stub.history()

    return in_room(folder, body, Diary)


def test_calls_interleave_where_they_wait(tmp_path):
    assert history_of(tmp_path, ("wait", "a"), ("wait", "b")) == ["a begins", "b begins", "a ends", "b ends"]


def test_storage_is_no_wait(tmp_path):
    """A read and a write with `await` in front have nothing between them: that is the input gate."""
    assert history_of(tmp_path, ("stores", "a"), ("stores", "b"), ("plain", "c")) == [
        "a begins",
        "a ends",
        "b begins",
        "b ends",
        "c",
    ]


def test_no_increment_is_lost(tmp_path):
    async def body(room):
        return await together(*(room.only().counts() for _ in range(50)))

    assert in_room(tmp_path, body, Diary) == list(range(1, 51))


def test_calls_arrive_in_order_also_while_the_constructor_waits(tmp_path):
    class Slow(Diary):
        def __init__(self, ctx, env):
            super().__init__(ctx, env)
            ctx.blockConcurrencyWhile(lambda: self.wait("first", 5))

    async def body(room):
        await together(*(room.only().plain(str(number)) for number in range(5)), room.only().plain("x"))
        await room.only().plain("y")
        return await room.only().history()

    assert in_room(tmp_path, body, Slow) == ["first begins", "first ends", *"01234xy"]
    assert len(lives) == 1


def test_nothing_runs_beside_a_critical_section(tmp_path):
    """Not what comes meanwhile, nor what waited for something before: its wait ends, and it goes on afterwards."""
    assert history_of(tmp_path, ("wait", "early", 0.5), ("alone", "b", 2), ("plain", "late")) == [
        "early begins",
        "b begins",
        "b ends",
        "b goes on",
        "late",
        "early ends",
    ]


def test_nothing_runs_beside_a_transaction(tmp_path):
    assert history_of(tmp_path, ("moves", "a"), ("moves", "b"), ("plain", "c")) == [
        "a begins",
        "a ends",
        "a goes on",
        "b begins",
        "b ends",
        "b goes on",
        "c",
    ]


def test_two_transactions_of_one_call_follow_each_other(tmp_path):
    assert [line for line in history_of(tmp_path, ("both",)) if "goes" not in line] == [
        "x begins",
        "x ends",
        "y begins",
        "y ends",
    ]


@pytest.mark.parametrize("way", ["moves", "alone"])
def test_one_call_may_close_the_object_again_and_again(tmp_path, way):
    """The gate opens a turn late: who closes it anew must not wait for what they are themselves."""

    class Busy(Diary):
        async def again(self):
            for name in "xyz":
                await getattr(self, way)(name, *([] if way == "moves" else [0]))

    async def body(room):
        await together(room.only().again(), room.only().again(), room.only().plain("c"))
        return len(await room.only().history())

    assert in_room(tmp_path, body, Busy) == 2 * 3 * 3 + 1


def test_a_critical_section_may_have_another_inside(tmp_path):
    assert history_of(tmp_path, ("nested",), ("plain", "c")) == [
        "outer",
        "inner begins",
        "inner ends",
        "inner goes on",
        "c",
    ]


def test_a_transaction_that_raises_undoes_its_own_writes_only(tmp_path):
    """The counter goes up while the transaction that fails is queued behind it, and stays up."""

    async def body(room):
        stub = room.only()
        found = await together(stub.counts(), stub.moves("a", True), stub.counts())
        return [str(one) for one in found], await stub.stored()

    assert in_room(tmp_path, body, Diary) == (["1", "in the transaction", "2"], {"count": 2})


def test_a_transaction_that_raises_does_not_take_along_what_another_call_writes(tmp_path):
    """The other call waits when the transaction begins; its wait ends in the middle, it writes after the end."""

    async def body(room):
        stub = room.only()
        await together(stub.counts_later(0.5), stub.moves("a", True))
        return await stub.stored()

    assert in_room(tmp_path, body, Diary) == {"count": 1}


def test_an_answer_whose_writes_cannot_be_put_on_disk_is_not_given(tmp_path):
    """Foreign keys are looked at when the transaction ends: too late for the call to see the error itself."""

    class Broken(Diary):
        async def breaks(self):
            await self.ctx.storage.put("count", 9)
            self.ctx.storage.sql.exec("CREATE TABLE p (id INTEGER PRIMARY KEY)")
            self.ctx.storage.sql.exec("CREATE TABLE c (p REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)")
            self.ctx.storage.sql.exec("INSERT INTO c VALUES (1)")
            return "done"

    async def body(room):
        stub = room.only()
        await stub.counts()
        with pytest.raises(ObjectError) as caught:
            await stub.breaks()
        assert caught.value.message == (
            "Internal error in Durable Object storage write caused object to be reset. "
            "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT"
        )
        return await stub.stored()

    assert in_room(tmp_path, body, Broken) == {"count": 1}
    assert len(lives) == 2


def test_a_critical_section_that_raises_resets_the_object(tmp_path):
    async def body(room):
        stub = room.only()
        found = await together(stub.wait("a", 9), stub.alone("b", 1, True), stub.plain("c"))
        assert [str(one) for one in found] == ["in the section"] * 3
        await stub.plain("d")
        return await stub.history()

    assert in_room(tmp_path, body, Diary) == ["d"]
    assert len(lives) == 2


def test_a_critical_section_has_thirty_seconds(tmp_path):
    async def body(room):
        with pytest.raises(ObjectError, match="waited for too long.*the Durable Object was reset"):
            await room.only().alone("a", 31)
        await room.only().alone("a", 29)

    in_room(tmp_path, body, Diary)
    assert len(lives) == 2


def test_abort_ends_all_calls_and_undoes_what_is_not_on_disk(tmp_path):
    async def body(room):
        stub = room.only()
        await stub.counts()
        found = await together(stub.wait("a", 9), stub.aborts("enough"), stub.plain("c"))
        assert [str(one) for one in found] == ["Error: enough"] * 3
        assert str((await together(stub.aborts()))[0]) == (
            "Error: Application called abort() to reset Durable Object."
        )
        return await stub.stored()

    assert in_room(tmp_path, body, Diary) == {"count": 1}


def test_what_an_aborted_life_left_running_cannot_write(tmp_path):
    class Stubborn(Diary):
        async def writes_later(self):
            try:
                await asyncio.sleep(9)
            finally:
                await self.ctx.storage.put("late", 1)

    async def body(room):
        stub = room.only()
        await together(stub.writes_later(), stub.aborts())
        return await stub.stored()

    assert in_room(tmp_path, body, Stubborn) == {}


def test_a_constructor_that_raises_is_tried_anew_at_the_next_call(tmp_path):
    attempts = []

    class Shy(Diary):
        def __init__(self, ctx, env):
            super().__init__(ctx, env)
            ctx.storage.kv.put("tried", True)
            attempts.append(1)
            if len(attempts) < 3:
                raise KeyError("not yet")

    async def body(room):
        stub = room.only()
        for _ in range(2):
            first, second = await together(stub.counts(), stub.counts())
            assert isinstance(first, KeyError)
            assert isinstance(second, KeyError)
        return await stub.stored()

    assert in_room(tmp_path, body, Shy) == {"tried": True}
    assert len(attempts) == 3


def test_a_caller_that_goes_cancels_its_call_only(tmp_path):
    async def body(room):
        stub = room.only()
        going = asyncio.ensure_future(stub.wait("a", 9))
        await asyncio.sleep(1)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        await stub.plain("b")
        return await stub.history()

    assert in_room(tmp_path, body, Diary) == ["a begins", "b"]
    assert len(lives) == 1


# memory --------------------------------------------------------------------------------------------------------------


def test_an_object_without_work_leaves_memory_after_ten_seconds_and_comes_back(tmp_path):
    async def body(room):
        stub = room.only()
        await stub.counts()
        await asyncio.sleep(9.9)
        await stub.counts()
        await asyncio.sleep(9.9)
        assert (len(lives), len(room.objects._residents)) == (1, 1)
        await asyncio.sleep(0.2)
        assert not room.objects._residents
        return await stub.counts()

    assert in_room(tmp_path, body, Diary) == 3
    assert len(lives) == 2


def test_what_was_handed_to_wait_until_keeps_it_in_memory(tmp_path):
    async def body(room):
        await room.only().later()
        await asyncio.sleep(25)
        assert len(room.objects._residents) == 1
        await asyncio.sleep(20)
        assert not room.objects._residents
        assert lives[0].seen == ["later begins", "later ends"]

    in_room(tmp_path, body, Diary)


def test_wait_until_refuses_what_cannot_be_awaited(tmp_path):
    class Wrong(Diary):
        def wrong(self):
            self.ctx.waitUntil(1)

    async def body(room):
        with pytest.raises(TypeError, match="takes an awaitable, not int"):
            await room.only().wrong()

    in_room(tmp_path, body, Wrong)


def test_many_idle_objects_do_not_use_up_open_files(tmp_path):
    async def body(room):
        for number in range(200):
            await room.only(str(number)).counts()
        assert len(room.objects._residents) == 128
        return await room.only("0").counts()

    assert in_room(tmp_path, body, Diary) == 2


# whose it is ---------------------------------------------------------------------------------------------------------


def test_a_process_that_does_not_drive_yet_lets_calls_wait(tmp_path):
    async def body(room):
        successor = room.successor()
        waiting = asyncio.ensure_future(successor.only().counts())
        assert await room.only().counts() == 1
        await asyncio.sleep(60)
        assert not waiting.done()
        await room.objects.drain(1)
        await successor.start()
        found = await waiting
        successor.resources.close()
        return found

    assert in_room(tmp_path, body, Diary) == 2


def test_a_process_that_drives_no_more_sends_calls_to_the_next(tmp_path):
    async def body(room):
        stub = room.only()
        await stub.counts()
        await room.objects.drain(1)
        room.peers.answer = 7
        assert await stub.counts() == 7
        room.peers.answer = None
        await stub.fetch("https://a.test/")
        (script, target, method, _, _), fetched = room.peers.calls
        return script, target.kind, target.name, target.id == stub.id.sent, method, fetched[2]

    assert in_room(tmp_path, body, Diary) == ("shop", "object", "Diary", True, "counts", "https://a.test/")


def test_calls_in_flight_get_the_grace_and_may_call_other_objects(tmp_path):
    class Chain(Diary):
        async def through(self, seconds):
            await asyncio.sleep(seconds)
            return await self.env.CHAIN.getByName("b").counts()

    async def body(room):
        in_time, late = (
            asyncio.ensure_future(room.only(name).through(wait)) for name, wait in [("a", 1), ("c", 3)]
        )
        await asyncio.sleep(0.5)
        await room.objects.drain(2)
        assert not room.objects._residents
        return await in_time, str((await together(late))[0]), room.peers.calls

    assert in_room(tmp_path, body, Chain) == (
        1,
        "Error: Durable Object reset because its code was updated.",
        [],
    )
