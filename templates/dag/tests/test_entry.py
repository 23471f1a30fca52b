"""The order of the steps, what they make of the orders, and the Worker's answers, without a server."""

import asyncio
from typing import Any

import entry
import pytest
from fakes import FakeEnv, FakeStep
from workers import Request


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "SLOW", 0)


def run_workflow() -> tuple[dict[str, Any], FakeStep]:
    step = FakeStep()
    event = {"payload": {"day": "2026-03-01"}, "instanceId": "instance-1"}
    return asyncio.run(entry.DailyReport(None, FakeEnv()).run(event, step)), step


def fetch(path: str, env: FakeEnv) -> tuple[int, Any]:
    async def answer() -> tuple[int, Any]:
        response = await entry.Default(None, env).fetch(Request(f"http://127.0.0.1:8787{path}"))
        return response.status, await response.json()

    return asyncio.run(answer())


def test_the_sides_of_the_diamond_run_at_the_same_time_between_its_ends() -> None:
    events = run_workflow()[1].events
    assert events[:2] == ["orders starts", "orders ends"]
    assert events[2:4] == ["revenue starts", "stock starts"]
    assert sorted(events[4:6]) == ["revenue ends", "stock ends"]
    assert events[6:8] == ["report starts", "report ends"]


def test_what_two_steps_need_runs_once() -> None:
    assert run_workflow()[1].events.count("orders starts") == 1


def test_every_city_has_a_letter() -> None:
    output, step = run_workflow()
    assert [name for name in step.results if name.startswith("letter")] == [
        "letter to berlin",
        "letter to lisbon",
        "letter to oslo",
    ]
    assert output["letters"][0] == "Dear Berlin, you sold for 45.00 of 106.00."


def test_the_report_adds_up_and_names_what_is_sold_out() -> None:
    report = run_workflow()[0]["report"]
    assert report["total"] == sum(report["cities"].values()) == 106.0
    assert (report["day"], report["sold_out"]) == ("2026-03-01", ["lamp"])


def test_a_request_creates_an_instance() -> None:
    env = FakeEnv()
    assert fetch("/", env) == (201, {"id": "instance-1"})
    assert env.DAILY_REPORT.created == [{"day": "today"}]


def test_a_request_with_an_id_tells_its_result_and_creates_nothing() -> None:
    env = FakeEnv()
    status, body = fetch("/?instanceId=abc", env)
    assert (status, body["status"], body["output"]["letters"]) == (200, "complete", [])
    assert env.DAILY_REPORT.created == []


def test_other_paths_create_nothing() -> None:
    env = FakeEnv()
    assert fetch("/favicon.ico", env)[0] == 404
    assert env.DAILY_REPORT.created == []
