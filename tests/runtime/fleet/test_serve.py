"""`pywrangler serve`, from outside: real processes, real signals, versions side by side."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.conftest import DEADLINE, eventually, is_running
from tests.support.serving import API, READY, Hammer, Server, kill

ENTRY = """
import asyncio, os, time
from workers import DurableObject, WorkerEntrypoint, WorkflowEntrypoint, Response

class Flow(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("first")
        async def first():
            return ["{text}", os.getpid()]
        one = await first()
        if busy := event["payload"].get("busy"):
            os.mkdir(busy)
            while os.path.exists(busy):
                time.sleep(0.01)
        if event["payload"].get("wait"):
            await step.wait_for_event("go", "go", timeout="1 hour")
        return one

class Counter(DurableObject):
    async def next(self):
        count = (await self.ctx.storage.get("count") or 0) + 1
        await self.ctx.storage.put("count", count)
        return [count, os.getpid()]

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.partition("?")[0].rpartition("/")[2]
        if path == "slow":
            await asyncio.sleep(0.5)
            return Response("slow {text}")
        if path == "pid":
            return Response(str(os.getpid()))
        if path == "count":
            return Response.json(await self.env.COUNTER.get_by_name("a").next())
        if path == "fail":
            raise ValueError("the password is 1234")
        if path == "send":
            await self.env.QUEUE.send("m")
        if path == "echo":
            return Response(await request.text())
        if path == "headers":
            return Response.json(dict(request.headers.items()))
        return Response("{text}")

    async def queue(self, batch):
        with open(self.env.FILE, "a") as file:
            for message in batch.messages:
                file.write(str(os.getpid()) + "\\n")

    async def scheduled(self, controller):
        pass
"""
FLOW = {"workflows": [{"name": "flow", "binding": "FLOW", "class_name": "Flow"}]}


def entry(text: str) -> str:
    return ENTRY.replace("{text}", text)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path)
    yield found
    found.end()


def test_each_script_answers_under_its_own_name(server):
    """Hosts choose by their first label; a host that names none is told which there are."""
    server.deploy("shop", "v1", entry("one"))
    server.deploy("news", "v1", entry("two"))
    server.start()
    assert server.get(host="shop.localhost") == (200, "one")
    assert server.get(host="news.example.com") == (200, "two")
    status, answer = server.get()
    assert status == 404
    assert "news.localhost" in answer
    assert "shop.localhost" in answer


def test_the_default_script_answers_where_no_name_is_given(server):
    server.deploy("shop", "v1", entry("one"))
    server.deploy("news", "v1", entry("two"))
    server.start("--default", "news")
    assert server.get() == (200, "two")
    assert server.get(host="shop.localhost") == (200, "one")


def test_the_api_wants_a_token_and_health_does_not(server):
    server.start()
    assert server.get("/client/v4/accounts/a/workflows")[0] == 401
    assert server.get("/client/v4/accounts/a/workflows", token="pywr_wrong")[0] == 401
    assert server.get("/cdn-cgi/explorer/api/workflows")[0] == 401
    assert server.get("/cdn-cgi/pywrangler/nothing")[0] == 401
    assert server.get("/client/v4/accounts/a/workflows", token=server.token)[0] == 200
    query = '{"query": "{__typename}"}'
    assert server.get("/client/v4/graphql", "POST", query)[0] == 401
    assert (
        json.loads(server.get("/client/v4/graphql", "POST", query, token=server.token)[1])["errors"] is None
    )
    assert server.get("/cdn-cgi/pywrangler/health")[0] == 200
    assert server.get(READY) == (200, "ready\n")
    assert "No script is deployed" in server.get()[1]


def test_visitors_are_not_told_how_the_code_failed(server):
    server.deploy("shop", "v1", entry("one"))
    server.start()
    status, answer = server.get("/fail")
    assert status == 500
    assert answer.startswith("error code: 1101")
    assert "1234" not in answer
    server.says("ValueError: the password is 1234")


def test_a_request_with_two_hosts_reaches_nobody(server):
    """Which script it is for, and what that sees, would be a matter of opinion."""
    server.deploy("shop", "v1", entry("one"))
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: shop.localhost\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_bodies_pass_in_both_directions(server):
    server.deploy("shop", "v1", entry("one"))
    server.start("--max-body", "1")
    body = "x" * 900_000
    assert server.get("/echo", "POST", body) == (200, body)
    assert server.get("/echo", "POST", body * 2)[0] == 413


def test_a_body_without_a_length_is_measured_on_its_way(server):
    server.deploy("shop", "v1", entry("one"))
    server.start("--max-body", "1")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    connection.request("POST", "/echo", iter([b"a" * 1000, b"b" * 1000]), encode_chunked=True)
    assert connection.getresponse().read() == b"a" * 1000 + b"b" * 1000
    connection.request("POST", "/echo", iter([b"a" * 700_000] * 2), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_what_the_client_claims_to_be_is_replaced_by_what_it_is(server):
    server.deploy("shop", "v1", entry("one"))
    server.start()
    given = {
        "cf-connecting-ip": "6.6.6.6",
        "X-Forwarded-For": "1.2.3.4",
        "Connection": "x-secret",
        "x-secret": "a",
    }
    found = json.loads(server.get("/headers", headers=given)[1])
    assert found["cf-connecting-ip"] == "127.0.0.1"
    assert found["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
    assert "x-secret" not in found
    assert found["host"].startswith("localhost:")


def test_limits_are_enforced_where_they_are_asked_for(server):
    """docs, "Limits": 100 instances in 10 seconds; the plan is the account's, not a script's."""
    server.deploy("shop", "v1", entry("one"), **FLOW, limits={"plan": "paid"})
    server.start("--enforce-limits", "--plan", "free")
    server.api("/flow/instances/batch", "POST", [{}] * 100)
    status, answer = server.get(f"{API}/flow/instances", "POST", "{}", token=server.token)
    assert (status, json.loads(answer)["errors"][0]["code"]) == (429, 10408)
    month = {"instance_retention": {"success_retention": "30 days"}}
    status, answer = server.get(f"{API}/flow/instances", "POST", json.dumps(month), token=server.token)
    assert "3 days at most" in answer


def test_an_instance_ends_on_the_version_that_began_it(server):
    """The new version answers and begins what is created; the old one stays until it has nothing left to do."""
    server.deploy("shop", "v1", entry("one"), **FLOW)
    server.start()
    server.create("flow", "old", {"wait": True})
    server.until("waiting", "flow", "old")
    before = set(server.children)
    hammer = Hammer(server)
    server.deploy("shop", "v2", entry("two"), **FLOW)
    eventually(lambda: server.get() == (200, "two"), "the new version answers")
    hammer.end()
    assert {status for status, _ in hammer.answers} == {200}
    assert hammer.errors == []
    server.create("flow", "new")
    assert server.until("complete", "flow", "new")["output"][0] == "two"
    assert before < set(server.children)

    server.api("/flow/instances/old/events/go", "POST", {})
    old = server.until("complete", "flow", "old")
    assert (old["output"][0], old["versionId"]) == ("one", "v1")
    server.says("Nothing needs this version any more")
    eventually(lambda: len(server.children) == len(before), "the old version's worker is gone")


def test_the_api_knows_every_version_that_is_kept_and_what_it_does(server):
    server.deploy("shop", "v1", entry("one").replace('"first"', '"old first"'), **FLOW)
    server.deploy("shop", "v2", entry("two"), **FLOW)
    server.start()
    assert [one["id"] for one in server.api("/flow/versions")] == ["v2", "v1"]
    assert server.api("/flow/versions/v1")["has_dag"] is True
    drawn = [server.api(f"/flow/versions/{one}/graph")["graph"]["workflow"]["nodes"] for one in ("v1", "v2")]
    assert [nodes[0]["name"] for nodes in drawn] == ["old first", "first"]
    assert drawn[1][1]["branches"][0]["nodes"][0]["type"] == "step_wait_for_event"


def test_after_a_start_old_instances_have_their_old_version(server):
    server.deploy("shop", "v1", entry("one"), **FLOW)
    server.start()
    server.create("flow", "old", {"wait": True})
    server.until("waiting", "flow", "old")
    assert server.stop() == 0
    server.deploy("shop", "v2", entry("two"), **FLOW)
    server.start()
    server.api("/flow/instances/old/events/go", "POST", {})
    assert server.until("complete", "flow", "old")["output"][0] == "one"


def test_two_workers_share_the_instances_and_the_requests(server, tmp_path):
    server.deploy("shop", "v1", entry("one"), **FLOW)
    server.start("--workers", "2")
    eventually(lambda: len({server.get("/pid")[1] for _ in range(4)}) == 2, "both answer")
    # While an instance keeps the event loop of its worker, nobody but the other one can run the next.
    busy = tmp_path / "busy"
    server.create("flow", "first", {"busy": str(busy)})
    eventually(busy.is_dir, "a worker does nothing else")
    server.create("flow", "second")
    second = server.until("complete", "flow", "second")["output"][1]
    busy.rmdir()
    first = server.until("complete", "flow", "first")["output"][1]
    assert first != second


def test_a_killed_workers_instances_go_on_at_once(server):
    """Its brother has them long before a lease would expire, and another process takes its place."""
    server.deploy("shop", "v1", entry("one"), **FLOW)
    server.start("--workers", "2")
    for number in range(6):
        server.create("flow", f"i{number}", {"wait": True})
        server.until("waiting", "flow", f"i{number}")
    workers = [int(pid) for pid in {server.get("/pid")[1] for _ in range(8)}]
    kill(workers[0])
    for number in range(6):
        server.api(f"/flow/instances/i{number}/events/go", "POST", {})
    for number in range(6):
        server.until("complete", "flow", f"i{number}")
    eventually(lambda: len({server.get("/pid")[1] for _ in range(4)}) == 2, "there are two again")
    assert server.get()[0] == 200


def test_a_stopped_worker_holds_up_no_request_for_ever(server):
    server.deploy("shop", "v1", entry("one"))
    server.start("--workers", "2")
    eventually(lambda: len({server.get("/pid")[1] for _ in range(4)}) == 2, "both answer")
    stopped, other = {int(server.get("/pid")[1]) for _ in range(4)}
    os.kill(stopped, signal.SIGSTOP)
    try:
        answers = [Patient(server) for _ in range(4)]
        assert {one.answer() for one in answers} == {(200, str(other))}
        server.says("the worker at .* does not answer")
        # It is known by now: nobody waits for it any more.
        assert {server.get("/pid") for _ in range(6)} == {(200, str(other))}
    finally:
        os.kill(stopped, signal.SIGCONT)
    eventually(lambda: len({server.get("/pid")[1] for _ in range(4)}) == 2, "both answer again")


class Patient(threading.Thread):
    """A client that waits for its answer for longer than the front may take to give a worker up."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=4 * DEADLINE)
        self._found: tuple[int, str] | None = None
        self.start()

    def run(self) -> None:
        self._connection.request("GET", "/pid", headers={"Host": "localhost"})
        answer = self._connection.getresponse()
        self._found = (answer.status, answer.read().decode())
        self._connection.close()

    def answer(self) -> tuple[int, str] | None:
        self.join(4 * DEADLINE)
        return self._found


def test_a_killed_front_is_replaced_and_nothing_else_happens(server):
    server.deploy("shop", "v1", entry("one"), **FLOW)
    server.start()
    server.create("flow", "a", {"wait": True})
    worker, front = server.get("/pid")[1], server.session.worker_pid
    kill(front)
    assert server.get("/pid")[1] == worker
    server.api("/flow/instances/a/events/go", "POST", {})
    server.until("complete", "flow", "a")
    assert not is_running(front)


def test_objects_and_queues_live_in_one_process_of_a_script(server, tmp_path):
    """Whichever worker is asked, one of them answers; after a deploy it is one of the new version."""
    config = {
        "durable_objects": {"bindings": [{"name": "COUNTER", "class_name": "Counter"}]},
        "migrations": [{"tag": "v1", "new_sqlite_classes": ["Counter"]}],
        "queues": {
            "producers": [{"binding": "QUEUE", "queue": "q"}],
            "consumers": [{"queue": "q", "max_batch_timeout": 0}],
        },
        "vars": {"FILE": str(tmp_path / "consumed")},
    }
    server.deploy("shop", "v1", entry("one"), **config)
    server.start("--workers", "2")
    answers = [json.loads(server.get("/count")[1]) for _ in range(6)]
    assert [count for count, _ in answers] == [1, 2, 3, 4, 5, 6]
    leaders = {pid for _, pid in answers}
    assert len(leaders) == 1
    for _ in range(4):
        assert server.get("/send")[0] == 200
    consumed = tmp_path / "consumed"
    eventually(lambda: consumed.exists() and len(consumed.read_text().split()) == 4, "all are consumed")
    assert {int(pid) for pid in consumed.read_text().split()} == leaders

    server.deploy("shop", "v2", entry("two"), **config)
    eventually(lambda: server.get() == (200, "two"), "the new version answers")
    count, pid = json.loads(server.get("/count")[1])
    assert (count, pid in leaders) == (7, False)
    kill(pid)
    assert json.loads(server.get("/count")[1])[0] == 8


def test_sigterm_refuses_nobody_and_hands_instances_on(server):
    """Readiness goes first; what is asked meanwhile is answered; only then nobody listens any more."""
    server.deploy("shop", "v1", entry("one"), **FLOW)
    server.start()
    server.create("flow", "a", {"wait": True})
    server.until("waiting", "flow", "a")
    slow = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    slow.request("GET", "/slow")
    hammer = Hammer(server)
    eventually(lambda: hammer.answers, "it answers")
    assert server.stop() == 0
    assert slow.getresponse().read() == b"slow one"
    slow.close()
    hammer.end()
    assert hammer.errors == []
    assert set(hammer.answers) == {(200, "one")}
    server.start()
    server.api("/flow/instances/a/events/go", "POST", {})
    server.until("complete", "flow", "a")


def test_a_second_signal_ends_it_at_once(server):
    server.deploy("shop", "v1", entry("one").replace("sleep(0.5)", "sleep(3600)"))
    server.start("--grace", "3000")
    slow = socket.create_connection(("127.0.0.1", server.port))
    slow.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    server.process.send_signal(signal.SIGTERM)
    server.says("Leaving")
    assert server.stop() == 0
    slow.close()


def test_code_that_cannot_be_loaded_takes_nobody_else_down(server):
    server.deploy("shop", "v1", entry("one"))
    server.deploy("sick", "v1", "raise ValueError('no')")
    server.begin()
    assert server.get(host="shop.localhost") == (200, "one")
    assert server.get(host="sick.localhost")[0] == 500
    assert server.get(READY) == (503, "starting\n")


def test_the_log_can_be_lines_for_programs(server):
    server.deploy(
        "shop", "v1", entry("one").replace("one = await first()", "one = await first(); print('hi')"), **FLOW
    )
    server.start("--log-format", "json", "--log-level", "debug")
    server.create("flow", "a")
    server.until("complete", "flow", "a")
    eventually(lambda: "workflow_success" in server.output, "the end is told")
    lines = [json.loads(line) for line in server.output.splitlines()]
    assert all({"time", "level", "event", "message"} <= line.keys() for line in lines)
    ended = next(line for line in lines if line["event"] == "step_success")
    assert {key: ended[key] for key in ("script", "version", "workflow", "instance", "step")} == {
        "script": "shop",
        "version": "v1",
        "workflow": "flow",
        "instance": "a",
        "step": "first",
    }
    printed = next(line for line in lines if line["event"] == "print")
    assert (printed["message"], printed["instance"]) == ("hi", "a")


def test_two_servers_do_not_share_a_state(server):
    server.start()
    other = server.second()
    assert other.returncode == 1
    assert "Another pywrangler session" in other.stderr


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_a_body_sent_with_a_wish_for_another_protocol_reaches_the_worker(server, protocol):
    server.deploy("shop", "v1", entry("one"))
    server.start()
    wish = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": protocol, "HTTP2-Settings": "AAMAAABkAAQ"}
    assert server.get("/echo", "POST", "the body", headers=wish) == (200, "the body")
