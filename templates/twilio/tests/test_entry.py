"""The Workflow and the webhook against the stand-in of Twilio, which listens on a port of its own; nothing waits."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import entry
import pytest
from fakes import FakeEnv, FakeStep
from stand_ins.twilio import Twilio, read_options, signature
from workers import Request
from workers.workflows import NonRetryableError

from wrangler_py.sdk.web.fetch import close_client

NUMBER = "+15550123456"
WEBHOOK = "http://127.0.0.1:8787/sms"


@pytest.fixture
def twilio() -> Iterator[Twilio]:
    """The stand-in, in a good mood: nothing fails, and nobody replies by themselves."""
    with Twilio(read_options(["--port", "0", "--failures", "0", "--reply", "none"])) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def verify(env: FakeEnv, *replies: str | None, to: Any = NUMBER) -> tuple[FakeStep, Any]:
    step = FakeStep(*replies)
    event = {"payload": {"to": to}, "instanceId": "instance-1", "workflowName": "verify-number"}

    async def run() -> Any:
        try:
            return await entry.VerifyNumber(None, env).run(event, step)
        finally:
            await close_client()

    return step, asyncio.run(run())


def fetch(env: FakeEnv, path: str, body: str | None = None, **headers: str) -> tuple[int, str]:
    async def answer() -> tuple[int, str]:
        options: Any = {} if body is None else {"method": "POST", "body": body}
        request = Request(f"http://127.0.0.1:8787{path}", headers=headers, **options)
        response = await entry.Default(None, env).fetch(request)
        return response.status, await response.text()

    return asyncio.run(answer())


def reply(env: FakeEnv, text: str, sender: str = NUMBER, signed: str | None = None) -> tuple[int, str]:
    fields = {"From": sender, "To": env.FROM_NUMBER, "Body": text, "MessageSid": "SM1"}
    headers = {"x-twilio-signature": signature(WEBHOOK, fields) if signed is None else signed}
    return fetch(env, "/sms", urlencode(fields), **headers)


def test_a_code_that_comes_back_verifies_the_number(twilio: Twilio) -> None:
    step, result = verify(FakeEnv(twilio.url), "It is {code}!")
    assert result == {"to": NUMBER, "verified": True, "asked_by": "sms"}
    assert list(step.results) == ["make a code", "remember who is asked", "send the code"]
    assert [(one["kind"], one["From"], one["To"]) for one in twilio.sent] == [("SMS", "+15550100", NUMBER)]
    assert step.results["make a code"] in twilio.sent[0]["Body"]


def test_a_wrong_code_does_not(twilio: Twilio) -> None:
    assert verify(FakeEnv(twilio.url), "no idea")[1]["verified"] is False


def test_who_does_not_answer_is_called_and_hears_the_digits(twilio: Twilio) -> None:
    step, result = verify(FakeEnv(twilio.url), None, "{code}")
    assert result == {"to": NUMBER, "verified": True, "asked_by": "call"}
    assert [one["kind"] for one in twilio.sent] == ["SMS", "Call"]
    assert twilio.sent[1]["Twiml"].count(", ".join(step.results["make a code"])) == 2
    assert step.timeouts == ["1 minute", "1 minute"]


def test_nobody_answers(twilio: Twilio) -> None:
    assert verify(FakeEnv(twilio.url), None, None)[1] == {"to": NUMBER, "verified": False, "asked_by": "call"}


def test_what_twilio_refuses_is_not_tried_again(twilio: Twilio) -> None:
    with pytest.raises(NonRetryableError, match=r"Invalid 'To' Phone Number: .* \(error 21211\)"):
        verify(FakeEnv(twilio.url), to="+15550120000")
    env = FakeEnv(twilio.url)
    env.TWILIO_AUTH_TOKEN = "wrong"
    with pytest.raises(NonRetryableError, match="Authenticate"):
        verify(env)


def test_what_may_pass_is_tried_again(twilio: Twilio) -> None:
    twilio.options.failures = 1.0
    with pytest.raises(RuntimeError, match=r"Twilio answered (429|503) to Messages"):
        verify(FakeEnv(twilio.url))
    assert entry.PATIENT["retries"] == {"limit": 5, "delay": "2 seconds", "backoff": "exponential"}


def test_a_reply_is_led_to_the_instance_that_waits_for_it(twilio: Twilio) -> None:
    env = FakeEnv(twilio.url)
    verify(env, None, None)
    status, answer = reply(env, "123456")
    assert (status, "<Message>Thank you.</Message>" in answer) == (200, True)
    assert env.VERIFY_NUMBER.instance.events == [{"type": "reply", "payload": {"text": "123456"}}]


def test_a_reply_that_comes_too_late_is_told_so() -> None:
    env = FakeEnv()
    env.WAITING.entries[NUMBER] = "instance-1"
    env.VERIFY_NUMBER.instance.ended = True
    assert "no longer valid" in reply(env, "123456")[1]


def test_who_was_not_asked_gets_no_answer() -> None:
    status, answer = reply(FakeEnv(), "hello")
    assert (status, answer.endswith("<Response></Response>")) == (200, True)


@pytest.mark.parametrize("signed", ["", "bm90IHRoZSBzaWduYXR1cmU="])
def test_a_webhook_that_twilio_has_not_signed_is_refused(signed: str) -> None:
    env = FakeEnv()
    env.WAITING.entries[NUMBER] = "instance-1"
    assert reply(env, "123456", signed=signed)[0] == 403
    assert env.VERIFY_NUMBER.instance.events == []


def test_a_request_creates_an_instance_and_another_tells_how_it_is() -> None:
    env = FakeEnv()
    assert fetch(env, "/verify", f'{{"to": "{NUMBER}"}}') == (202, '{"id": "instance-1"}')
    assert env.VERIFY_NUMBER.created == [{"to": NUMBER}]
    assert '"waiting"' in fetch(env, "/verify/instance-1")[1]


@pytest.mark.parametrize("body", ["{}", '{"to": "0123"}', "[]", "not json"])
def test_a_request_without_a_number_creates_nothing(body: str) -> None:
    env = FakeEnv()
    assert fetch(env, "/verify", body)[0] == 400
    assert env.VERIFY_NUMBER.created == []


def test_any_other_path_is_not_found() -> None:
    assert fetch(FakeEnv(), "/")[0] == 404
