"""Is this phone number yours? A code by SMS, a call if nobody answers, and the answer as an event."""

import re
import secrets
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from twilio_api import Twilio, twiml
from workers import Request, Response, WorkerEntrypoint, WorkflowEntrypoint
from workers.workflows import NonRetryableError

NUMBER = re.compile(r"\+[1-9]\d{6,14}")
#: Twilio now and then has too much to do: after 2, 4, 8, 16 and 32 seconds it is asked again.
PATIENT = {"retries": {"limit": 5, "delay": "2 seconds", "backoff": "exponential"}, "timeout": "30 seconds"}
#: Seconds for which a number is known to be waiting: longer than all the waiting takes.
REMEMBERED = 24 * 60 * 60


class VerifyNumber(WorkflowEntrypoint):
    """Sends a code to ``{"to": number}`` and returns whether it came back."""

    async def run(self, event: Any, step: Any) -> dict[str, Any]:
        to, twilio = number_in(event["payload"]), Twilio(self.env)

        # In a step, because `run()` may start from the top at any time: the code must stay the same.
        @step.do("make a code")
        async def make_code() -> str:
            return f"{secrets.randbelow(1_000_000):06}"

        code = await make_code()

        # The webhook below knows a number only; this leads it to the instance.
        @step.do("remember who is asked")
        async def remember() -> None:
            await self.env.WAITING.put(to, event["instanceId"], expirationTtl=REMEMBERED)

        await remember()

        @step.do("send the code", config=PATIENT)
        async def send_code() -> str:
            return await twilio.send_message(to, f"Your code is {code}. Reply with it to this message.")

        await send_code()
        reply = await self.reply(step)
        asked_by = "sms"

        if reply is None:

            @step.do("call", config=PATIENT)
            async def call() -> str:
                spoken = ", ".join(code)
                return await twilio.call(to, f"Your code is {spoken}. Please send it to us as a message.")

            await call()
            reply = await self.reply(step)
            asked_by = "call"

        return {"to": to, "verified": reply is not None and code in reply, "asked_by": asked_by}

    async def reply(self, step: Any) -> str | None:
        """Return what the person wrote, None if nothing came in time. Waiting costs nothing."""
        try:
            event = await step.wait_for_event("wait for the reply", "reply", timeout=self.env.REPLY_TIMEOUT)
        except Exception:  # the time is over: nothing else is raised here
            return None
        return event["payload"]["text"]


class Default(WorkerEntrypoint):
    """POST /verify begins, GET /verify/ID tells how it went, POST /sms is where Twilio brings replies."""

    async def fetch(self, request: Request) -> Response:
        path = urlsplit(str(request.url)).path
        if request.method == "POST" and path == "/verify":
            return await self.begin(request)
        if request.method == "GET" and path.startswith("/verify/"):
            return await self.tell(path.removeprefix("/verify/"))
        if request.method == "POST" and path == "/sms":
            return await self.take_reply(request)
        return Response.json({"error": "there are POST /verify, GET /verify/ID and POST /sms"}, status=404)

    async def begin(self, request: Request) -> Response:
        try:
            to = number_in(await request.json())
        except (NonRetryableError, ValueError) as error:
            return Response.json({"error": str(error)}, status=400)
        instance = await self.env.VERIFY_NUMBER.create(params={"to": to})
        return Response.json({"id": instance.id}, status=202)

    async def tell(self, instance_id: str) -> Response:
        instance = await self.env.VERIFY_NUMBER.get(instance_id)
        return Response.json(await instance.status())

    async def take_reply(self, request: Request) -> Response:
        fields = parse_qsl(await request.text(), keep_blank_values=True)
        signature = request.headers.get("x-twilio-signature")
        if not Twilio(self.env).has_signed(str(request.url), fields, signature):
            return Response("This is not from Twilio.", status=403)
        message = dict(fields)
        instance_id = await self.env.WAITING.get(message["From"])
        if instance_id is None:
            return answer()
        instance = await self.env.VERIFY_NUMBER.get(instance_id)
        try:
            await instance.send_event(type="reply", payload={"text": message["Body"]})
        except Exception:  # it has ended: the reply came too late
            return answer("Sorry, this code is no longer valid.")
        return answer("Thank you.")


def number_in(params: Any) -> str:
    """Return the number that ``{"to": number}`` names."""
    to = params.get("to") if isinstance(params, dict) else None
    if not isinstance(to, str) or not NUMBER.fullmatch(to):
        raise NonRetryableError('a number is needed as {"to": "+15550123456"}')
    return to


def answer(*texts: str) -> Response:
    """Tell Twilio to send ``texts`` back."""
    return Response(twiml("Message", *texts), headers={"content-type": "text/xml; charset=utf-8"})
