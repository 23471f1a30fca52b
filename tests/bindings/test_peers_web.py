"""Requests and responses between Workers, over real sockets (python-sdk, section 5: services)."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.support.peers import THERE, between
from wrangler_py.bindings import link
from wrangler_py.bindings.failures import PeerLostError
from wrangler_py.errors import UserError
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.sdk.workers import Request, Response, WorkerEntrypoint


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
