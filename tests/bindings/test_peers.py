"""Workers that call each other over real sockets (python-sdk, sections 4 and 5: services)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import socket
import threading
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.peers import Registry, Worker, between
from wrangler_py.bindings import link
from wrangler_py.bindings.failures import PeerLostError, PeerUnavailableError, RpcError
from wrangler_py.bindings.resources import Target
from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.sdk.workers import Request, Response, WorkerEntrypoint, wait_until
from wrangler_py.sdk.workers.workflows import NonRetryableError
from wrangler_py.serde import Record

ENTRYPOINT = Target("entrypoint")


class Echo(WorkerEntrypoint):
    async def echo(self, value, **named):
        return [value, named] if named else value

    def from_a_thread(self):
        return threading.current_thread() is threading.main_thread()

    async def props(self):
        return self.ctx.props

    async def fetch(self, request):
        if request.url.endswith("/redirect"):
            return Response.redirect("http://there.test/elsewhere")
        if request.url.endswith("/fail"):
            raise LookupError("not today")
        seen = f"{request.method} {request.url} {request.headers.get('x-a')} "
        return Response(seen + await request.text(), 201, "Made", {"x-b": "c"})


class Named(WorkerEntrypoint):
    async def fetch(self):
        return Response(f"named {self.ctx.props.get('who')}")

    async def hello(self):
        return "hello from Named"


THERE = {"Default": Echo, "Named": Named}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(min_value=datetime(1000, 1, 1)).map(
        lambda at: at - timedelta(microseconds=at.microsecond % 1000)
    )
    | st.sets(st.integers() | st.text()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


# values --------------------------------------------------------------------------------------------------------------


def test_every_value_of_section_4_survives_the_way_there_and_back():
    async def body(here, there):
        service = here.service("there")
        loop = asyncio.get_running_loop()

        @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
        @given(VALUES)
        def survives(value):
            found = asyncio.run_coroutine_threadsafe(service.echo(value), loop).result(10)
            assert found == value
            assert type(found) is (Record if type(value) is dict else type(value))

        await asyncio.to_thread(survives)

    between(body, THERE)


def test_arguments_by_name_and_attributes_of_what_comes_back():
    async def body(here, there):
        found = await here.service("there").echo(1, row={"v": [2]})
        return found[1].row.v

    assert between(body, THERE) == [2]


@pytest.mark.parametrize("script", ["there", "here"])
def test_what_cannot_be_sent_is_refused_before_anything_is_done(script):
    async def body(here, there):
        calls = here.service(script)
        with pytest.raises(TypeError, match=r"^<class 'tuple'> cannot be sent over RPC\.$"):
            await calls.echo((1, 2))
        with pytest.raises(TypeError, match=r"cannot be sent to another Worker"):
            await calls.echo(print)

    between(body, THERE)


def test_a_result_that_cannot_be_sent_is_the_callers_error():
    class Bad(WorkerEntrypoint):
        async def pair(self):
            return (1, 2)

    async def body(here, there):
        with pytest.raises(TypeError, match=r"^<class 'tuple'> cannot be sent over RPC\.$"):
            await here.service("there").pair()

    between(body, {"Default": Bad})


def test_a_worker_that_calls_itself_gets_copies_as_from_another():
    class Keeper(WorkerEntrypoint):
        kept = None

        async def keep(self, value):
            Keeper.kept = value
            value["b"] = 2
            return value

    async def body(here, there):
        given = {"a": 1}
        found = await there.service("there").keep(given)
        assert given == {"a": 1}
        assert found == Keeper.kept == {"a": 1, "b": 2}
        assert found is not Keeper.kept

    between(body, {"Default": Keeper})


# methods and errors --------------------------------------------------------------------------------------------------


def test_plain_functions_run_in_a_thread_and_props_arrive():
    async def body(here, there):
        return await here.service("there").from_a_thread(), await here.service("there", who="me").props()

    assert between(body, THERE) == (False, {"who": "me"})


def test_named_entrypoints():
    async def body(here, there):
        named = here.service("there", "Named", who="me")
        return await named.hello(), await (await named.fetch("http://x.test/")).text()

    assert between(body, THERE) == ("hello from Named", "named me")


@pytest.mark.parametrize("script", ["there", "here"])
@pytest.mark.parametrize("method", ["nothing", "ctx", "env"])
def test_a_missing_method_is_named(script, method):
    async def body(here, there):
        service = (there if script == "here" else here).service("there")
        with pytest.raises(UserError, match=f"^Method {method} does not exist$"):
            await getattr(service, method)()

    between(body, THERE)


def test_a_missing_entrypoint_is_named():
    async def body(here, there):
        with pytest.raises(WorkerLoadError, match="There is no 'Nobody' class defined"):
            await here.service("there", "Nobody").hello()

    between(body, THERE)


def test_exceptions_arrive_with_type_and_message():
    class Own(Exception):
        pass

    class Fails(WorkerEntrypoint):
        async def value(self):
            raise ValueError("bad v")

        async def final(self):
            raise NonRetryableError("never again")

        async def own(self):
            raise Own("mine")

    async def body(here, there):
        seen = []
        for method in ("value", "final", "own"):
            with pytest.raises(Exception) as caught:
                await getattr(here.service("there"), method)()
            seen.append((type(caught.value).__name__, str(caught.value)))
            assert caught.value.__notes__[0].startswith("Raised in the Worker there: Traceback")
        return seen

    assert between(body, {"Default": Fails}) == [
        ("ValueError", "bad v"),
        ("NonRetryableError", "never again"),
        ("Own", "mine"),
    ]


def test_wait_until_outlives_the_call():
    async def body(here, there):
        done = asyncio.Event()

        class Later(WorkerEntrypoint):
            async def start(self):
                wait_until(self.finish())
                return "started"

            async def finish(self):
                done.set()

        there.resources.code._code.module.Default = Later
        assert await here.service("there").start() == "started"
        await asyncio.wait_for(done.wait(), 5)

    between(body, THERE)


# requests and responses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["there", "here"])
def test_the_callee_sees_the_request_as_the_caller_made_it(script):
    async def body(here, there):
        service = (there if script == "here" else here).service("there")
        answer = await service.fetch(
            "https://shop.test:444/a%2Fb?q=1&q=2", method="PUT", headers={"X-A": "ü"}, body="text"
        )
        return answer.status, answer.status_text, answer.headers["x-b"], answer.url, await answer.text()

    assert between(body, THERE) == (
        201,
        "Made",
        "c",
        "https://shop.test:444/a%2Fb?q=1&q=2",
        "PUT https://shop.test:444/a%2Fb?q=1&q=2 ü text",
    )


def test_an_incoming_request_is_passed_on_whole():
    async def body(here, there):
        request = Request("http://here.test/x", method="POST", body="in")
        return await (await here.service("there").fetch(request)).text()

    assert between(body, THERE).endswith("in")


def test_redirects_are_given_back():
    async def body(here, there):
        answer = await here.service("there").fetch("http://there.test/redirect")
        return answer.status, answer.headers["location"]

    assert between(body, THERE) == (302, "http://there.test/elsewhere")


def test_what_fetch_raises_there_is_raised_here():
    async def body(here, there):
        with pytest.raises(LookupError, match="^not today"):
            await here.service("there").fetch("http://there.test/fail")

    between(body, THERE)


def test_a_handler_that_returns_no_response_is_explained():
    class Wrong(WorkerEntrypoint):
        async def fetch(self, request):
            return "text"

    async def body(here, there):
        with pytest.raises(UserError, match=r"fetch\(\) returned a value of type str, not a Response"):
            await here.service("there").fetch("http://there.test/")

    between(body, {"Default": Wrong})


def test_global_handlers_answer_a_service_binding():
    async def on_fetch(request, env, ctx):
        return Response(f"old {request.url}")

    async def body(here, there):
        return await (await here.service("there").fetch("http://there.test/x")).text()

    assert between(body, {"on_fetch": on_fetch}, has_global_handlers=True) == "old http://there.test/x"


def test_a_method_may_return_a_response_and_be_given_a_request():
    class Web(WorkerEntrypoint):
        async def made(self):
            return Response.json({"id": "i"}, status=202)

        async def checks(self, request, wanted):
            return [request.url, await request.text(), wanted]

    async def body(here, there):
        service = here.service("there")
        made = await service.made()
        request = Request("http://x.test/", method="POST", body="b")
        return made.status, await made.json(), await service.checks(request, wanted=1)

    assert between(body, {"Default": Web}) == (202, {"id": "i"}, ["http://x.test/", "b", 1])


@pytest.mark.parametrize("script", ["there", "here"])
def test_both_bodies_stream(script):
    """Each side sends its next chunk only when it has seen the other's: nothing may be held back to be whole."""

    class Duet(WorkerEntrypoint):
        async def fetch(self, request):
            async def answers():
                async for chunk in request.body:
                    yield bytes(chunk).upper()

            return Response(ReadableStream.from_(answers()))

    async def body(here, there):
        heard = asyncio.Queue()

        async def asks():
            for word in (b"one", b"two", b"three"):
                yield word
                assert await heard.get() == word.upper()

        service = (there if script == "here" else here).service("there")
        answer = await service.fetch("http://x.test/", method="POST", body=ReadableStream.from_(asks()))
        seen = []
        async for chunk in answer.body:
            seen.append(bytes(chunk))
            heard.put_nowait(bytes(chunk))
        return seen

    assert between(body, {"Default": Duet}) == [b"ONE", b"TWO", b"THREE"]


