"""The Worker: every request goes to the FastAPI app, and an order is a Workflow of its own."""

from typing import Any

import asgi
from app import app
from workers import Request, Response, WorkerEntrypoint, WorkflowEntrypoint


class Default(WorkerEntrypoint):
    """Hands requests to the app, which finds the bindings in `request.scope["env"]`."""

    async def fetch(self, request: Request) -> Response:
        return await asgi.fetch(app, request.js_object, self.env)


class Order(WorkflowEntrypoint):
    """Handles ``{"item": str, "quantity": int}``; large ones wait for an approval."""

    async def run(self, event: Any, step: Any) -> dict[str, Any]:
        order = event["payload"]

        @step.do("reserve")
        async def reserve() -> str:
            # Ask a warehouse of yours.
            return f"{order['quantity']} x {order['item']}"

        reserved = await reserve()

        if order["quantity"] > self.env.FREE_LIMIT:
            # The instance leaves memory until the event comes, or the time is over.
            answer = await step.wait_for_event("wait for approval", "approval", timeout="7 days")
            if not answer["payload"]["approved"]:
                return {"shipped": None, "reason": "not approved"}

        @step.do("ship")
        async def ship() -> str:
            return f"parcel with {reserved}"

        return {"shipped": await ship(), "reason": None}
