"""The part of Twilio's REST API that is needed here: messages, calls, and whether a webhook is Twilio's."""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from workers import fetch
from workers.workflows import NonRetryableError

TOO_MANY_REQUESTS = 429


class Twilio:
    """An account at Twilio, as the variables and the secret of the Worker's env tell it."""

    def __init__(self, env: Any) -> None:
        self._url = f"{env.TWILIO_API}/2010-04-01/Accounts/{env.TWILIO_ACCOUNT_SID}"
        self._from = env.FROM_NUMBER
        self._token = env.TWILIO_AUTH_TOKEN
        login = f"{env.TWILIO_ACCOUNT_SID}:{self._token}".encode()
        self._headers = {
            "authorization": f"Basic {base64.b64encode(login).decode()}",
            "content-type": "application/x-www-form-urlencoded",
        }

    async def send_message(self, to: str, text: str) -> str:
        """Send an SMS; return its SID."""
        return await self._create("Messages", To=to, From=self._from, Body=text)

    async def call(self, to: str, text: str) -> str:
        """Call and read ``text`` twice; return the call's SID."""
        return await self._create("Calls", To=to, From=self._from, Twiml=twiml("Say", text, text))

    async def _create(self, resource: str, **fields: str) -> str:
        """Ask Twilio for something new.

        What Twilio will refuse for ever raises NonRetryableError and fails the step at once. Everything else raises
        an ordinary error: the step is tried again.
        """
        response = await fetch(
            f"{self._url}/{resource}.json", method="POST", headers=self._headers, body=urlencode(fields)
        )
        if response.status >= 500 or response.status == TOO_MANY_REQUESTS:
            raise RuntimeError(f"Twilio answered {response.status} to {resource}")
        answer = await response.json()
        if response.status >= 400:
            raise NonRetryableError(f"Twilio refuses: {answer['message']} (error {answer['code']})")
        return answer["sid"]

    def has_signed(self, url: str, fields: Iterable[tuple[str, str]], signature: str | None) -> bool:
        """Say whether a webhook's request comes from Twilio, and not from somebody who guessed its URL."""
        signed = url + "".join(name + value for name, value in sorted(fields))
        digest = hmac.new(self._token.encode(), signed.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(base64.b64encode(digest).decode(), signature or "")


def twiml(verb: str, *texts: str) -> str:
    """Return instructions for Twilio: to say, or to send, each of ``texts``."""
    verbs = "".join(f"<{verb}>{escape(text)}</{verb}>" for text in texts)
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>'
