"""Orders go onto a queue; a batch of them becomes Workflow instances, one an order, however often it is delivered."""

import random
from typing import Any
from urllib.parse import urlsplit

from workers import Request, Response, WorkerEntrypoint, WorkflowEntrypoint, python_from_rpc, python_to_rpc

DEAD_LETTERS = "dead-orders"
#: A step that fails is tried again after 1, 2, 4, 8 and 16 seconds.
PATIENT = {"retries": {"limit": 5, "delay": "1 second", "backoff": "exponential"}, "timeout": "1 minute"}


class FulfilOrder(WorkflowEntrypoint):
    """Fulfils ``{"item": str, "quantity": int}``; the id of the instance is that of the message."""

    async def run(self, event: Any, step: Any) -> dict[str, Any]:
        order = event["payload"]

        @step.do("reserve stock")
        async def reserve() -> dict[str, Any]:
            # Ask a warehouse of yours.
            return {"item": order["item"], "quantity": order["quantity"], "shelf": "B4"}

        reserved = await reserve()

        @step.do("charge", config=PATIENT)
        async def charge() -> str:
            # Call a payment service of yours. The instance's id makes a second attempt harmless there.
            if random.random() < 0.3:
                raise RuntimeError("the payment service did not answer")
            return f"payment-{event['instanceId']}"

        payment = await charge()

        # The instance leaves memory meanwhile; it may as well be a day.
        await step.sleep("packing", "10 seconds")

        @step.do("ship", config=PATIENT)
        async def ship() -> str:
            return f"parcel with {reserved['quantity']} x {reserved['item']} from shelf {reserved['shelf']}"

        return {"payment": payment, "shipped": await ship()}


class Default(WorkerEntrypoint):
    """POST /orders takes an order, or a list of them; GET /orders/ID tells how one is. `queue` handles them."""

    async def fetch(self, request: Request) -> Response:
        path = urlsplit(str(request.url)).path
        if path == "/orders" and str(request.method) == "POST":
            return await self.accept(await request.json())
        if path.startswith("/orders/"):
            return await self.tell(path.removeprefix("/orders/"))
        return Response.json({"error": "POST /orders, or GET /orders/ID"}, status=404)

    async def accept(self, given: Any) -> Response:
        orders = given if isinstance(given, list) else [given]
        # On disk when this returns: the order is not lost any more. All of a batch, or none.
        await self.env.ORDERS.sendBatch(python_to_rpc([{"body": order} for order in orders]))
        return Response.json({"accepted": len(orders)}, status=202)

    async def tell(self, order_id: str) -> Response:
        try:
            instance = await self.env.FULFIL_ORDER.get(order_id)
        except Exception:
            return Response.json({"error": f"there is no order {order_id}"}, status=404)
        return Response.json(await instance.status())

    async def queue(self, batch: Any, env: Any = None, ctx: Any = None) -> None:
        if batch.queue == DEAD_LETTERS:
            bury(batch)
        else:
            await self.start(batch)

    async def start(self, batch: Any) -> None:
        """Create an instance for every order of a batch."""
        instances = []
        for message in batch.messages:
            order = python_from_rpc(message.body)
            problem = problem_of(order)
            if problem is None:
                instances.append({"id": message.id, "params": order})
            else:
                # Only this one comes again: after 2, 4 and 8 seconds, then as a dead letter.
                print(f"order {message.id}, delivery {message.attempts}: {problem}")
                message.retry(delaySeconds=2**message.attempts)
        # A message may be delivered twice. Its id is the instance's, and ids that exist are skipped.
        # If this raises, the messages that nothing was decided of are delivered again.
        if instances:
            await self.env.FULFIL_ORDER.create_batch(instances)


def problem_of(order: Any) -> str | None:
    """Return why an order cannot be fulfilled, or None."""
    if not isinstance(order, dict) or not order.get("item"):
        return "it names no item"
    quantity = order.get("quantity")
    return None if isinstance(quantity, int) and quantity > 0 else "its quantity is not a number above zero"


def bury(batch: Any) -> None:
    """Tell of orders that nobody could fulfil. Yours may write them to a table, or call a person."""
    for message in batch.messages:
        print(f"order {message.id} was given up: {python_from_rpc(message.body)}")
        message.ack()
