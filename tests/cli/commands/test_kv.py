"""`pywrangler kv key ...`: wrangler's words and flags, over stored state, beside a session and without one."""

import asyncio
import json
import subprocess

import pytest

from tests.runtime.conftest import Project
from tests.support.session import COMMAND, place
from wrangler_py.bindings.kv.namespace import KvNamespace
from wrangler_py.clock import SystemClock
from wrangler_py.storage.kv import KvStore

CONFIG = """
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[kv_namespaces]]
binding = "MY_KV"
id = "abc"
"""
ENTRY = """
from urllib.parse import urlsplit
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        key = urlsplit(request.url).path[1:]
        if request.method == "PUT":
            await self.env.MY_KV.put(key, await request.bytes())
        return Response(await self.env.MY_KV.get(key) or "none")
"""


@pytest.fixture
def run(alone, tmp_path, monkeypatch):
    """Runs a command that is to succeed, in a project; returns its output."""
    project = Project(tmp_path)
    project.write("wrangler.toml", CONFIG)
    project.write("src/entry.py", ENTRY)
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        result = alone("kv", "key", *arguments, "--binding", "MY_KV")
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout

    return run


def test_put_get_list_and_delete(run):
    assert (
        run("put", "greeting", "hello") == 'Writing the value "hello" to key "greeting" on namespace abc.\n'
    )
    assert run("get", "greeting") == "hello"
    assert run("get", "greeting", "--text") == "hello\n"
    assert run("list") == '[\n  {\n    "name": "greeting"\n  }\n]\n'
    assert run("delete", "greeting") == 'Deleting the key "greeting" on namespace abc.\n'
    assert run("list") == "[]\n"


def test_put_takes_bytes_from_a_file_and_get_writes_them_unchanged(run, tmp_path):
    data = bytes(range(256)) * 5000
    (tmp_path / "data.bin").write_bytes(data)
    assert run("put", "data", "--path", "data.bin") == (
        'Writing the contents of data.bin to the key "data" on namespace abc.\n'
    )
    command = [*COMMAND, "kv", "key", "get", "data", "--namespace-id", "abc"]
    assert subprocess.run(command, capture_output=True, check=True, cwd=tmp_path).stdout == data


def test_list_shows_metadata_and_expiration_and_keeps_to_a_prefix(run):
    run("put", "a/1", "", "--metadata", '{"by": "hand"}', "--expiration", "4000000000")
    run("put", "b/1", "x")
    assert json.loads(run("list", "--prefix", "a/", "--json")) == [
        {"name": "a/1", "expiration": 4000000000, "metadata": {"by": "hand"}}
    ]


def test_list_shows_every_page(run, tmp_path):
    async def fill():
        store = KvStore(tmp_path / ".wrangler/state/kv/abc.sqlite")
        entries = KvNamespace("abc", store, SystemClock())
        for number in range(1100):
            await entries.put(f"{number:04}", "v")
        store.close()

    asyncio.run(fill())
    assert [one["name"] for one in json.loads(run("list"))] == [f"{number:04}" for number in range(1100)]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["get", "none"], 1, "Value not found"),
        (
            ["put", "k", "v", "--ttl", "30"],
            1,
            "Invalid expiration_ttl of 30. Expiration TTL must be at least 60.",
        ),
        (["put", "", "v"], 1, "Key name cannot be empty."),
        (["put", "k", "--path", "none.bin"], 1, "Cannot read none.bin: No such file or directory."),
        (["put", "k", "v", "--metadata", "{"], 1, 'Error while parsing metadata: "{"'),
        (["put", "k"], 2, "Exactly one of the arguments value and path is required"),
        (["put", "k", "v", "--path", "f"], 2, "Arguments value and path are mutually exclusive"),
        (
            ["get", "k", "--namespace-id", "abc"],
            2,
            "Arguments binding and namespace-id are mutually exclusive",
        ),
    ],
)
def test_what_the_user_can_mend_is_said_without_a_traceback(run, arguments, code, message):
    said = run(*arguments, code=code)
    assert message in " ".join(said.replace("│", " ").split())
    assert "Traceback" not in said


def test_a_mistyped_binding_is_answered_with_the_nearest(alone, run):
    result = alone("kv", "key", "list", "--binding", "MY_KW")
    assert result.exit_code == 1
    assert "There is no KV namespace bound as 'MY_KW'" in result.stderr
    assert "Did you mean 'MY_KV'?" in result.stderr


def test_commands_and_a_running_worker_see_each_others_entries(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with place(tmp_path / "project") as where:
        where.has(CONFIG, ENTRY)
        session = where.dev().ready()
        assert session.get("/from-command")[1] == "none"
        where.command("kv", "key", "put", "from-command", "yes", "--binding", "MY_KV")
        assert session.get("/from-command")[1] == "yes"
        assert session.get("/from-worker", "PUT", "there")[1] == "there"
        assert where.command("kv", "key", "get", "from-worker", "--binding", "MY_KV").stdout == "there"
