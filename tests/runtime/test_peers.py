"""Two real sessions, each in a folder of its own, that call each other's Workers: whatever happens to the other one."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest

from tests.runtime.conftest import Project, eventually

SHOP = """
name = "shop"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[services]]
binding = "BILLING"
service = "billing"

[[workflows]]
name = "invoice"
binding = "INVOICE"
class_name = "Invoice"
script_name = "billing"
"""
SHOP_ENTRY = """
import json
from urllib.parse import urlsplit
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)
        try:
            return await getattr(self, url.path.strip("/"))(url.query)
        except Exception as error:
            return Response.json({"raised": type(error).__name__, "message": str(error)}, status=500)

    async def passed(self, query):
        return await self.env.BILLING.fetch("http://billing.test/?" + query)

    async def version(self, query):
        return Response(str(await self.env.BILLING.version()))

    async def hold(self, marks):
        return Response(str(await self.env.BILLING.hold(marks)))

    async def around(self, query):
        return Response(await self.env.BILLING.around())

    async def price(self):
        return 5

    async def create(self, id):
        instance = await self.env.INVOICE.create(id=id, params={"id": id})
        return Response.json({"id": instance.id, "details": await instance.status()})

    async def send(self, id):
        await (await self.env.INVOICE.get(id)).send_event(type="paid", payload=7)
        return Response("sent")

    async def follow(self, id):
        instance = await self.env.INVOICE.get(id)
        seen = [event.type async for event in instance.subscribe()]
        return Response.json([seen, await instance.status()])
"""
BILLING = """
name = "billing"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[services]]
binding = "SHOP"
service = "shop"

[[workflows]]
name = "invoice"
binding = "INVOICE"
class_name = "Invoice"
"""
BILLING_ENTRY = """
import asyncio
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

class Invoice(WorkflowEntrypoint):
    async def run(self, event, step):
        paid = await step.wait_for_event("payment", "paid")
        return [event["payload"]["id"], paid["payload"]]

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("billing saw " + request.url)

    async def version(self):
        return 1

    async def around(self):
        return f"costs {await self.env.SHOP.price()}"

    async def hold(self, marks):
        with open(marks, "a") as file:
            file.write("called\\n")
        await asyncio.sleep(3600)
