"""The Workflow's steps and the Worker's answers, without a server."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import entry
import pytest
from fakes import FakeEnv, FakeStep
from workers import Request, Response
from workers.workflows import NonRetryableError

MINUTE = 60 * 1000


class Payments:
    """Stands for `fetch`: answers with `status`, and notes what was asked for."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, url: str, **options: Any) -> Response:
        self.asked.append({"url": url, **options})
        return Response.json({}, status=self.status)


@pytest.fixture
def env() -> Iterator[FakeEnv]:
    made = FakeEnv()
    yield made
    made.close()


@pytest.fixture
def payments(monkeypatch: pytest.MonkeyPatch) -> Payments:
    made = Payments()
    monkeypatch.setattr(entry, "fetch", made)
    return made


def run_workflow(env: FakeEnv, cart_id: str) -> FakeStep:
    step = FakeStep()
    event = {
        "payload": {"cartId": cart_id},
        "instanceId": "instance-1",
        "workflowName": "cart-invoices-workflow",
    }
    asyncio.run(entry.cartInvoicesWorkflow(None, env).run(event, step))
    return step


def fetch(env: FakeEnv, path: str) -> Any:
    async def answer() -> Any:
        response = await entry.Default(None, env).fetch(Request(f"http://127.0.0.1:8787{path}"))
        return await response.text()

    return asyncio.run(answer())


def test_a_cart_that_is_checked_out_is_paid_and_the_invoice_sent(env: FakeEnv, payments: Payments) -> None:
    step = run_workflow(env, "456")
    assert step.sleeps == {"sleep for a while": "10 seconds"}
    assert step.results == {
        "retrieve cart": {"amount": 90, "account": {"email": "bob@example.com"}},
        "payment": {"success": True, "amount": 90},
        "send invoice": None,
    }
    (message,) = env.SEND_EMAIL.sent
    assert message["to"] == "bob@example.com"
    assert "invoice for 90" in message["text"]


def test_the_payment_is_asked_for_with_a_key_that_stays_the_same(env: FakeEnv, payments: Payments) -> None:
    run_workflow(env, "456")
    (asked,) = payments.asked
    assert (asked["url"], asked["method"]) == ("https://payment.example.com/", "POST")
    assert json.loads(asked["body"]) == {"amount": 90}
    assert asked["headers"]["Idempotency-Key"] == "instance-1"


def test_a_cart_that_is_still_being_filled_is_asked_for_again(env: FakeEnv, payments: Payments) -> None:
    with pytest.raises(RuntimeError, match="cart hasn't been checked out yet"):
        run_workflow(env, "123")
    assert payments.asked == []


def test_a_cart_that_is_not_there_ends_the_instance(env: FakeEnv, payments: Payments) -> None:
    with pytest.raises(NonRetryableError, match="there is no cart 789"):
        run_workflow(env, "789")


def test_a_payment_that_fails_sends_no_invoice(env: FakeEnv, payments: Payments) -> None:
    payments.status = 503
    with pytest.raises(RuntimeError, match="payment has failed"):
        run_workflow(env, "456")
    assert env.SEND_EMAIL.sent == []


def test_an_invoice_that_cannot_be_sent_is_tried_again(env: FakeEnv, payments: Payments) -> None:
    env.SEND_EMAIL.is_down = True
    with pytest.raises(RuntimeError, match="failed to send invoice: no route to the mail server"):
        run_workflow(env, "456")


def test_each_step_has_its_own_patience(env: FakeEnv, payments: Payments) -> None:
    step = run_workflow(env, "456")
    delays = {name: config["retries"]["delay"] for name, config in step.configs.items()}
    assert delays == {"retrieve cart": 2 * MINUTE, "payment": MINUTE, "send invoice": 5 * MINUTE}
    assert {config["retries"]["limit"] for config in step.configs.values()} == {10}


def test_new_creates_an_instance_for_a_cart(env: FakeEnv) -> None:
    assert json.loads(fetch(env, "/new"))["id"] == "instance-1"
    fetch(env, "/new?cartId=456")
    assert env.CART_WORKFLOW.created == [{"cartId": "123"}, {"cartId": "456"}]


def test_checkout_checks_a_cart_out(env: FakeEnv, payments: Payments) -> None:
    assert json.loads(fetch(env, "/checkout?cartId=123")) == {"checkedOut": True}
    assert json.loads(fetch(env, "/checkout?cartId=789")) == {"checkedOut": False}
    assert run_workflow(env, "123").results["payment"] == {"success": True, "amount": 250}


def test_an_instance_tells_its_status(env: FakeEnv) -> None:
    assert json.loads(fetch(env, "/?instanceId=abc"))["status"]["status"] == "queued"
    assert "?instanceId=" in fetch(env, "/")
