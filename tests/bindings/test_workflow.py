"""`env` and the workflow binding as user code sees them (python-sdk, section 5)."""

from __future__ import annotations

import pytest

from tests.support.world import in_world
from wrangler_py.bindings import WorkerEnv, WorkflowBinding
from wrangler_py.errors import CannotTerminateError, InstanceNotFoundError, InvalidArgumentError
from wrangler_py.sdk.workers.workflows import NonRetryableError


async def echo(event, step):
    if event.payload.get("fail"):
        raise NonRetryableError("asked to")
    if event.payload.get("wait"):
        return (await step.wait_for_event("w", "go")).payload
    return event.payload


def with_binding(folder, body):
    async def in_it(world):
        await world.define(echo)
        return await body(WorkflowBinding(world.engine, "w"), world)

    return in_world(folder, in_it)


@pytest.mark.parametrize(
    "create",
    [
        lambda binding: binding.create({"id": "me", "params": {"a": 1}}),
        lambda binding: binding.create(id="me", params={"a": 1}),
    ],
)
def test_create_takes_options_or_keywords(tmp_path, create):
    async def body(binding, world):
        instance = await create(binding)
        queued = await instance.status()
        await world.settle()
        return instance.id, queued, await (await binding.get("me")).status()

    assert with_binding(tmp_path, body) == (
        "me",
        {"status": "queued", "error": None, "output": None},
        {"status": "complete", "error": None, "output": {"a": 1}},
    )


def test_an_error_is_name_and_message(tmp_path):
    async def body(binding, world):
        instance = await binding.create(params={"fail": True})
        await world.settle()
        return (await instance.status()).error

    assert with_binding(tmp_path, body) == {"name": "NonRetryableError", "message": "asked to"}


def test_instances_can_be_steered(tmp_path):
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


def test_batches_in_both_forms(tmp_path):
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
def test_wrong_options_are_named(tmp_path, options):
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


def test_subscribe_gives_what_has_happened_then_what_happens_once_each(tmp_path):
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
