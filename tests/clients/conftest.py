"""A real session for clients that no one here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.npm import install
from tests.runtime.conftest import Dev
from tests.support.session import configuration, place

ENTRY = """
from workers import WorkflowEntrypoint

class Steps(WorkflowEntrypoint):
    async def run(self, event, step):
        await step.do("work", lambda: {"got": event["payload"]})
        approval = await step.wait_for_event("approval", "approve", timeout="1 hour")
        return approval["payload"]

class Quick(WorkflowEntrypoint):
    async def run(self, event, step):
        return 7
"""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with pytest.MonkeyPatch.context() as patch, place(tmp_path_factory.mktemp("clients")) as project:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        project.has(configuration("Steps", "Quick"), ENTRY)
        yield project.dev("--no-reload").ready()


@pytest.fixture
def base_url(dev: Dev) -> str:
    return f"http://127.0.0.1:{dev.port}/client/v4"


@pytest.fixture(scope="session")
def installed() -> Path:
    return install()
