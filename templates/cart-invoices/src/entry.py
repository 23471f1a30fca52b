"""A Workflow that waits for a cart to be checked out, has it paid, and emails the invoice."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from workers import Request, Response, WorkerEntrypoint, WorkflowEntrypoint, fetch
from workers.workflows import NonRetryableError


class cartInvoicesWorkflow(WorkflowEntrypoint):  # noqa: N801 - the name in the documentation's example
    """Payload: `{"cartId": "123"}`. What is not there yet, or fails, is tried again later: see each step's retries."""

    async def run(self, event: Any, step: Any) -> None:
        cart_id = event["payload"]["cartId"]

        await step.sleep("sleep for a while", "10 seconds")

        @step.do(
            "retrieve cart",
            # As long as the cart is not checked out: every 2 minutes, 10 times, then give up.
            config={
                "retries": {"limit": 10, "delay": 2 * 60 * 1000, "backoff": "constant"},
                "timeout": "30 seconds",
            },
        )
        async def retrieve_cart() -> dict[str, Any]:
            found = await self.env.DB.prepare("SELECT * FROM cart WHERE id = ?").bind(cart_id).all()
            if len(found.results) == 0:
                raise NonRetryableError(f"there is no cart {cart_id}")
            row = found.results[0]
            if not row.checkedOut:
                raise RuntimeError("cart hasn't been checked out yet")
            return {"amount": row.amount, "account": {"email": row.email}}

        cart = await retrieve_cart()

        @step.do(
            "payment",
            # Every minute, 10 times, then give up.
            config={
                "retries": {"limit": 10, "delay": 60 * 1000, "backoff": "constant"},
                "timeout": "30 seconds",
            },
        )
        async def pay() -> dict[str, Any]:
            response = await fetch(
                self.env.PAYMENT_URL,
                method="POST",
                headers={
                    "Content-Type": "application/json; charset=utf-8",
                    # An attempt may fail after the money was taken: the same key asks for the same payment.
                    "Idempotency-Key": event["instanceId"],
                },
                body=json.dumps({"amount": cart["amount"]}),
            )
            if not response.ok:
                raise RuntimeError("payment has failed")
            return {"success": True, "amount": cart["amount"]}

        payment = await pay()

        @step.do(
            "send invoice",
            # Every 5 minutes, 10 times, then give up.
            config={
                "retries": {"limit": 10, "delay": 5 * 60 * 1000, "backoff": "constant"},
                "timeout": "30 seconds",
            },
        )
        async def send_invoice() -> None:
            try:
                await self.env.SEND_EMAIL.send(
                    {
                        "from": {"email": self.env.MERCHANT_EMAIL, "name": "Pet shop"},
                        "to": cart["account"]["email"],
                        "subject": "Your invoice",
                        "text": f"Your invoice for {payment['amount']} has been paid. "
                        "Your products will be shipped shortly.",
                    }
                )
            except Exception as error:
                raise RuntimeError(f"failed to send invoice: {error}") from error

        await send_invoice()


class Default(WorkerEntrypoint):
    """A page for the shop's own people: remove it in production.

    GET /new creates an instance for the cart ?cartId= (123), GET /checkout checks that cart out, and
    GET /?instanceId=ID tells how an instance is.
    """

    async def fetch(self, request: Request) -> Response:
        url = urlsplit(str(request.url))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if "instanceId" in query:
            instance = await self.env.CART_WORKFLOW.get(query["instanceId"])
            return Response.json({"status": await instance.status()})
        cart_id = query.get("cartId", "123")
        if url.path == "/new":
            return await self.create(cart_id)
        if url.path == "/checkout":
            return await self.check_out(cart_id)
        return Response("GET /new or /checkout, both with ?cartId=..., or add ?instanceId=...")

    async def create(self, cart_id: str) -> Response:
        instance = await self.env.CART_WORKFLOW.create(params={"cartId": cart_id})
        return Response.json({"id": instance.id, "details": await instance.status()})

    async def check_out(self, cart_id: str) -> Response:
        done = await self.env.DB.prepare("UPDATE cart SET checkedOut = 1 WHERE id = ?").bind(cart_id).run()
        return Response.json({"checkedOut": done.meta.changes == 1})
