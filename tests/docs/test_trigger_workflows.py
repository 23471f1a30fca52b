"""The documents' pages "Trigger Workflows", "Events and parameters" and "Workers API": from every kind of handler."""

import asyncio
import json

import pytest

from tests.support.hosted import ended
from wrangler_py.engine import Status, Trigger
from wrangler_py.serde import to_json

ENTRY = """
from urllib.parse import parse_qs, urlsplit
from workers import DurableObject, Response, WorkerEntrypoint, WorkflowEntrypoint

class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("my first step")
        async def first():
            return {"payload": event.payload, "at": event.timestamp.isoformat(), "id": event.instanceId}
        return await first()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)
        query = parse_qs(url.query)
        if url.path == "/object":
            return Response(await self.env.STARTER.getByName("one").start({"from": "object"}))
        if "instanceId" in query:
            try:
                instance = await self.env.MY_WORKFLOW.get(query["instanceId"][0])
                return Response.json({"status": await instance.status()})
            except Exception as e:
                return Response.json({"error": f"failed to get instance: {e}"}, status=400)
        if "message" in query:
            await self.env.QUEUE.send({"from": "queue"})
            return Response("sent")
        instance = await self.env.MY_WORKFLOW.create(params={"url": request.url})
        return Response.json({"id": instance.id, "details": await instance.status()})

    async def scheduled(self, controller, env, ctx):
        await env.MY_WORKFLOW.create({"id": f"cron-{controller.scheduledTime}", "params": {"cron": controller.cron}})

    async def queue(self, batch, env, ctx):
        for message in batch.messages:
            await env.MY_WORKFLOW.create({"id": "of-a-message", "params": message.body})
            message.ack()

class Starter(DurableObject):
    async def start(self, params):
        instance = await self.env.MY_WORKFLOW.create(id="of-an-object", params=params)
        return instance.id
"""
BINDINGS = """
[[queues.producers]]
binding = "QUEUE"
queue = "jobs"

[[queues.consumers]]
queue = "jobs"
max_batch_timeout = 1

[[durable_objects.bindings]]
name = "STARTER"
class_name = "Starter"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Starter"]

[triggers]
crons = ["0 12 * * *"]
"""


async def get(host, path):
    from wrangler_py.sdk.workers import Request

    response = await host.fetch(Request(f"http://localhost{path}"))
    return response.status, await response.text()


async def end_of(host, instance_id):
    """Wait for an instance that may not be there yet; return its row and the payload it saw."""
    for _ in range(200):
        try:
            row = await ended(host, instance_id)
        except Exception:
            await asyncio.sleep(600)
        else:
            assert row.status is Status.COMPLETE
            return row, to_json(row.output)["payload"]
    raise AssertionError(f"no instance {instance_id}")


def test_a_request_creates_an_instance_and_another_asks_how_it_is(worker):
    async def body(host):
        status, text = await get(host, "/?x=1")
        assert status == 200
        instance_id = json.loads(text)["id"]
        row, payload = await end_of(host, instance_id)
        assert (row.trigger, payload) == (Trigger.BINDING, {"url": "http://localhost/?x=1"})
        return await get(host, f"/?instanceId={instance_id}")

    status, text = worker(ENTRY, body, BINDINGS)
    assert (status, '"status": "complete"' in text) == (200, True)


def test_get_of_an_unknown_instance_raises_what_the_handler_can_tell(worker):
    async def body(host):
        return await get(host, "/?instanceId=nobody")

    status, text = worker(ENTRY, body, BINDINGS)
    assert status == 400
    assert "instance.not_found" in text


def test_a_message_of_a_queue_creates_an_instance(worker):
    async def body(host):
        await get(host, "/?message=1")
        return await end_of(host, "of-a-message")

    row, payload = worker(ENTRY, body, BINDINGS)
    assert (row.trigger, payload) == (Trigger.EVENT, {"from": "queue"})


def test_a_cron_trigger_creates_an_instance(worker):
    noon = 1_767_225_600_000 + 12 * 3_600_000

    async def body(host):
        return await end_of(host, f"cron-{noon}")

    assert worker(ENTRY, body, BINDINGS)[1] == {"cron": "0 12 * * *"}


def test_a_durable_object_creates_an_instance(worker):
    async def body(host):
        assert await get(host, "/object") == (200, "of-an-object")
        return await end_of(host, "of-an-object")

    assert worker(ENTRY, body, BINDINGS)[1] == {"from": "object"}


def test_the_event_is_what_the_documents_say(worker):
    async def body(host):
        instance = await host.env.MY_WORKFLOW.create(id="me", params={"some": "data"})
        return to_json((await ended(host, instance.id)).output)

    seen = worker(ENTRY, body, BINDINGS)
    assert seen == {"payload": {"some": "data"}, "at": "2026-01-01T00:00:00", "id": "me"}


@pytest.mark.parametrize("wrong", ["-a", "a b", "", "x" * 65, "ü"])
def test_ids_match_the_pattern_of_the_documents(worker, wrong):
    async def body(host):
        with pytest.raises(Exception, match="invalid id"):
            await host.env.MY_WORKFLOW.create(id=wrong)

    worker(ENTRY, body, BINDINGS)
