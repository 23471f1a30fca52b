"""A Workflow whose steps depend on each other, and a Worker that creates instances of it over HTTP."""

import asyncio
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from workers import Request, Response, WorkerEntrypoint, WorkflowEntrypoint

#: Stands for the time a real query takes, in seconds.
SLOW = 2
#: Stands for a shop's database: city, item, pieces, price of one.
SOLD = [
    ["berlin", "book", 2, 15.0],
    ["berlin", "pen", 10, 1.5],
    ["lisbon", "book", 1, 15.0],
    ["lisbon", "lamp", 1, 40.0],
    ["oslo", "pen", 4, 1.5],
]
SHELVES = {"book": 20, "lamp": 1, "pen": 30}


class DailyReport(WorkflowEntrypoint):
    """Reports on ``{"day": str}``. A finished step keeps its result and does not run again."""

    async def run(self, event: Any, step: Any) -> dict[str, Any]:
        day = event["payload"].get("day", "today")

        @step.do()
        async def orders() -> list[dict[str, Any]]:
            # Without a name of its own, a step has that of its function.
            return [dict(zip(("city", "item", "pieces", "price"), one, strict=True)) for one in SOLD]

        @step.do()
        async def revenue(orders: list[dict[str, Any]]) -> dict[str, float]:
            # The parameter is the name of the step to run before; its value is what that step returned.
            await asyncio.sleep(SLOW)
            total: Counter[str] = Counter()
            for one in orders:
                total[one["city"]] += one["pieces"] * one["price"]
            return dict(total)

        @step.do()
        async def stock(orders: list[dict[str, Any]]) -> dict[str, int]:
            # Needs `orders` too. It runs once all the same, and both are given its result.
            await asyncio.sleep(SLOW)
            left = Counter(SHELVES)
            for one in orders:
                left[one["item"]] -= one["pieces"]
            return dict(left)

        # `concurrent`: the two it depends on run at the same time, not one after the other.
        @step.do(concurrent=True)
        async def report(revenue: dict[str, float], stock: dict[str, int]) -> dict[str, Any]:
            sold_out = [item for item, pieces in stock.items() if pieces <= 0]
            return {"day": day, "total": sum(revenue.values()), "cities": revenue, "sold_out": sold_out}

        # Nothing has run so far. This runs all four.
        written = await report()

        # As many steps as there are cities, all at once; each is retried, and remembered, on its own.
        letters = [write_letter(step, city, written) for city in written["cities"]]
        return {"report": written, "letters": await asyncio.gather(*letters)}


async def write_letter(step: Any, city: str, report: dict[str, Any]) -> str:
    """Run a step that writes to the shop of one city."""

    @step.do(f"letter to {city}")
    async def letter() -> str:
        return (
            f"Dear {city.capitalize()}, you sold for {report['cities'][city]:.2f} of {report['total']:.2f}."
        )

    text: str = await letter()
    return text


class Default(WorkerEntrypoint):
    """GET / creates an instance; GET /?instanceId=ID tells how it is, and what came of it."""

    async def fetch(self, request: Request) -> Response:
        url = urlsplit(str(request.url))
        if url.path != "/":
            return Response.json({"error": "there is nothing but /"}, status=404)

        ids = parse_qs(url.query).get("instanceId")
        if ids:
            instance = await self.env.DAILY_REPORT.get(ids[0])
            return Response.json(await instance.status())

        instance = await self.env.DAILY_REPORT.create(params={"day": "today"})
        return Response.json({"id": instance.id}, status=201)
