"""POST /api/instances creates an instance."""

from typing import Any

from workers import Response


async def on_request_post(context: Any) -> Response:
    payload = await context.request.json()
    if "@" not in str(payload.get("email", "")):
        return Response.json({"error": "an email address is missing"}, status=400)
    # A method of the Worker; its Response becomes the answer to the browser.
    return await context.env.WORKFLOW_SERVICE.create_instance({"email": payload["email"]})