"""


@pytest.fixture
def shop(tmp_path):
    project = Project(tmp_path / "shop")
    project.write("wrangler.toml", SHOP)
    project.write("src/entry.py", SHOP_ENTRY)
    return project


@pytest.fixture
def billing(tmp_path):
    project = Project(tmp_path / "billing")
    project.write("wrangler.toml", BILLING)
    project.write("src/entry.py", BILLING_ENTRY)
    return project


@pytest.fixture
def sessions(dev, shop, billing):
    return dev(of=shop).ready(), dev(of=billing).ready()


def replaced(session, killed):
    eventually(lambda: session.worker_pid != killed, "another worker")


def test_a_peer_that_is_not_there_yet_is_named_and_works_as_soon_as_it_starts(dev, shop, billing):
    caller = dev(of=shop).ready()
    status, text = caller.get("/passed?x=1")
    assert status == 503
    assert 'entrypoint of service "billing"' in text
    assert "pywrangler dev" in text
    raised = json.loads(caller.get("/version")[1])
    assert raised["raised"] == "PeerUnavailableError"
    assert 'Cannot access "version" as we couldn\'t find' in raised["message"]
    raised = json.loads(caller.get("/create?i")[1])
    assert 'Cannot access "create" as we couldn\'t find' in raised["message"]

    dev(of=billing).ready()
    assert caller.get("/passed?x=1") == (200, "billing saw http://billing.test/?x=1")
    assert caller.get("/version") == (200, "1")
    assert json.loads(caller.get("/create?i")[1])["id"] == "i"


def test_a_call_may_lead_back_to_the_caller(sessions):
    caller, _ = sessions
    assert caller.get("/around") == (200, "costs 5")


def test_a_peer_whose_worker_is_killed_between_two_calls_answers_the_next(sessions):
    caller, peer = sessions
    for _ in range(3):
        assert caller.get("/version") == (200, "1")
        killed = peer.worker_pid
        os.kill(killed, signal.SIGKILL)
        # At once: whoever comes before the next worker waits for it.
        assert caller.get("/version") == (200, "1")
        replaced(peer, killed)


def test_a_call_whose_peer_is_killed_fails_and_is_not_made_again(sessions, tmp_path):
    caller, peer = sessions
    marks = tmp_path / "marks"
    found = []
    thread = threading.Thread(target=lambda: found.append(caller.get(f"/hold?{marks}")))
    thread.start()
    eventually(lambda: marks.exists() and marks.read_text(), "the call has begun")
    killed = peer.worker_pid
    os.kill(killed, signal.SIGKILL)
    thread.join(15)
    ((status, text),) = found
    assert (status, json.loads(text)["raised"]) == (500, "PeerLostError")
    assert caller.get("/version") == (200, "1")
    assert marks.read_text() == "called\n"


def test_a_peer_that_reloads_fails_no_call(sessions, billing):
    caller, _ = sessions
    seen, failures, ended = set(), [], threading.Event()

    def go_on():
        while not ended.is_set():
            status, text = caller.get("/version")
            seen.add(text)
            if status != 200:
                failures.append(text)

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in (2, 3, 4):
        billing.replace("src/entry.py", f"return {version - 1}\n", f"return {version}\n")
        eventually(lambda wanted=str(version): wanted in seen, f"version {version}")
    ended.set()
    for thread in threads:
        thread.join(15)
    assert failures == []


def test_a_peer_that_comes_back_elsewhere_is_found(sessions, dev, billing):
    caller, peer = sessions
    assert caller.get("/version") == (200, "1")
    peer.stop()
    assert caller.get("/passed")[0] == 503
    again = dev(of=billing).ready()
    assert again.port != peer.port
    assert caller.get("/version") == (200, "1")
    again.process.kill()
    again.wait()
    eventually(lambda: caller.get("/passed")[0] == 503, "a killed peer is not there")
    dev(of=billing).ready()
    assert caller.get("/version") == (200, "1")


def test_a_workflow_of_another_script_lives_there(sessions):
    """Created from the shop, it outlives the death of its worker, and is steered and followed from the shop."""
    caller, peer = sessions
    created = json.loads(caller.get("/create?one")[1])
    assert created["id"] == "one"
    assert created["details"]["status"] in ("queued", "running", "waiting")
    again = json.loads(caller.get("/create?one")[1])
    assert (again["raised"], "already exists" in again["message"]) == ("InstanceExistsError", True)

    killed = peer.worker_pid
    os.kill(killed, signal.SIGKILL)
    assert caller.get("/send?one") == (200, "sent")
    seen, status = json.loads(caller.get("/follow?one")[1])
    assert (seen[0], seen[-1]) == ("WORKFLOW_QUEUED", "WORKFLOW_SUCCESS")
    assert status == {"status": "complete", "error": None, "output": ["one", 7]}
    raised = json.loads(caller.get("/follow?nobody")[1])
    assert raised["raised"] == "InstanceNotFoundError"


def test_the_caller_reloads_as_if_it_called_nobody(sessions, shop):
    caller, _ = sessions
    assert caller.get("/version") == (200, "1")
    shop.replace(
        "src/entry.py", "str(await self.env.BILLING.version())", "'v' + str(await self.env.BILLING.version())"
    )
    eventually(lambda: caller.get("/version") == (200, "v1"), "the new code")


def test_the_banner_names_the_peers(sessions):
    caller, _ = sessions
    caller.wait_for(r"env\.BILLING \(billing\)\s+Worker")
    caller.wait_for(r"env\.INVOICE \(Invoice of billing\)\s+Workflow")
