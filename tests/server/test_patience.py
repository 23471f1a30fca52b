"""How long a connection may wait for its client."""

from __future__ import annotations

import asyncio

from tests.support.world import run_virtual
from wrangler_py.server.patience import DEFAULT, AnswerWait, BodyWait, Wait


class Transport:
    def __init__(self):
        self.is_open = self.reads = True
        self.unsent = 100

    def abort(self):
        self.is_open = False

    def is_reading(self):
        return self.reads

    def get_write_buffer_size(self):
        return self.unsent


def test_what_does_not_come_ends_the_connection():
    async def scenario():
        transport, wait = Transport(), Wait(30)
        wait.begin(transport)
        await asyncio.sleep(20)
        wait.begin(transport)  # the second byte of a head gives it no more time
        assert transport.is_open
        await asyncio.sleep(11)
        assert not transport.is_open

    run_virtual(scenario())


def test_what_has_come_ends_the_wait():
    async def scenario():
        transport, wait = Transport(), Wait(30)
        wait.begin(transport)
        wait.end()
        await asyncio.sleep(100)
        assert transport.is_open

    run_virtual(scenario())


def test_each_wait_has_its_whole_time():
    async def scenario():
        transport, wait = Transport(), Wait(30)
        wait.begin(transport)
        await asyncio.sleep(20)
        wait.end()
        wait.begin(transport)
        await asyncio.sleep(29)
        assert transport.is_open
        await asyncio.sleep(2)
        assert not transport.is_open

    run_virtual(scenario())


def test_a_head_has_half_a_minute_and_what_follows_a_minute():
    assert DEFAULT == (30, 60, 60)


def test_a_body_that_nobody_reads_is_not_waited_for():
    async def scenario():
        transport, wait = Transport(), BodyWait(60)
        transport.reads = False
        wait.begin(transport)
        await asyncio.sleep(1000)
        assert transport.is_open
        transport.reads = True
        await asyncio.sleep(61)
        assert not transport.is_open

    run_virtual(scenario())


def test_an_answer_that_is_taken_slowly_is_taken():
    async def scenario():
        transport, wait = Transport(), AnswerWait(60)
        wait.begin(transport)
        for _ in range(50):
            transport.unsent -= 1
            await asyncio.sleep(60)
            assert transport.is_open
        await asyncio.sleep(121)
        assert not transport.is_open

    run_virtual(scenario())