class Large(WorkerEntrypoint):
    async def fetch(self, request):
        async def chunks():
            for _ in range(64):
                yield b"x" * 65536

        return Response(ReadableStream.from_(chunks()))


def test_large_bodies_arrive_whole_and_the_connection_is_used_again():
    async def body(here, there):
        for _ in range(3):
            answer = await here.service("there").fetch("http://x.test/")
            assert len(await answer.bytes()) == 64 * 65536
        return len(there.serving._connections)

    assert between(body, {"Default": Large}) == 1


def test_a_response_that_nobody_reads_gives_its_connection_up():
    async def body(here, there):
        for _ in range(5):
            await here.service("there").fetch("http://x.test/")
        gc.collect()
        async with asyncio.timeout(5):
            while there.serving._connections:
                await asyncio.sleep(0.001)
        lane = here.peers._links["there"]._lanes[1]
        return len(lane.busy), lane.free._value

    assert between(body, {"Default": Large}) == (0, link.MAX_IN_USE)


def test_a_body_that_breaks_off_there_breaks_off_here():
    class Breaks(WorkerEntrypoint):
        async def fetch(self, request):
            async def chunks():
                yield b"first"
                raise RuntimeError("in the middle")

            return Response(ReadableStream.from_(chunks()))

    async def body(here, there):
        answer = await here.service("there").fetch("http://x.test/")
        with pytest.raises(PeerLostError, match='the Worker "there" went away'):
            await answer.text()

    between(body, {"Default": Breaks})


