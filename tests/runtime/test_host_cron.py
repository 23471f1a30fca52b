"""Schedules in a whole host, with the user's own code, under virtual time."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.runtime.conftest import CONFIG, ENTRY
from tests.support.world import MINUTE, run_virtual
from wrangler_py.clock import LoopClock
from wrangler_py.config import load as load_config
from wrangler_py.engine import ListQuery
from wrangler_py.runtime.host import Host

pytestmark = pytest.mark.usefixtures("fresh_imports")

SCHEDULED = CONFIG + 'schedules = ["*/2 * * * *"]\n[triggers]\ncrons = ["*/3 * * * *"]\n'
CODE = (
    ENTRY.replace('return "done"', "return event.schedule.cron")
    + """
    seen = []

    async def scheduled(self, controller, env, ctx):
        self.seen.append((controller.cron, controller.scheduledTime))
        await env.MY_WORKFLOW.create(id=f"at-{controller.scheduledTime}")
"""
)


async def life(project, clock, minutes):
    """One process after the other drives the script."""
    config = load_config(project.root / "wrangler.toml").config
    host = await Host.open(config, project.state, clock=clock)
    try:
        await host.start(None)
        await asyncio.sleep(minutes * 60)
        rows = (await host.engine.instances("my-workflow", ListQuery())).items
        await host.drain(0)
        return [row.id for row in rows]
    finally:
        await host.close()


def test_crons_call_the_handler_and_schedules_create_instances_across_two_hosts(project):
    project.write("wrangler.toml", SCHEDULED)
    project.write("src/entry.py", CODE)
    project.state.mkdir(parents=True)
    clock = LoopClock()
    start = clock.start

    async def lives():
        await asyncio.sleep(1)
        await life(project, clock, 3)
        await asyncio.sleep(0.5)
        return await life(project, clock, 3)

    ids = run_virtual(lives())
    assert sorted(ids) == [
        *(f"*/2 * * * *-{start + at * MINUTE}" for at in (2, 4, 6)),
        *(f"at-{start + at * MINUTE}" for at in (3, 6)),
    ]


def test_a_host_that_only_answers_fires_nothing(project):
    project.write("wrangler.toml", SCHEDULED)
    project.write("src/entry.py", CODE)
    project.state.mkdir(parents=True)

    async def idle():
        clock = LoopClock()
        host = await Host.open(load_config(project.root / "wrangler.toml").config, project.state, clock=clock)
        await asyncio.sleep(600)
        await host.close()

    run_virtual(idle())
    assert sys.modules["entry"].Default.seen == []
