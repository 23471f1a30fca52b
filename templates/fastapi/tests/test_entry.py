"""The app's answers and the Workflow's steps, without a server."""

import asyncio
import json
from typing import Any

import entry
import pytest
from fakes import FakeEnv, FakeStep
from workers import Request

BOOKS = {"item": "book", "quantity": 2}


def ask(env: FakeEnv, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async def answer() -> tuple[int, Any]:
        headers = {"content-type": "application/json"}
        request = Request(
            f"http://127.0.0.1:8787{path}",
            method=method,
            headers=headers,
            body=None if body is None else json.dumps(body),
        )
        response = await entry.Default(None, env).fetch(request)
        return response.status, await response.json()

    return asyncio.run(answer())


def run_workflow(order: dict[str, Any], step: FakeStep) -> Any:
    event = {"payload": order, "instanceId": "order-1", "workflowName": "orders"}
    return asyncio.run(entry.Order(None, FakeEnv()).run(event, step))


def test_an_order_becomes_an_instance() -> None:
    env = FakeEnv()
    assert ask(env, "POST", "/orders", BOOKS) == (201, {"id": "order-1"})
    assert env.ORDERS.created == [BOOKS]


@pytest.mark.parametrize("order", [{}, {"item": "book", "quantity": 0}, {"item": "", "quantity": 1}, []])
def test_what_makes_no_sense_is_refused_and_becomes_none(order: Any) -> None:
    env = FakeEnv()
    assert ask(env, "POST", "/orders", order)[0] == 422
    assert env.ORDERS.created == []


def test_an_order_tells_how_it_is() -> None:
    env = FakeEnv()
    ask(env, "POST", "/orders", BOOKS)
    assert ask(env, "GET", "/orders/order-1") == (200, {"status": "running", "output": None, "error": None})


def test_an_approval_is_sent_as_an_event() -> None:
    env = FakeEnv()
    ask(env, "POST", "/orders", BOOKS)
    assert ask(env, "POST", "/orders/order-1/approval", {"approved": True})[0] == 202
    assert env.ORDERS.instances["order-1"].events == [{"type": "approval", "payload": {"approved": True}}]


@pytest.mark.parametrize(("method", "path"), [("GET", "/orders/x"), ("POST", "/orders/x/approval")])
def test_an_order_that_there_is_not_is_told(method: str, path: str) -> None:
    body = {"approved": True} if method == "POST" else None
    assert ask(FakeEnv(), method, path, body) == (404, {"detail": "There is no order x"})


def test_a_small_order_ships_without_an_approval() -> None:
    step = FakeStep()
    output = run_workflow({"item": "pen", "quantity": 1}, step)
    assert output == {"shipped": "parcel with 1 x pen", "reason": None}
    assert step.waits == {}


def test_a_large_order_waits_for_one() -> None:
    step = FakeStep()
    assert run_workflow(BOOKS, step)["shipped"] == "parcel with 2 x book"
    assert step.waits == {"wait for approval": ("approval", "7 days")}


def test_what_is_not_approved_does_not_ship() -> None:
    step = FakeStep(approved=False)
    assert run_workflow(BOOKS, step) == {"shipped": None, "reason": "not approved"}
    assert step.ran == ["reserve"]
