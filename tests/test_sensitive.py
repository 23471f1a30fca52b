"""A result that is marked as sensitive is used, stored, and shown nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.session import API, Place, configuration, place, trigger, until

SECRET = "xyzzy-4711"
EXPLORER = "/cdn-cgi/explorer/api/workflows"
STEPS = ("key-1", "parts-1", "long-1", "needs-1", "shared-1")
ENTRY = f"""
from workers import WorkflowEntrypoint
from workers.workflows import NonRetryableError

HIDDEN = {{"sensitive": "output"}}
ONCE = {{"retries": {{"limit": 0, "delay": 0}}}}
SECRET = "{SECRET[:5]}" + "{SECRET[5:]}"

class Flow(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("key", config=HIDDEN)
        def key():
            return SECRET

        @step.do("parts", config=HIDDEN)
        async def parts():
            return {{"user": "me", "password": [SECRET]}}

        @step.do("long", config=HIDDEN)
        async def long():
            yield SECRET.encode() * 10

        @step.do("shared", config=HIDDEN, rollback=lambda output: None, rollback_config=ONCE)
        async def shared():
            return SECRET

        @step.do("needs", config=HIDDEN)
        async def needs(shared):
            return shared + "!"

        await key()
        used = (await parts())["password"] + [await needs()]
        used.append(b"".join([chunk async for chunk in await long()]).decode())
        await step.wait_for_event("wait", "go", timeout="1 day")
        if [len(one) for one in used] != [10, 11, 100]:
            raise NonRetryableError("it was not what it should be")
        if event["payload"] == "fail":
            raise NonRetryableError("no luck")
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path / "app") as found:
        found.has(configuration("Flow"), ENTRY)
        yield found


def told(here: Place, session: object, instance: str) -> list[str]:
    """Return all that the API, the explorer's and commands say of an instance."""
    paths = ["", "?simple=true", "/subscribe", *(f"/step?name={name}&type=step" for name in STEPS)]
    asked = [f"{api}/flow/instances/{instance}{path}" for api in (API, EXPLORER) for path in paths]
    found = []
    for path in [*asked, f"{API}/flow/instances", f"{API}/flow"]:
        status, answer = session.get(path)
        assert status == 200, (path, answer)
        found.append(answer)
    commands = ("describe", "watch")
    found += [here.does("instances", command, "flow", instance) for command in commands]
    return [
        *found,
        here.does("instances", "describe", "flow", instance, "--json", "--truncate-output-limit", "0"),
    ]


@pytest.mark.parametrize(("params", "status"), [("work", "complete"), ("fail", "errored")])
def test_nobody_tells_a_sensitive_result(here, params, status):
    session = here.dev("--log-level", "debug", "--hibernate-after", "0")
    session.ready()
    trigger(session, "flow", "i", params)
    until(session, "waiting", [("flow", "i")])
    session.get(f"{API}/flow/instances/i/events/go", "POST", json.dumps({}))
    until(session, status, [("flow", "i")])
    texts = told(here, session, "i")
    assert sum("[REDACTED]" in text for text in texts) > len(STEPS)
    here.kill(session)
    texts += [session.output, here.does("instances", "describe", "flow", "i")]
    for text in texts:
        assert SECRET not in text
    state = b"".join(path.read_bytes() for path in here.project.state.rglob("workflows.sqlite*"))
    assert SECRET.encode() in state
