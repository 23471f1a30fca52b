"""`pywrangler deploy` to Cloudflare: a local server that answers its calls, and what it is sent."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from wrangler_py.sdk.web.forms import parse

ENTRY = "from workers import WorkflowEntrypoint\n"
CONFIG = {
    "name": "shop",
    "main": "src/entry.py",
    "compatibility_date": "2026-03-01",
    "account_id": "acc",
    "vars": {"A": "1", "B": [2]},
    "workflows": [
        {"name": "flow", "binding": "FLOW", "class_name": "Flow"},
        {"name": "theirs", "binding": "THEIRS", "class_name": "T", "script_name": "other"},
    ],
    "durable_objects": {"bindings": [{"name": "COUNT", "class_name": "Count"}]},
    "migrations": [
        {"tag": "v1", "new_sqlite_classes": ["Old"]},
        {"tag": "v2", "new_sqlite_classes": ["Count"]},
    ],
    "triggers": {"crons": ["0 6 * * *"]},
}
BASE = "/accounts/acc"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "entry.py").write_text(ENTRY)
    (tmp_path / "wrangler.json").write_text(json.dumps(CONFIG))
    monkeypatch.chdir(tmp_path)
    for name in ("PYWRANGLER_TARGET", "PYWRANGLER_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@dataclass
class Seen:
    call: str
    headers: dict[str, str]
    body: bytes


class StandIn:
    """Answers `METHOD path` with a result, as Cloudflare does, and keeps what it was sent."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.answers, self.refusals, self.requests, self.raw = {}, {}, [], None

    def refuse(self, call, status, code, message):
        self.refusals[call] = status, {"code": code, "message": message}

    def take(self, seen):
        self.requests.append(seen)
        if self.raw is not None:
            return self.raw
        if seen.call in self.refusals:
            status, error = self.refusals[seen.call]
            return status, json.dumps({"success": False, "errors": [error], "result": None}).encode()
        return 200, json.dumps({"success": True, "errors": [], "result": self.answers[seen.call]}).encode()


class Handler(BaseHTTPRequestHandler):
    def reply(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, answer = self.server.stand_in.take(Seen(f"{self.command} {self.path}", headers, body))
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = reply

    def log_message(self, *arguments):
        pass


@pytest.fixture
def stand_in():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.stand_in = StandIn(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.stand_in
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cloudflare(project, monkeypatch, stand_in):
    monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", stand_in.url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "cf-token")
    stand_in.answers = {
        f"GET {BASE}/workers/scripts": [{"id": "shop", "migration_tag": "v1"}],
        f"PUT {BASE}/workers/scripts/shop": {"id": "shop", "deployment_id": "ver-1"},
        f"PUT {BASE}/workflows/flow": {"id": "w"},
        f"PUT {BASE}/workers/scripts/shop/schedules": {"schedules": []},
        f"POST {BASE}/workers/scripts/shop/subdomain": {"enabled": True},
        f"GET {BASE}/workers/subdomain": {"subdomain": "me"},
    }
    return stand_in


def test_what_cloudflare_is_sent(alone, cloudflare):
    result = alone("deploy", "--target", "cloudflare", "--message", "m", "--var", "A:9")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [one.call for one in cloudflare.requests] == list(cloudflare.answers)
    assert {one.headers["authorization"] for one in cloudflare.requests} == {"Bearer cf-token"}
    upload = cloudflare.requests[1]
    form = parse(upload.body, upload.headers["content-type"])
    assert form.get("entry.py").content().decode() == ENTRY
    assert form.get("entry.py").content_type == "text/x-python"
    metadata = json.loads(form.get("metadata").content())
    assert metadata["main_module"] == "entry.py"
    assert metadata["migrations"] == {
        "old_tag": "v1", "new_tag": "v2", "steps": [{"new_sqlite_classes": ["Count"]}],
    }  # fmt: skip
    assert metadata["annotations"] == {"workers/message": "m"}
    assert "pywrangler" not in metadata
    assert {one["name"]: one["type"] for one in metadata["bindings"]} == {
        "A": "plain_text", "B": "json", "FLOW": "workflow", "THEIRS": "workflow", "COUNT": "durable_object_namespace",
    }  # fmt: skip
    assert [one["text"] for one in metadata["bindings"] if one["name"] == "A"] == ["9"]
    assert json.loads(cloudflare.requests[2].body) == {"script_name": "shop", "class_name": "Flow"}
    assert json.loads(cloudflare.requests[3].body) == [{"cron": "0 6 * * *"}]
    assert "  https://shop.me.workers.dev\n" in result.stdout
    assert result.stdout.endswith("Current Version ID: ver-1\n")


def test_a_refusal_of_cloudflare_is_told(alone, cloudflare):
    cloudflare.refuse(f"PUT {BASE}/workers/scripts/shop", 403, 10000, "Authentication error")
    result = alone("deploy", "--target", "cloudflare")
    assert result.exit_code == 1
    assert "✘ [ERROR] Authentication error\n" in result.stderr
    assert "CLOUDFLARE_API_TOKEN" in result.stderr
    assert "cf-token" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--target", "cloudflare"), "CLOUDFLARE_API_TOKEN must be set"),
        (("--target", "shop.example.com"), "is not a target"),
        (("--target", "http://127.0.0.1:9"), "Could not reach http://127.0.0.1:9"),
        (("--secrets-file", "missing"), "The secrets cannot be read"),
        (("--secrets-file", "wrangler.json"), "is not a JSON object of texts"),
    ],
)
def test_what_is_missing_is_told_without_a_traceback(alone, project, arguments, text):
    result = alone("deploy", *arguments)
    assert result.exit_code == 1
    assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_what_answers_and_is_no_server_of_ours(alone, project, stand_in):
    stand_in.raw = (200, b"<html>hello</html>")
    result = alone("deploy", "--target", stand_in.url)
    assert result.exit_code == 1
    assert "answered 200, and not as this API does" in result.stderr


@pytest.mark.parametrize("value", ["A", "1A:x", ":x"])
def test_a_variable_has_a_name_and_a_value(alone, project, value):
    assert alone("deploy", "--var", value).exit_code == 2


def test_a_bundle_may_not_be_larger_than_a_worker(alone, project, monkeypatch):
    monkeypatch.setattr("wrangler_py.cli.bundling.MAX_BYTES", 10)
    result = alone("deploy", "--dry-run")
    assert result.exit_code == 1
    assert "Its largest file is entry.py" in result.stderr


def test_tokens(alone, project):
    """The secret stands alone on standard output; a list never has it."""
    made = alone("tokens", "create", "laptop")
    secret = made.stdout.strip()
    assert secret.startswith("pywr_")
    assert secret not in made.stderr
    assert "already" in alone("tokens", "create", "laptop").stderr
    listed = alone("tokens", "list", "--json")
    assert [(one["name"], one["last_used_on"]) for one in json.loads(listed.stdout)] == [("laptop", None)]
    assert secret not in listed.stdout + alone("tokens", "list").stdout
    assert alone("tokens", "revoke", "laptop").exit_code == 0
    assert alone("tokens", "revoke", "laptop").exit_code == 1
    assert "There are no tokens" in alone("tokens", "list").stderr
