"""Stands in for Twilio on your own machine: prints messages and calls, fails now and then, and lets a person reply.

    python stand_ins/twilio.py [--port 8790] [--worker http://127.0.0.1:8787] [--reply code|wrong|none]
                               [--reply-to sms|call] [--delay 2] [--failures 0.3]

It takes what `src/twilio_api.py` sends and answers as Twilio's REST API does. Numbers that end in 0000 do not exist.
Nothing but Python's standard library is needed.
"""

import argparse
import base64
import hashlib
import hmac
import json
import random
import re
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode

ACCOUNT_SID = "AC00000000000000000000000000000000"
AUTH_TOKEN = "token-of-the-stand-in"  # as in .dev.vars
PREFIXES = {"Messages": "SM", "Calls": "CA"}


class Twilio(ThreadingHTTPServer):
    """The API for one account. ``sent`` is all it was asked to send."""

    daemon_threads = True

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(("127.0.0.1", options.port), Handler)
        self.options = options
        self.sent: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, login: str, fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return status and body of the answer to a request."""
        resource = path.rpartition("/")[2].removesuffix(".json")
        if path != f"/2010-04-01/Accounts/{ACCOUNT_SID}/{resource}.json" or resource not in PREFIXES:
            return refusal(404, 20404, f"The requested resource {path} was not found")
        if login != "Basic " + base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode():
            return refusal(401, 20003, "Authenticate")
        if not re.fullmatch(r"\+[1-9]\d{6,14}", fields.get("To", "")) or fields["To"].endswith("0000"):
            return refusal(400, 21211, f"Invalid 'To' Phone Number: {fields.get('To', '')}")
        if random.random() < self.options.failures:
            print(f"(failing, as now and then: {resource} to {fields['To']})", flush=True)
            return random.choice(
                [refusal(429, 20429, "Too Many Requests"), refusal(503, 20503, "Unavailable")]
            )
        return 201, self.accept(resource, fields)

    def accept(self, resource: str, fields: dict[str, str]) -> dict[str, Any]:
        """Print a message or a call, and let the person reply to it."""
        text = fields.get("Body") or " ".join(re.findall(r"<Say>(.*?)</Say>", fields.get("Twiml", ""))[:1])
        kind = "SMS " if resource == "Messages" else "Call"
        print(f"{kind} {fields['From']} -> {fields['To']}: {text}", flush=True)
        self.sent.append({"kind": kind.strip(), **fields})
        if self.options.reply != "none" and (kind == "Call" or self.options.reply_to == "sms"):
            digits = "".join(re.findall(r"\d", text))
            reply = digits if self.options.reply == "code" else "who are you?"
            threading.Timer(self.options.delay, self.bring, (fields["To"], fields["From"], reply)).start()
        return {
            "sid": sid(PREFIXES[resource]),
            "status": "queued",
            "to": fields["To"],
            "from": fields["From"],
        }

    def bring(self, sender: str, to: str, text: str) -> None:
        """Bring a person's message to the Worker's webhook, signed as Twilio signs it."""
        print(f"SMS  {sender} -> {to}: {text}", flush=True)
        url = f"{self.options.worker}/sms"
        fields = {"MessageSid": sid("SM"), "AccountSid": ACCOUNT_SID, "From": sender, "To": to, "Body": text}
        headers = {"x-twilio-signature": signature(url, fields)}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, urlencode(fields).encode(), headers), timeout=10
            ) as response:
                answer = response.read().decode()
        except OSError as error:
            print(f"(the Worker at {url} does not take it: {error})", flush=True)
            return
        for message in re.findall(r"<Message>(.*?)</Message>", answer):
            print(f"SMS  {to} -> {sender}: {message}", flush=True)


class Handler(BaseHTTPRequestHandler):
    """HTTP, and nothing else."""

    server: Twilio

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        fields = {name: values[0] for name, values in parse_qs(body).items()}
        status, answer = self.server.answer(self.path, self.headers.get("authorization", ""), fields)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing: what counts is printed where it happens."""


def refusal(status: int, code: int, message: str) -> tuple[int, dict[str, Any]]:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return status, {"code": code, "message": message, "more_info": more, "status": status}


def sid(prefix: str) -> str:
    return prefix + random.randbytes(16).hex()


def signature(url: str, fields: dict[str, str]) -> str:
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(AUTH_TOKEN.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Twilio's stand-in.")
    parser.add_argument("--port", type=int, default=8790)
    parser.add_argument("--worker", default="http://127.0.0.1:8787", help="where replies are brought")
    parser.add_argument(
        "--reply", choices=["code", "wrong", "none"], default="code", help="what a person answers"
    )
    parser.add_argument("--reply-to", choices=["sms", "call"], default="sms", help="the first they answer to")
    parser.add_argument("--delay", type=float, default=2.0, help="seconds until they answer")
    parser.add_argument("--failures", type=float, default=0.3, help="share of requests that fail")
    return parser.parse_args(arguments)


def main() -> None:
    with Twilio(read_options()) as twilio:
        print(f"Twilio's stand-in listens on {twilio.url}", flush=True)
        try:
            twilio.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
