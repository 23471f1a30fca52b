"""One connection to another Worker: how much it takes in, and when it stops."""

from __future__ import annotations

import asyncio

import pytest

from wrangler_py.bindings.wires import HIGH_WATER, Download, Inbox


def test_reading_from_the_connection_pauses_while_nobody_takes_what_came():
    async def body():
        flows = []
        inbox = Inbox(flows.append)
        inbox.feed(b"x" * HIGH_WATER)
        assert flows == []
        inbox.feed(b"y")
        assert flows == [False]
        await inbox.next()
        assert flows == [False, True]

    asyncio.run(body())


def test_what_has_come_is_read_before_the_end_is_told():
    async def body():
        inbox = Inbox(lambda _: None)
        inbox.feed(b"a")
        inbox.end(LookupError("broke off"))
        inbox.end()
        assert await inbox.next() == b"a"
        with pytest.raises(LookupError, match="broke off"):
            await inbox.next()

    asyncio.run(body())


def test_a_reader_waits_for_what_comes():
    async def body():
        inbox = Inbox(lambda _: None)
        loop = asyncio.get_running_loop()
        loop.call_soon(inbox.feed, b"a")
        loop.call_soon(inbox.end)
        return [chunk async for chunk in Download(inbox, lambda: None)]

    assert asyncio.run(body()) == [b"a"]


@pytest.mark.parametrize("forget", [False, True])
@pytest.mark.parametrize("ended", [False, True])
def test_a_body_left_before_its_end_gives_the_connection_up(forget, ended):
    async def body():
        given_up = []
        inbox = Inbox(lambda _: None)
        reading = Download(inbox, lambda: given_up.append(1))
        if ended:
            inbox.end()
        if not forget:
            await reading.aclose()
            inbox.end()
        del reading
        await asyncio.sleep(0)
        return len(given_up)

    assert asyncio.run(body()) == (0 if ended else 1)
