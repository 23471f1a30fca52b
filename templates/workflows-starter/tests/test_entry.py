"""The Workflow's steps and the Worker's answers, without a server."""

import asyncio
from typing import Any

import entry
import pytest
from fakes import FakeEnv, FakeStep
from workers import Request

WRITE = "make a call to write that could maybe, just might, fail"
EVENT = {"payload": {"hello": "world"}, "instanceId": "instance-1", "workflowName": "workflows-starter"}


def run_workflow() -> FakeStep:
    step = FakeStep()
    asyncio.run(entry.MyWorkflow(None, FakeEnv()).run(EVENT, step))
    return step


def fetch(path: str, env: FakeEnv) -> tuple[int, Any]:
    async def answer() -> tuple[int, Any]:
        response = await entry.Default(None, env).fetch(Request(f"http://127.0.0.1:8787{path}"))
        return response.status, await response.json()

    return asyncio.run(answer())


def test_the_steps_run_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry.random, "random", lambda: 0.0)
    step = run_workflow()
    assert list(step.results) == ["my first step", "some other step", WRITE]
    assert step.sleeps == {"wait on something": "1 minute"}


def test_every_file_is_in_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry.random, "random", lambda: 0.0)
    step = run_workflow()
    grouped = [name for group in step.results["some other step"].values() for name in group]
    assert sorted(grouped) == sorted(step.results["my first step"]["files"])


def test_a_failed_write_raises_so_that_it_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry.random, "random", lambda: 1.0)
    with pytest.raises(RuntimeError, match="STORAGE_SYSTEM"):
        run_workflow()


def test_the_write_is_retried_five_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry.random, "random", lambda: 0.0)
    step = run_workflow()
    assert step.configs[WRITE]["retries"] == {"limit": 5, "delay": "5 second", "backoff": "exponential"}


def test_a_request_creates_an_instance() -> None:
    env = FakeEnv()
    status, body = fetch("/", env)
    assert status == 200
    assert body == {"id": "instance-1", "details": {"status": "queued", "error": None, "output": None}}
    assert env.MY_WORKFLOW.created == ["instance-1"]


def test_a_request_with_an_id_tells_its_status_and_creates_nothing() -> None:
    env = FakeEnv()
    assert fetch("/?instanceId=abc", env) == (
        200,
        {"status": {"status": "queued", "error": None, "output": None}},
    )
    assert env.MY_WORKFLOW.created == []


def test_the_icon_that_browsers_ask_for_creates_nothing() -> None:
    env = FakeEnv()
    assert fetch("/favicon.ico", env)[0] == 404
    assert env.MY_WORKFLOW.created == []
