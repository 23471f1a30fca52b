"""GET /api/instances/ID tells how an instance is."""

from typing import Any

from workers import Response


async def on_request_get(context: Any) -> Response:
    return Response.json(await context.env.WORKFLOW_SERVICE.instance_status(context.params["id"]))
