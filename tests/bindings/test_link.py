"""Where a peer is, and how many connections to it there are, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
from types import SimpleNamespace

import pytest

from tests.support.peers import THERE, Echo, Named, Registry, Worker, between
from wrangler_py.bindings import link
from wrangler_py.bindings.failures import PeerLostError, PeerUnavailableError, RpcError
from wrangler_py.bindings.resources import Target
from wrangler_py.sdk.workers import WorkerEntrypoint

# many, in circles ----------------------------------------------------------------------------------------------------


def test_a_thousand_calls_at_once_share_a_bounded_number_of_connections(monkeypatch):
    monkeypatch.setattr(link, "MAX_IN_USE", 20)
    most = 0

    class Slow(WorkerEntrypoint):
        running = 0

        async def work(self, number):
            nonlocal most
            Slow.running += 1
            most = max(most, Slow.running)
            await asyncio.sleep(0.001)
            Slow.running -= 1
            return number

    async def body(here, there):
        before = len(os.listdir("/proc/self/fd"))
        service = here.service("there")
        found = await asyncio.gather(*(service.work(number) for number in range(1000)))
        assert found == list(range(1000))
        assert most == 20
        return len(os.listdir("/proc/self/fd")) - before

    # Both ends are in this process.
    assert between(body, {"Default": Slow}) <= 2 * link.MAX_IDLE


def test_workers_that_call_each_other_in_circles_do_not_wait_for_each_others_connections(monkeypatch):
    """here -> there -> here -> there, with one connection for each depth: with one for all it would never end."""
    monkeypatch.setattr(link, "MAX_IN_USE", 1)

    async def body(here, there):
        class Ping(WorkerEntrypoint):
            async def down(self, left):
                other = here if self.env.me is there else there
                return [left, *(await self.env.me.service(other.name).down(left - 1))] if left else [0]

        for one in (here, there):
            one.env.me = one
            one.resources.code._code.module.Default = Ping
        return await asyncio.gather(*(here.service("there").down(7) for _ in range(5)))

    assert between(body, THERE) == [[7, 6, 5, 4, 3, 2, 1, 0]] * 5


@pytest.mark.parametrize("script", ["there", "here"])
def test_a_recursion_without_end_is_refused_as_cloudflare_does(script):
    depths = []

    async def body(here, there):
        class Endless(WorkerEntrypoint):
            async def down(self):
                depths.append(1)
                return await there.service("there" if script == "here" else "here").down()

        here.resources.code._code.module.Default = Endless
        there.resources.code._code.module.Default = Endless
        with pytest.raises(RpcError, match="Subrequest depth limit exceeded"):
            await (there if script == "here" else here).service("there").down()

    between(body, THERE)
    assert len(depths) == 16


# where a peer is -----------------------------------------------------------------------------------------------------


def test_a_peer_that_is_not_there_is_named_and_found_as_soon_as_it_is():
    async def body(here, there):
        service = here.service("late")
        answer = await service.fetch("http://x.test/")
        text = await answer.text()
        assert answer.status == 503
        first, second = text.splitlines()
        assert first == (
            'Couldn\'t find a local dev session for the "default" entrypoint of service "late" to proxy to'
        )
        assert "pywrangler dev" in second
        with pytest.raises(
            PeerUnavailableError, match='Cannot access "echo" as we couldn\'t find .* of service "late"'
        ):
            await service.echo(1)
        late = await Worker("late", here.registry, Default=Echo).listen()
        try:
            return await service.echo(1)
        finally:
            here.peers.close()
            await late.stop()

    assert between(body, THERE) == 1


def test_where_a_peer_is_is_asked_once_and_again_when_it_has_moved():
    async def body(here, there):
        registry = here.registry
        service = here.service("there")
        for _ in range(5):
            await service.echo(1)
        asked = registry.asked
        await there.stop()
        del registry["there"]
        with pytest.raises(PeerUnavailableError):
            await service.echo(1)
        moved = await Worker("there", registry, Default=Echo).listen()
        found = await service.echo(2)
        here.peers.close()
        await moved.stop()
        return asked, found, moved.port != there.port

    assert between(body, THERE) == (1, 2, True)


def test_another_worker_on_the_old_port_does_not_answer_in_its_place():
    async def body(here, there):
        registry = here.registry
        await here.service("there").echo(1)
        other = await Worker("other", registry, Default=Named).listen()
        registry["there"] = registry["other"]
        await there.stop()
        with pytest.raises(PeerUnavailableError):
            await here.service("there").echo(2)
        here.peers.close()
        await other.stop()

    between(body, THERE)


def test_nothing_is_sent_to_whoever_takes_the_port_of_a_peer_that_has_gone():
    async def body(here, there):
        registry = here.registry
        await here.service("there").echo(1)
        await there.stop()
        visits = []
        stranger = await asyncio.start_server(lambda *_: visits.append(1), "127.0.0.1", there.port)
        moved = await Worker("there", registry, Default=Echo).listen()
        found = await here.service("there").echo(2)
        stranger.close()
        here.peers.close()
        await moved.stop()
        return found, visits

    assert between(body, THERE) == (2, [])


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", b"SSH-2.0\r\n"])
def test_a_program_that_is_no_worker_is_nobody(answer):
    async def body(here, there):
        async def serve(reader, writer):
            await reader.read(10)
            writer.write(answer)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        here.registry["x"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(PeerUnavailableError):
            await here.service("x").echo(1)
        server.close()

    between(body, THERE)


@pytest.mark.parametrize("ending", ["silent", "half", "500"])
def test_a_call_that_may_have_been_carried_out_is_not_sent_again(ending):
    """The peer reads the whole call and dies: only it knows how far it came."""
    calls = 0

    async def body(here, there):
        async def serve(reader, writer):
            nonlocal calls
            await reader.readuntil(b"\r\n\r\n")
            calls += 1
            if ending == "half":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.pywrangler.parcel\r\n")
            elif ending == "500":
                writer.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        here.registry["x"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(PeerLostError, match="may have been carried out or not"):
            await here.service("x").echo(1)
        server.close()

    between(body, THERE)
    assert calls == 1


def test_a_connection_that_the_peer_has_closed_meanwhile_is_not_used():
    """Closed in the kernel, and this loop has had no turn to hear of it: the call takes a fresh connection."""

    async def body(here, there):
        await here.service("there").echo(1)
        for connection in list(there.serving._connections):
            connection.transport.get_extra_info("socket").shutdown(2)
        return await here.service("there").echo(2), len(here.peers._links["there"]._lanes[1].idle)

    assert between(body, THERE) == (2, 1)


def test_a_cancelled_call_leaves_nothing_behind():
    async def body(here, there):
        entered, done = asyncio.Event(), asyncio.Event()

        class Slow(WorkerEntrypoint):
            async def work(self):
                entered.set()
                await asyncio.sleep(0.01)
                done.set()

        there.resources.code._code.module.Default = Slow
        task = asyncio.ensure_future(here.service("there").work())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # As with a request over HTTP, the handler goes on.
        await asyncio.wait_for(done.wait(), 5)
        lane = here.peers._links["there"]._lanes[1]
        return len(lane.busy), lane.free._value

    assert between(body, THERE) == (0, link.MAX_IN_USE)


def test_a_call_that_the_peer_did_not_read_before_it_died_is_made_again():
    """A process that dies with unread bytes resets the connection: so much is certain that it did nothing."""

    async def body(here, there):
        loop = asyncio.get_running_loop()
        registry = here.registry
        dying = socket.create_server(("127.0.0.1", 0))
        dying.setblocking(False)
        where, registry["there"] = registry["there"], f"http://127.0.0.1:{dying.getsockname()[1]}"
        call = asyncio.ensure_future(here.service("there").echo(1))
        end, _ = await loop.sock_accept(dying)
        await asyncio.to_thread(select.select, [end], [], [])
        registry["there"] = where
        end.close()
        dying.close()
        return await call

    assert between(body, THERE) == 1


def test_no_session_at_all():
    async def body():
        worker = Worker("alone", Registry(), Default=SimpleNamespace)
        with pytest.raises(PeerUnavailableError, match='Start "x": run pywrangler dev'):
            await worker.peers.call("x", Target("entrypoint"), "m", (), {})

    asyncio.run(body())