def test_an_upload_that_fails_here_fails_with_its_own_error():
    async def body(here, there):
        async def chunks():
            yield b"first"
            raise RuntimeError("my own")

        with pytest.raises(RuntimeError, match="my own"):
            await here.service("there").fetch(
                "http://x.test/", method="POST", body=ReadableStream.from_(chunks())
            )

    between(body, THERE)


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
        late = await Worker("late", here.peers._find.__self__, Default=Echo).listen()
        try:
            return await service.echo(1)
        finally:
            here.peers.close()
            await late.stop()

    assert between(body, THERE) == 1


def test_where_a_peer_is_is_asked_once_and_again_when_it_has_moved():
    async def body(here, there):
        registry = here.peers._find.__self__
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
        registry = here.peers._find.__self__
        await here.service("there").echo(1)
        kept = registry["there"]
        other = await Worker("other", registry, Default=Named).listen()
        registry["there"] = registry["other"]
        await there.stop()
        with pytest.raises(PeerUnavailableError):
            await here.service("there").echo(2)
        assert kept
        here.peers.close()
        await other.stop()

    between(body, THERE)


def test_nothing_is_sent_to_whoever_takes_the_port_of_a_peer_that_has_gone():
    async def body(here, there):
        registry = here.peers._find.__self__
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
        here.peers._find.__self__["x"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
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
        here.peers._find.__self__["x"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
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


# Durable Objects -----------------------------------------------------------------------------------------------------


def test_calls_of_durable_objects_reach_the_workers_objects():
    class Objects:
        async def call(self, class_name, object_id, method, args, kwargs):
            return [class_name, object_id, method, args, kwargs]

        async def fetch(self, class_name, object_id, request):
            return Response(f"{class_name} {object_id} {request.url}")

    async def body(here, there):
        there.resources.__dict__["objects"] = Objects()
        target = Target("object", "Counter", id="ab")
        answer = await here.peers.fetch("there", target, Request("http://x.test/"))
        return await here.peers.call("there", target, "add", [1], {"by": 2}), await answer.text()

    assert between(body, THERE) == (["Counter", "ab", "add", [1], {"by": 2}], "Counter ab http://x.test/")


def test_no_session_at_all():
    async def body():
        worker = Worker("alone", Registry(), Default=SimpleNamespace)
        with pytest.raises(PeerUnavailableError, match='Start "x": run pywrangler dev'):
            await worker.peers.call("x", ENTRYPOINT, "m", (), {})

    asyncio.run(body())


def test_a_call_that_the_peer_did_not_read_before_it_died_is_made_again():
    """A process that dies with unread bytes resets the connection: so much is certain that it did nothing."""

    async def body(here, there):
        loop = asyncio.get_running_loop()
        registry = here.peers._find.__self__
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
