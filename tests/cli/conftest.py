"""A session that answers from a list: a real HTTP server on a loopback port, answers of recorded shapes."""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from wrangler_py.cli.app import app
from wrangler_py.cli.client import ROOT

NOT_FOUND = {"workflow": 10200, "instance": 10400}


class Session:
    """Answers ``METHOD path`` (below ``/workflows``, without query) with documents; the last one repeats."""

    def __init__(self, port):
        self.port = port
        self.answers = {}
        self.requests = []
        self.headers = []

    def answer(self, request, *results, status=200, **info):
        documents = [
            {"success": True, "errors": [], "messages": [], "result": result, **info} for result in results
        ]
        self.answers[request] = [(status, json.dumps(document)) for document in documents]

    def refuse(self, request, code, message, status=400):
        errors = [{"code": code, "message": message}]
        document = {"success": False, "errors": errors, "messages": [], "result": None}
        self.answers[request] = [(status, json.dumps(document))]

    def stream(self, request, *bodies):
        """Answer with the text of an event stream, which ends with it."""
        self.answers[request] = [(200, body) for body in bodies]

    def missing(self, request, what):
        self.refuse(request, NOT_FOUND[what], f"workflows.api.error.{what}.not_found", status=404)

    def take(self, method, path, body, headers):
        self.headers.append(headers)
        self.requests.append((f"{method} {path}", body))
        request = f"{method} {path.partition('?')[0]}"
        if request.endswith("/subscribe") and request not in self.answers:
            self.missing(request, "instance")  # a server that has no subscriptions
        answers = self.answers[request]
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Handler(BaseHTTPRequestHandler):
    def reply(self):
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, text = self.server.session.take(
            self.command, self.path.removeprefix(ROOT), body, self.headers
        )
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = reply

    def log_message(self, *arguments):
        pass


@pytest.fixture
def session():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.session = Session(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.session
        server.shutdown()
        thread.join()


@pytest.fixture
def run(session):
    """Run a command against the session: ``run("workflows", "list")``."""

    def call(*arguments):
        return CliRunner().invoke(app, [*arguments, "--port", str(session.port)], prog_name="pywrangler")

    return call


@pytest.fixture
def alone():
    """Run a command as it is typed."""
    return lambda *arguments: CliRunner().invoke(app, list(arguments), prog_name="pywrangler")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    """Times are shown in UTC, and nothing of the machine's terminal is seen."""
    for name in ("NO_COLOR", "CI", "FORCE_COLOR", "GITHUB_ACTIONS", "PYWRANGLER_DEBUG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    os.environ.pop("TZ", None)
    time.tzset()
