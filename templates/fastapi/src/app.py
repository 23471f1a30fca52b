"""The FastAPI app: what it takes, what it gives, and nothing that takes long."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

app = FastAPI(title="my-worker")


class NewOrder(BaseModel):
    """What a client orders."""

    item: str = Field(min_length=1, examples=["book"])
    quantity: int = Field(gt=0, examples=[2])


class Approval(BaseModel):
    """Whether an order may go on."""

    approved: bool


class Created(BaseModel):
    """The order's id, which is that of its Workflow instance."""

    id: str


class State(BaseModel):
    """How an order is: the status of its instance, and what came of it."""

    status: str
    output: Any = None
    error: Any = None


def orders_of(request: Request) -> Any:
    """Return the binding of the workflow."""
    return request.scope["env"].ORDERS


Orders = Annotated[Any, Depends(orders_of)]


async def find(orders: Any, order_id: str) -> Any:
    """Return an order's instance, or answer that there is none."""
    try:
        return await orders.get(order_id)
    except Exception as error:
        if "instance.not_found" not in str(error):
            raise
        raise HTTPException(404, f"There is no order {order_id}") from error


@app.post("/orders", status_code=201)
async def create_order(order: NewOrder, orders: Orders) -> Created:
    """Take an order. It is stored when this answers, and goes on by itself."""
    instance = await orders.create(params=order.model_dump())
    return Created(id=instance.id)


@app.get("/orders/{order_id}")
async def read_order(order_id: str, orders: Orders) -> State:
    """Tell how an order is."""
    instance = await find(orders, order_id)
    status = await instance.status()
    return State(status=status["status"], output=status["output"], error=status["error"])


@app.post("/orders/{order_id}/approval", status_code=202)
async def approve_order(order_id: str, approval: Approval, orders: Orders) -> None:
    """Send the order the event that it waits for."""
    instance = await find(orders, order_id)
    await instance.send_event(type="approval", payload=approval.model_dump())
