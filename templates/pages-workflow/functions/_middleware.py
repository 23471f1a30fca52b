"""Runs before every function and file: what fails becomes JSON."""

from typing import Any

from workers import Response


async def on_request(context: Any) -> Response:
    try:
        return await context.next()
    except Exception as error:
        return Response.json({"error": str(error)}, status=500)
