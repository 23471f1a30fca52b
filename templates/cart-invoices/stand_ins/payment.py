"""A payment processor that takes no money, for trying the Workflow offline: python stand_ins/payment.py

Like a real one it fails now and then, at times after the payment was made. A payment that is asked for again with the
same Idempotency-Key is not made twice.
"""

import argparse
import json
import random
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Processor(ThreadingHTTPServer):
    """Keeps the payments it has made, by their keys."""

    def __init__(self, port: int, failures: float) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.failures = failures
        self.payments: dict[str, Any] = {}

    def is_down(self) -> bool:
        return random.random() < self.failures

    def pay(self, key: str, amount: float) -> dict[str, Any]:
        """Make a payment, or return the one made before."""
        new = {"payment": len(self.payments) + 1, "amount": amount}
        return self.payments.setdefault(key, new)


class Handler(BaseHTTPRequestHandler):
    server: Processor

    def do_POST(self) -> None:
        try:
            amount = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["amount"]
        except (TypeError, ValueError, KeyError):
            self.answer(400, {"error": 'send {"amount": 250}'})
            return
        if self.server.is_down():
            self.answer(503, {"error": "busy, nothing was paid"})
            return
        key = self.headers.get("Idempotency-Key") or f"payment {len(self.server.payments)}"
        payment = self.server.pay(key, amount)
        if self.server.is_down():
            self.answer(500, {"error": "paid, but something broke afterwards"})
            return
        self.answer(200, payment)

    def answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, _format: str, *args: Any) -> None:
        sys.stdout.write(f"{' '.join(map(str, args))}\n")
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="A payment processor that takes no money.")
    parser.add_argument("--port", type=int, default=8799)
    parser.add_argument("--failures", type=float, default=0.2, help="chance of each failure, from 0 to 1")
    arguments = parser.parse_args()
    with Processor(arguments.port, arguments.failures) as server:
        sys.stdout.write(f"Taking payments on http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write("\n")


if __name__ == "__main__":
    main()
