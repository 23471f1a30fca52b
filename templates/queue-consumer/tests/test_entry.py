"""The Worker's answers, its queue handler and the Workflow's steps, without a server."""

import asyncio
import json
from typing import Any

import entry
import pytest
from fakes import FakeBatch, FakeEnv, FakeMessage, FakeStep
from workers import Request

BOOKS = {"item": "book", "quantity": 2}
PENS = {"item": "pen", "quantity": 1}
EVENT = {"payload": BOOKS, "instanceId": "order-1", "workflowName": "fulfil-order"}


def fetch(env: FakeEnv, path: str, body: Any = None) -> tuple[int, Any]:
    async def answer() -> tuple[int, Any]:
        options = {} if body is None else {"method": "POST", "body": json.dumps(body)}
        response = await entry.Default(None, env).fetch(Request(f"http://127.0.0.1:8787{path}", **options))
        return response.status, await response.json()

    return asyncio.run(answer())


def deliver(env: FakeEnv, *messages: FakeMessage, queue: str = "orders") -> list[Any]:
    """Hand over a batch; return what was decided of each message."""
    asyncio.run(entry.Default(None, env).queue(FakeBatch(queue, *messages), env))
    return [message.decided for message in messages]


@pytest.mark.parametrize(("body", "sent"), [(BOOKS, [BOOKS]), ([BOOKS, PENS], [BOOKS, PENS])])
def test_orders_go_onto_the_queue(body: Any, sent: list[Any]) -> None:
    env = FakeEnv()
    assert fetch(env, "/orders", body) == (202, {"accepted": len(sent)})
    assert env.ORDERS.sent == sent


def test_every_message_becomes_an_instance_of_its_id() -> None:
    env = FakeEnv()
    decided = deliver(env, FakeMessage("m1", BOOKS), FakeMessage("m2", PENS))
    assert env.FULFIL_ORDER.created == {"m1": BOOKS, "m2": PENS}
    assert decided == [None, None]


def test_a_message_that_comes_again_creates_no_second_instance() -> None:
    env = FakeEnv()
    deliver(env, FakeMessage("m1", BOOKS))
    deliver(env, FakeMessage("m1", BOOKS, attempts=2), FakeMessage("m2", PENS))
    assert list(env.FULFIL_ORDER.created) == ["m1", "m2"]


@pytest.mark.parametrize("order", [{}, {"item": "book"}, {"item": "book", "quantity": 0}, ["book"], None])
def test_an_order_that_makes_no_sense_is_retried_alone_and_ever_later(order: Any) -> None:
    env = FakeEnv()
    decided = deliver(env, FakeMessage("bad", order, attempts=3), FakeMessage("good", BOOKS))
    assert decided == [{"delaySeconds": 8}, None]
    assert list(env.FULFIL_ORDER.created) == ["good"]


def test_a_dead_letter_is_told_of_and_done_with(capsys: pytest.CaptureFixture[str]) -> None:
    env = FakeEnv()
    assert deliver(env, FakeMessage("bad", {"item": ""}), queue="dead-orders") == ["ack"]
    assert "order bad was given up: {'item': ''}" in capsys.readouterr().out
    assert env.FULFIL_ORDER.created == {}


def test_the_status_of_an_order_is_told() -> None:
    env = FakeEnv()
    deliver(env, FakeMessage("m1", BOOKS))
    assert fetch(env, "/orders/m1") == (200, {"status": "queued", "error": None, "output": None})
    assert fetch(env, "/orders/m2")[0] == 404
    assert fetch(env, "/favicon.ico")[0] == 404


def fulfil(monkeypatch: pytest.MonkeyPatch, *chances: float) -> tuple[FakeStep, Any]:
    left = list(chances)
    monkeypatch.setattr(entry.random, "random", lambda: left.pop(0) if len(left) > 1 else left[0])
    step = FakeStep()
    return step, asyncio.run(entry.FulfilOrder(None, FakeEnv()).run(EVENT, step))


def test_an_order_is_reserved_charged_and_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    step, output = fulfil(monkeypatch, 1.0)
    assert list(step.results) == ["reserve stock", "charge", "ship"]
    assert step.sleeps == {"packing": "10 seconds"}
    assert output == {"payment": "payment-order-1", "shipped": "parcel with 2 x book from shelf B4"}


def test_a_payment_service_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    step, output = fulfil(monkeypatch, 0.0, 0.0, 1.0)
    assert step.attempts["charge"] == 3
    assert output["payment"] == "payment-order-1"


def test_after_five_retries_the_order_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="did not answer"):
        fulfil(monkeypatch, 0.0)
