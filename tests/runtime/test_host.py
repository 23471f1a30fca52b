"""A worker's inside, with a real store and a real engine."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.runtime.conftest import CONFIG, ENTRY
from wrangler_py.config import load as load_config
from wrangler_py.engine import Status
from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.runtime.host import NO_VERSION, Host
from wrangler_py.runtime.options import HostOptions
from wrangler_py.sdk.workers import Request, env

pytestmark = pytest.mark.usefixtures("fresh_imports")


def config_of(project):
    config = load_config(project.root / "wrangler.toml").config
    assert config is not None
    return config


def with_host(project, act, **options):
    """Run ``act`` with an open host, and close it."""

    async def run():
        project.state.mkdir(parents=True, exist_ok=True)
        host = await Host.open(config_of(project), project.state, options=HostOptions(**options))
        try:
            return await act(host)
        finally:
            await host.close()

    return asyncio.run(run())


async def answer(host):
    return await (await host.fetch(Request("http://127.0.0.1/"))).text()


async def finished(host, instance_id):
    while not (row := await host.engine.status("my-workflow", instance_id)).status.is_final:
        await asyncio.sleep(0.005)
    return row


def test_a_request_reaches_the_user_and_an_instance_runs(project):
    project.write("wrangler.toml", CONFIG + '[vars]\nWORD = "hello"\n')
    project.write(
        "src/entry.py",
        ENTRY.replace('return "done"', "return [self.env.WORD, self.ctx is not None]").replace(
            '"one"', "self.env.WORD"
        ),
    )

    async def act(host):
        assert await answer(host) == "hello"
        assert env.WORD == "hello"
        await host.start()
        created = await host.engine.create("my-workflow")
        row = await finished(host, created.id)
        assert row.status is Status.COMPLETE
        assert row.output == b'["hello",true]'
        assert row.version == host.version != NO_VERSION
        await host.drain(0)

    with_host(project, act)


def test_broken_code_leaves_the_engine_and_says_why(project):
    project.write("src/entry.py", "import nothing_of_this_name\n")

    async def act(host):
        assert isinstance(host.load_error, WorkerLoadError)
        with pytest.raises(WorkerLoadError, match="No module named 'nothing_of_this_name'"):
            await answer(host)
        await host.start()
        created = await host.engine.create("my-workflow")
        assert (await host.engine.status("my-workflow", created.id)).status is Status.QUEUED

    with_host(project, act)


@pytest.mark.parametrize(
    ("body", "message"), [("pass", "returned nothing"), ("return {'a': 1}", "a value of type dict")]
)
def test_an_answer_that_is_none_is_explained(project, body, message):
    project.write("src/entry.py", ENTRY.replace('return Response("one")', body))

    async def act(host):
        with pytest.raises(UserError, match=message):
            await answer(host)

    with_host(project, act)


def test_scheduled_is_given_its_cron_and_time(project):
    project.write(
        "src/entry.py",
        ENTRY + "    async def scheduled(self, controller, env, ctx):\n"
        "        Default.seen = (controller.cron, controller.scheduledTime, controller.type)\n",
    )

    async def act(host):
        await host.scheduled("* * * * *", 1_767_225_600_000)
        seen = sys.modules["entry"].Default.seen
        assert seen == ("* * * * *", 1_767_225_600_000, "scheduled")

    with_host(project, act)


def test_options_win_over_the_configuration_only_where_they_are_given(project):
    project.write("wrangler.toml", CONFIG + "[dev]\nstrict = true\n")

    async def act(host):
        return host.engine.options

    given = with_host(project, act, hibernate_after_ms=0, enforce_limits=True)
    assert (given.strict, given.hibernate_after_ms, given.enforce_limits) == (True, 0, True)


def test_a_cold_host_runs_nothing_and_imports_nothing(project):
    project.write("src/entry.py", "raise SystemExit('imported')\n")

    async def run():
        project.state.mkdir(parents=True)
        host = await Host.open_cold(config_of(project), project.state)
        try:
            created = await host.engine.create("my-workflow")
            await asyncio.sleep(0)
            assert (await host.engine.status("my-workflow", created.id)).status is Status.QUEUED
            assert created.version == host.version != NO_VERSION
            with pytest.raises(WorkerLoadError, match="No Worker runs"):
                await host.fetch(Request("http://127.0.0.1/"))
        finally:
            await host.close()

    asyncio.run(run())
