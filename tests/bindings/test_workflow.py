"""`env` and the workflow binding as user code sees them (python-sdk, section 5).

Every test of the binding runs twice: over the engine itself, and over that of another Worker (docs, "Cross-script
calls"), where each question travels as a parcel.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from tests.support.world import in_world
from wrangler_py.bindings import Resources, Target, WorkerEnv, WorkflowBinding
from wrangler_py.bindings.cross_script import RemoteEngine
from wrangler_py.bindings.dispatch import Dispatcher
from wrangler_py.bindings.peers import SessionPeers
from wrangler_py.bindings.workflow import WorkflowInstance, source
from wrangler_py.config import Config
from wrangler_py.engine import Trigger
from wrangler_py.errors import (
    CannotTerminateError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidArgumentError,
    InvalidInstanceIdError,
    PayloadTooLargeError,
)
from wrangler_py.sdk.workers.workflows import NonRetryableError
from wrangler_py.serde import decode


async def echo(event, step):
    if event.payload.get("fail"):
        raise NonRetryableError("asked to")
    if event.payload.get("wait"):
        return (await step.wait_for_event("w", "go")).payload
    return event.payload


def there(engine, folder):
    """Return the engine as another Worker has it."""
    peers = SessionPeers("there", lambda _: None)
    config = Config(path=folder / "wrangler.toml", root=folder, name="there")
    peers.home = Dispatcher(Resources(config, folder, engine, peers))
    return RemoteEngine(peers, "there")


@pytest.fixture(params=["of this Worker", "of another"])
def with_binding(request):
    def run(folder, body):
        async def in_it(world):
            await world.define(echo)
            engine = there(world.engine, folder) if request.param == "of another" else world.engine
            return await body(WorkflowBinding(engine, "w"), world)

        return in_world(folder, in_it)

    return run


@pytest.mark.parametrize(
    "create",
    [
        lambda binding: binding.create({"id": "me", "params": {"a": 1}}),
        lambda binding: binding.create(id="me", params={"a": 1}),
    ],
)
def test_create_takes_options_or_keywords(with_binding, tmp_path, create):
    async def body(binding, world):
        await world.engine.drain(
            0
        )  # Else it may have ended by the time that another Worker's answer is there.
        instance = await create(binding)
        queued = await instance.status()
        await world.engine.start(None)
        await world.settle()
        return instance.id, queued, await (await binding.get("me")).status()

    assert with_binding(tmp_path, body) == (
        "me",
        {"status": "queued", "error": None, "output": None},
        {"status": "complete", "error": None, "output": {"a": 1}},
    )


def test_an_error_is_name_and_message(with_binding, tmp_path):
    async def body(binding, world):
        instance = await binding.create(params={"fail": True})
        await world.settle()
        return (await instance.status()).error

    assert with_binding(tmp_path, body) == {"name": "NonRetryableError", "message": "asked to"}


def test_instances_can_be_steered(with_binding, tmp_path):
    async def body(binding, world):
        instance = await binding.create(params={"wait": True})
        await world.settle()
        await instance.pause()
        assert (await instance.status()).status == "paused"
        await instance.resume()
        await instance.send_event(type="go", payload=[1])
        await world.settle()
        assert (await instance.status()).output == [1]
        with pytest.raises(CannotTerminateError):
            await instance.terminate()
        await instance.restart({"name": "w", "type": "waitForEvent"})
        await instance.send_event({"type": "go", "payload": [2]})
        await world.settle()
        assert (await instance.status()).output == [2]
        await instance.delete()
        with pytest.raises(InstanceNotFoundError):
            await binding.get(instance.id)

    with_binding(tmp_path, body)


def test_batches_in_both_forms(with_binding, tmp_path):
    async def body(binding, world):
        first = await binding.create_batch([{"id": "a"}, {"id": "b", "params": 5}])
        again = await binding.create_batch([{"id": "b"}, {"id": "c"}])
        counted = await binding.create_batch({"count": 3, "params": {"x": 1}})
        mixed = await binding.create_batch(instances=[{"id": "a"}, {"id": "!"}, {"id": "d"}])
        gone = await binding.delete_batch(["a", "zz"])
        return (
            [one.id for one in first],
            [one.id for one in again],
            len(counted.created),
            [one.id for one in mixed.created],
            sorted((error["index"], error["code"]) for error in mixed["errors"]),
            gone.deleted,
            [error.id for error in gone.errors],
        )

    assert with_binding(tmp_path, body) == (
        ["a", "b"],
        ["c"],
        3,
        ["d"],
        [(0, "instance.already_exists"), (1, "instance.invalid_id")],
        [{"id": "a"}],
        ["zz"],
    )


@pytest.mark.parametrize("options", [{"ids": "x"}, "text"])
def test_wrong_options_are_named(with_binding, tmp_path, options):
    async def body(binding, world):
        with pytest.raises(InvalidArgumentError):
            await binding.create(options)
        with pytest.raises(InvalidArgumentError):
            await binding.create_batch({"count": "many"})

    with_binding(tmp_path, body)


def test_a_missing_binding_lists_what_there_is():
    env = WorkerEnv({"MY_WORKFLOW": 1, "TOKEN": "x"})
    assert env.TOKEN == env["TOKEN"] == "x"
    with pytest.raises(AttributeError, match="no binding 'MY_WORKFLO' .did you mean 'MY_WORKFLOW'.*TOKEN"):
        _ = env.MY_WORKFLO


def test_subscribe_gives_what_has_happened_then_what_happens_once_each(with_binding, tmp_path):
    async def body(binding, world):
        instance = await binding.create(params={"wait": True})
        await world.settle()
        seen = []
        async for event in instance.subscribe():
            seen.append(event.type)
            if event.type == "WAIT_START":
                cursor = event.cursor
                await instance.send_event(type="go", payload=1)
        rest = [event.type async for event in instance.subscribe(cursor=cursor)]
        ends = [event.name async for event in instance.subscribe("WAIT_COMPLETE")]
        return seen, rest, ends

    seen, rest, ends = with_binding(tmp_path, body)
    assert seen == ["WORKFLOW_QUEUED", "WORKFLOW_START", "WAIT_START", "WAIT_COMPLETE", "WORKFLOW_SUCCESS"]
    assert (rest, ends) == (["WAIT_COMPLETE", "WORKFLOW_SUCCESS"], ["w-1"])


def test_what_cannot_be_stored_is_refused_in_the_same_words(with_binding, tmp_path):
    async def body(binding, world):
        with pytest.raises(InvalidArgumentError, match=r"^the parameters cannot be stored: .*'tuple'"):
            await binding.create(params=(1,))
        with pytest.raises(PayloadTooLargeError, match="^the parameters: 1048580 bytes are more than"):
            await binding.create(params=["x" * (1024 * 1024)])
        mixed = await binding.create_batch(
            {
                "instances": [
                    {"params": (1,)},
                    {"id": "!"},
                    {"id": "a"},
                    {"id": "b", "params": print},
                    {"id": "a"},
                ]
            }
        )
        none = await binding.create_batch({"instances": [{"params": (1,)}]})
        instance = await binding.get("a")
        with pytest.raises(InvalidArgumentError, match="^the payload cannot be stored"):
            await instance.send_event(type="go", payload=(1,))
        return (
            [one.id for one in mixed.created],
            sorted((error["index"], error["code"]) for error in mixed["errors"]),
            [(error["index"], error["code"]) for error in none["errors"]],
        )

    assert with_binding(tmp_path, body) == (
        ["a"],
        [
            (0, "invalid_argument"),
            (1, "instance.invalid_id"),
            (3, "invalid_argument"),
            (4, "instance.already_exists"),
        ],
        [(0, "invalid_argument")],
    )


def test_errors_are_the_same_classes_with_the_same_words(with_binding, tmp_path):
    async def body(binding, world):
        await binding.create(id="me", params={"wait": True})
        with pytest.raises(InstanceExistsError, match='instance with id "me" already exists$'):
            await binding.create(id="me")
        with pytest.raises(InvalidInstanceIdError, match="^Workflow instance has invalid id$"):
            await binding.create(id="!")
        with pytest.raises(InstanceNotFoundError, match="Instance does not exist$") as caught:
            await binding.get("nobody")
        assert caught.value.instance_id == "nobody"
        with pytest.raises(InvalidArgumentError, match="a batch needs at least one instance"):
            await binding.create_batch([])
        with pytest.raises(InstanceNotFoundError):
            async for _ in WorkflowInstance(binding._engine, "w", "nobody").subscribe():
                pass

    with_binding(tmp_path, body)


def test_an_instance_tells_what_created_it(with_binding, tmp_path):
    async def body(binding, world):
        await binding.create(id="plain")
        token = source.set(Trigger.EVENT)
        await binding.create(id="queued")
        await binding.create_batch([{"id": "batch"}])
        source.reset(token)
        return [(await world.engine.status("w", one)).trigger.value for one in ("plain", "queued", "batch")]

    assert with_binding(tmp_path, body) == ["binding", "event", "event"]


def test_values_arrive_whole(with_binding, tmp_path):
    value = {"at": datetime(2026, 1, 2, 3, 4, 5, 678000), "raw": b"x", "set": {1, 2}, "deep": [{"$x": None}]}

    async def body(binding, world):
        instance = await binding.create(params=value)
        await world.settle()
        return decode((await world.engine.status("w", instance.id)).output)

    assert with_binding(tmp_path, body) == value


def test_another_worker_may_ask_an_engine_nothing_else(tmp_path):
    async def body(world):
        await world.define(echo)
        peers = there(world.engine, tmp_path)._peers
        for method in ("close", "drain", "_named", "delete_workflow"):
            with pytest.raises(InvalidArgumentError, match=f"Method {method} does not exist"):
                await peers.call("there", Target("workflow", "w"), method, (), {})

    in_world(tmp_path, body)


@pytest.mark.parametrize(
    "names", [("successRetention", "errorRetention"), ("success_retention", "error_retention")]
)
def test_create_says_how_long_an_instance_is_kept(tmp_path, with_binding, names):
    """Cloudflare's ``retention`` of `create`; durations as `step.sleep` takes them."""

    async def body(binding, world):
        success, error = names
        await binding.create({"id": "a", "params": {}, "retention": {success: "1 hour", error: "2 hours"}})
        await binding.create(id="b", retention={success: 3_600_000})
        await binding.create(
            id="fails", params={"fail": True}, retention={success: "1 hour", error: "2 hours"}
        )
        await binding.create_batch([{"id": "c", "retention": {success: "1 hour"}}, {"id": "stays"}])
        await asyncio.sleep(3660)
        assert sorted(row.id for row in (await world.engine.instances("w")).items) == ["fails", "stays"]
        await asyncio.sleep(3660)
        assert [row.id for row in (await world.engine.instances("w")).items] == ["stays"]

    with_binding(tmp_path, body)


