"""A worker that answers nothing holds up nobody for ever: real processes behind a proxy, stopped and let go on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from wrangler_py.runtime.channel import Route
from wrangler_py.server import proxy
from wrangler_py.server.proxy import Proxy

#: Answers every request with its process number, but for paths that begin with /slow: those never.
WORKER = """
import asyncio, os, sys

async def answer(reader, writer):
    while head := await reader.readuntil(b"\\r\\n\\r\\n"):
        if head.split()[1].startswith(b"/slow"):
            await asyncio.sleep(3600)
        body = str(os.getpid()).encode()
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%b" % (len(body), body))

async def main():
    server = await asyncio.start_unix_server(answer, sys.argv[1])
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@contextmanager
def worker(path: Path):
    command = [sys.executable, "-c", WORKER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


class Place:
    """A proxy over two workers, and a client of it."""

    def __init__(
        self, workers: list[subprocess.Popen[bytes]], client: httpx.AsyncClient, proxied: Proxy
    ) -> None:
        self.workers, self.client, self.proxy = workers, client, proxied

    def stop(self, number: int = 0) -> None:
        os.kill(self.workers[number].pid, signal.SIGSTOP)

    def go_on(self, number: int = 0) -> None:
        os.kill(self.workers[number].pid, signal.SIGCONT)

    async def answerer(self) -> int:
        response = await self.client.get("/")
        assert response.status_code == 200
        return int(response.text)

    @property
    def silent(self) -> list[bool]:
        return [one.is_silent for one in self.proxy._upstreams.values()]


def with_workers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, body: Callable[[Place], Awaitable[Any]], count: int = 2
) -> Any:
    for name, seconds in (("LOOK_S", 0.05), ("PROBE_S", 0.5), ("SILENT_S", 1.0)):
        monkeypatch.setattr(proxy, name, seconds)

    async def main(workers: list[subprocess.Popen[bytes]], paths: list[str]) -> Any:
        proxied = Proxy(None, 1000)
        await proxied.use({"shop": Route("v", paths)})
        transport = httpx.ASGITransport(app=proxied)  # type: ignore[arg-type]
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=None
        ) as client:
            found = await body(Place(workers, client, proxied))
            await proxied.use({})
            return found

    paths = [folder / str(number) for number in range(count)]
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(path)) for path in paths]
        return asyncio.run(asyncio.wait_for(main(workers, [str(path) for path in paths]), 60))


def test_requests_that_may_be_repeated_go_to_another_worker(tmp_path, monkeypatch):
    async def body(place):
        place.stop()
        answers = await asyncio.gather(*(place.answerer() for _ in range(6)))
        assert set(answers) == {place.workers[1].pid}
        assert sorted(place.silent) == [False, True]
        # From now on it is not asked before the other, though it would be its turn.
        assert {await place.answerer() for _ in range(6)} == {place.workers[1].pid}

    with_workers(tmp_path, monkeypatch, body)


def test_a_worker_that_goes_on_gets_requests_again(tmp_path, monkeypatch):
    async def body(place):
        place.stop()
        await asyncio.gather(*(place.answerer() for _ in range(2)))
        place.go_on()
        while any(place.silent):
            await asyncio.sleep(0.01)
        assert {await place.answerer() for _ in range(4)} == {one.pid for one in place.workers}

    with_workers(tmp_path, monkeypatch, body)


@pytest.mark.parametrize("content", [b"", b"order"])
def test_what_may_have_changed_something_is_answered_and_not_repeated(tmp_path, monkeypatch, content):
    async def body(place):
        place.stop()
        asking = [place.client.post("/", content=content) for _ in range(2)]
        return sorted([response.status_code for response in await asyncio.gather(*asking)])

    assert with_workers(tmp_path, monkeypatch, body) == [200, 504]


def test_where_no_worker_answers_the_client_is_told(tmp_path, monkeypatch):
    async def body(place):
        place.stop(0)
        place.stop(1)
        found = await asyncio.gather(*(place.client.get("/") for _ in range(4)))
        assert {response.status_code for response in found} == {504}
        assert "does not answer" in found[0].text

    with_workers(tmp_path, monkeypatch, body)


def test_a_request_may_take_as_long_as_it_likes_on_a_worker_that_is_well(tmp_path, monkeypatch):
    async def body(place):
        slow = asyncio.ensure_future(place.client.get("/slow"))
        done, _ = await asyncio.wait([slow], timeout=3)
        assert not done
        assert place.silent == [False]
        slow.cancel()

    with_workers(tmp_path, monkeypatch, body, count=1)


def test_routes_are_left_although_a_worker_is_stopped(tmp_path, monkeypatch):
    """A request on its way to a stopped one holds no deploy up for ever."""

    async def body(place):
        place.stop()
        asking = [asyncio.ensure_future(place.client.post("/")) for _ in range(2)]
        while sum(len(one._in_flight) for one in place.proxy._upstreams.values()) < 1 or not place.silent:
            await asyncio.sleep(0.01)
        await place.proxy.use({})
        assert sorted([(await one).status_code for one in asking]) == [200, 504]

    with_workers(tmp_path, monkeypatch, body)
