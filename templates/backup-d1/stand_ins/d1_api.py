"""Stands in for the part of Cloudflare's REST API that exports a D1 database, on your own machine.

    python stand_ins/d1_api.py [--port 8791] [--failures 0.3] [--polls 2]

It exports a small database of a shop, is not ready at once, and fails now and then, as an API does.
Nothing but Python's standard library is needed.
"""

import argparse
import json
import random
import re
import sqlite3
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "token-of-the-stand-in"  # as in .dev.vars
EXPORT = re.compile(r"/client/v4/accounts/([^/]+)/d1/database/([^/]+)/export")
SHOP = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (id), total REAL);
INSERT INTO customers VALUES (1, 'Ada'), (2, 'Grace');
INSERT INTO orders VALUES (1, 1, 250.0), (2, 2, 99.5), (3, 1, 12.0);
"""


class D1Api(ThreadingHTTPServer):
    """The API. ``polls``: how often each export that was begun has been asked for, by its bookmark."""

    daemon_threads = True

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(("127.0.0.1", options.port), Handler)
        self.options = options
        self.polls: dict[str, int] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/client/v4"

    def fails(self, what: str) -> bool:
        failing = random.random() < self.options.failures
        if failing:
            print(f"(failing, as now and then: {what})", flush=True)
        return failing

    def export(self, path: str, login: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return status and body of the answer to a request for an export."""
        match = EXPORT.fullmatch(path)
        if match is None:
            return refusal(404, 7003, f"Could not route to {path}")
        if login != f"Bearer {TOKEN}":
            return refusal(401, 10000, "Authentication error")
        if self.fails("the export"):
            return refusal(503, 7500, "The database is busy")
        bookmark = body.get("current_bookmark")
        if bookmark is None:
            return self.begin(body)
        if bookmark not in self.polls:
            return refusal(400, 7400, f"There is no export {bookmark}")
        return self.poll(bookmark, match[2])

    def begin(self, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if body.get("output_format") != "polling":
            return refusal(400, 7400, "output_format must be polling")
        bookmark = random.randbytes(16).hex()
        self.polls[bookmark] = 0
        print(f"export {bookmark} begins", flush=True)
        return success(bookmark, status="active")

    def poll(self, bookmark: str, database: str) -> tuple[int, dict[str, Any]]:
        self.polls[bookmark] += 1
        if self.polls[bookmark] < self.options.polls:
            print(f"export {bookmark} is not ready yet", flush=True)
            return success(bookmark, status="active")
        print(f"export {bookmark} is ready", flush=True)
        signed_url = f"{self.url}/dumps/{bookmark}?signature={random.randbytes(8).hex()}"
        outcome = {"filename": f"{database}-{bookmark[:8]}.sql", "signed_url": signed_url}
        # Where the API reference has it, and where the docs' example reads it.
        return success(bookmark, status="complete", result=outcome, **outcome)

    def dump(self, path: str) -> tuple[int, str]:
        """Return status and body of the answer to a request for a dump."""
        bookmark = path.partition("?")[0].rpartition("/")[2]
        if bookmark not in self.polls:
            return 404, "no such dump"
        if self.fails("the download"):
            return 500, "try again"
        database = sqlite3.connect(":memory:")
        try:
            database.executescript(SHOP)
            return 200, "\n".join(database.iterdump()) + "\n"
        finally:
            database.close()


class Handler(BaseHTTPRequestHandler):
    """HTTP, and nothing else."""

    server: D1Api

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(data)
        except ValueError:
            body = {}
        status, answer = self.server.export(self.path, self.headers.get("authorization", ""), body)
        self.answer(status, "application/json", json.dumps(answer))

    def do_GET(self) -> None:
        status, text = self.server.dump(self.path)
        self.answer(status, "application/sql", text)

    def answer(self, status: int, content_type: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing: what counts is printed where it happens."""


def success(bookmark: str, **more: Any) -> tuple[int, dict[str, Any]]:
    result = {"success": True, "type": "export", "at_bookmark": bookmark, "messages": [], **more}
    return 200, {"success": True, "errors": [], "messages": [], "result": result}


def refusal(status: int, code: int, message: str) -> tuple[int, dict[str, Any]]:
    errors = [{"code": code, "message": message}]
    return status, {"success": False, "errors": errors, "messages": [], "result": None}


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The stand-in of D1's REST API.")
    parser.add_argument("--port", type=int, default=8791)
    parser.add_argument("--failures", type=float, default=0.3, help="share of requests that fail")
    parser.add_argument("--polls", type=int, default=2, help="how often to ask until an export is ready")
    return parser.parse_args(arguments)


def main() -> None:
    with D1Api(read_options()) as api:
        print(f"The stand-in of D1's REST API listens on {api.url}", flush=True)
        try:
            api.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