@pytest.mark.parametrize("given", ["1 hour", {"success": "1 hour"}, {"successRetention": "soon"}, 5])
def test_a_retention_of_another_form_is_refused(tmp_path, with_binding, given):
    async def body(binding, world):
        with pytest.raises(InvalidArgumentError, match="etention"):
            await binding.create(retention=given)
        with pytest.raises(InvalidArgumentError, match="etention"):
            await binding.create_batch([{"retention": given}])

    with_binding(tmp_path, body)


def test_what_nobody_awaits_is_done_all_the_same(with_binding, tmp_path):
    async def body(binding, world):
        binding.create(id="me", params={"wait": True})
        binding.create_batch([{"id": "first"}, {"id": "second"}])
        await world.settle()
        (await binding.get("me")).send_event(type="go", payload="on")
        await asyncio.sleep(1)
        assert (await (await binding.get("me")).status()).output == "on"
        (await binding.get("first")).delete()
        binding.delete_batch(["second"])
        await world.settle()
        for gone in ("first", "second"):
            with pytest.raises(InstanceNotFoundError):
                await binding.get(gone)
        binding.create(id="other", params={"wait": True})
        await world.settle()
        for steer, status in (("pause", "paused"), ("resume", "waiting"), ("terminate", "terminated")):
            getattr(await binding.get("other"), steer)()
            await asyncio.sleep(1)
            assert (await (await binding.get("other")).status()).status == status

    with_binding(tmp_path, body)
