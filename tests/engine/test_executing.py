"""Laws of the record of what executes: it outlives its process, and names nobody wrongly (`engine.executing`)."""

from __future__ import annotations

import asyncio
import mmap
import os
import tempfile

import pytest

from wrangler_py.engine.executing import SLOT, Executing, LastWords, Record, read_last_words
from wrangler_py.engine.instance import executor
from wrangler_py.runtime.channel import Death
from wrangler_py.runtime.deaths import death_of, fields_of, told

A = Executing("job", "a", "crunch-1", 1, 2)
B = Executing("job", "b", "crunch-1", 3)
RUN = Executing("job", "a")


class Shared:
    """A record and the memory that another process would read."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            os.ftruncate(file.fileno(), 8 * SLOT)
            self.record = Record()
            self.record.keep_in(file.fileno())
            self._memory = mmap.mmap(file.fileno(), 0)

    @property
    def last_words(self) -> LastWords:
        return read_last_words(self._memory[:])


@pytest.fixture
def shared():
    return Shared()


def test_at_first_nothing_executes(shared):
    assert shared.last_words == LastWords()
    assert told(shared.last_words) == ""


def test_an_entry_is_read_as_it_was_written():
    odd = Executing("job", "a b", "schön\n".strip() + " 試-1", 7, 0, is_rollback=True)
    assert Executing.decode(odd.encode()[3:].decode()) == odd


def test_what_the_loop_executes_is_what_began_last_and_has_not_ended(shared):
    outer = shared.record.begin(A.encode())
    inner = shared.record.begin(B.encode())
    assert shared.last_words.on_loop == (B,)
    shared.record.resume(inner)
    assert shared.last_words.on_loop == (A,)
    shared.record.resume(outer)
    assert shared.last_words == LastWords()


def test_what_threads_execute_is_recorded_for_as_long_as_it_lasts(shared):
    def work():
        return shared.record.in_thread(B.encode(), lambda: shared.last_words.in_threads)

    assert set(shared.record.in_thread(A.encode(), work)) == {A, B}
    assert shared.last_words == LastWords()


def test_more_threads_than_slots_do_their_work_all_the_same(shared):
    def nested(depth: int) -> int:
        return shared.record.in_thread(A.encode(), nested, depth - 1) + 1 if depth else 0

    assert nested(20) == 20


def test_an_entry_that_is_too_long_is_left_out_and_harms_no_other(shared):
    shared.record.begin(Executing("job", "a", "x" * 2 * SLOT, 1, 1).encode())
    assert shared.record.in_thread(A.encode(), lambda: shared.last_words) == LastWords((), (A,))


def test_a_coroutine_is_recorded_while_it_executes_and_not_while_it_waits(shared, monkeypatch):
    monkeypatch.setattr(executor, "RECORD", shared.record)
    seen = []

    async def work():
        seen.append(shared.last_words.on_loop)
        await asyncio.sleep(0)
        seen.append(shared.last_words.on_loop)

    async def main():
        task = asyncio.ensure_future(executor.recorded(work(), A.encode()))
        await asyncio.sleep(0)
        seen.append(shared.last_words.on_loop)
        await task
        seen.append(shared.last_words.on_loop)

    asyncio.run(main())
    assert seen == [(A,), (), (A,), ()]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (LastWords((A,)), "step `crunch-1` of instance job/a (attempt 1 of 2) was executing"),
        (LastWords((), (B,)), "step `crunch-1` of instance job/b (attempt 3) was executing"),
        (LastWords((RUN,)), "instance job/a was executing"),
        (LastWords((RUN,), (A,)), "step `crunch-1` of instance job/a (attempt 1 of 2) was executing"),
        (LastWords((A,), handlers=3), "step `crunch-1` of instance job/a (attempt 1 of 2) was executing"),
        (LastWords(on_trial=(RUN,)), "instance job/a was executing"),
        (
            LastWords((A._replace(is_rollback=True),)),
            "the rollback of step `crunch-1` of instance job/a (attempt 1 of 2) was executing",
        ),
    ],
)
def test_one_culprit_is_named_and_tried_alone(words, text):
    assert told(words) == f" while {text}"
    assert death_of("o", words).is_certain
    assert fields_of(words)["workflow"] == "job"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            LastWords((A,), (B,)),
            "step `crunch-1` of instance job/a (attempt 1 of 2), step `crunch-1` of instance job/b (attempt 3)",
        ),
        (
            LastWords((), (A,), handlers=1),
            "step `crunch-1` of instance job/a (attempt 1 of 2), a handler of the Worker",
        ),
        (
            LastWords((), (B, B, B, B)),
            ", ".join(["step `crunch-1` of instance job/b (attempt 3)"] * 3) + ", 1 more",
        ),
    ],
)
def test_several_are_named_as_one_of_these(words, text):
    assert told(words) == f" while one of these was executing: {text}"
    assert not death_of("o", words).is_certain
    assert fields_of(words) == {}


def test_a_handler_under_way_keeps_the_instance_on_trial_from_being_accused():
    words = LastWords(on_trial=(RUN,), handlers=1)
    assert told(words) == ""
    assert death_of("o", words) == Death("o")
