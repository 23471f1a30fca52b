"""Workers that call each other over real sockets (python-sdk, sections 4 and 5: services)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.peers import THERE, between
from wrangler_py.bindings.durable import DurableObjects
from wrangler_py.bindings.resources import Target
from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.sdk.workers import Request, Response, WorkerEntrypoint, wait_until
from wrangler_py.sdk.workers.workflows import NonRetryableError
from wrangler_py.serde import Record

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

        @settings(max_examples=100, suppress_health_check=list(HealthCheck))
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


# Durable Objects -----------------------------------------------------------------------------------------------------


def test_calls_of_durable_objects_reach_the_workers_objects():
    class Objects:
        async def call(self, class_name, object_id, method, args, kwargs):
            return [class_name, object_id, method, args, kwargs]

        async def fetch(self, class_name, object_id, request):
            return Response(f"{class_name} {object_id} {request.url}")

    async def body(here, there):
        there.resources.shared(DurableObjects, Objects)
        target = Target("object", "Counter", id="ab")
        answer = await here.peers.fetch("there", target, Request("http://x.test/"))
        return await here.peers.call("there", target, "add", [1], {"by": 2}), await answer.text()

    assert between(body, THERE) == (["Counter", "ab", "add", [1], {"by": 2}], "Counter ab http://x.test/")
