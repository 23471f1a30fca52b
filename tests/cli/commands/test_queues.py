"""`pywrangler queues ...` over stored state, beside a session and without one."""

import json

import pytest

from tests.runtime.conftest import Project
from tests.support.session import place

CONFIG = """
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[queues.producers]]
binding = "ORDERS"
queue = "orders"

[[queues.producers]]
binding = "SLOW"
queue = "slow"
delivery_delay = 600

[[queues.consumers]]
queue = "orders"
max_batch_timeout = 0
dead_letter_queue = "dead-orders"
"""
ENTRY = """
from workers import WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def queue(self, batch):
        for message in batch.messages:
            print("got", repr(message.body))
"""


@pytest.fixture
def run(alone, tmp_path, monkeypatch):
    """Runs a command that is to succeed, in a project; returns its output."""
    project = Project(tmp_path)
    project.write("wrangler.toml", CONFIG)
    project.write("src/entry.py", ENTRY)
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        result = alone("queues", *arguments)
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout

    return run


def counts(run, name):
    found = json.loads(run("info", name, "--json"))
    return {key: found[key] for key in ("messages", "waiting", "delayed", "in_flight")}


def test_the_queues_of_the_configuration_are_listed(run):
    listed = json.loads(run("list", "--json"))
    assert [one["queue"] for one in listed] == ["orders", "slow", "dead-orders"]
    assert listed[0] == {
        "queue": "orders",
        "producers": ["ORDERS"],
        "consumer": {
            "script": "my-app",
            "max_batch_size": 10,
            "max_batch_timeout": 0,
            "max_retries": 3,
            "max_concurrency": 1,
            "dead_letter_queue": "dead-orders",
            "retry_delay": 0,
        },
        "messages": 0,
        "waiting": 0,
        "delayed": 0,
        "in_flight": 0,
        "bytes": 0,
    }
    assert listed[2]["consumer"] is None
    shown = run("list")
    assert "│ orders      │ ORDERS    │ my-app   │ 0       │ 0       │ 0         │" in shown


def test_a_message_is_sent_without_a_session_and_counted(run):
    assert run("send", "orders", '{"n": 1}') == "Sent a message to Queue 'orders'\n"
    assert run("send", "orders", "hello", "--content-type", "text", "--delay", "60") == (
        "Sent a message to Queue 'orders', to be delivered in 60 s\n"
    )
    assert counts(run, "orders") == {"messages": 2, "waiting": 1, "delayed": 1, "in_flight": 0}
    assert "Messages:           2 (1 waiting, 1 delayed, 0 in flight), 12 bytes" in run("info", "orders")


def test_the_queues_own_delay_counts(run):
    run("send", "slow", "1")
    run("send", "slow", "2", "--delay", "0")
    assert counts(run, "slow") == {"messages": 2, "waiting": 1, "delayed": 1, "in_flight": 0}


def test_purge_asks_or_is_forced(run, monkeypatch):
    run("send", "slow", "1")
    assert "The --force flag is required" in run("purge", "slow", code=1)
    assert counts(run, "slow")["messages"] == 1
    assert run("purge", "slow", "--force") == "Purged Queue 'slow' (1 message)\n"
    assert counts(run, "slow")["messages"] == 0


@pytest.mark.parametrize(("typed", "code"), [("slow", 0), ("orders", 1)])
def test_purge_takes_the_name_for_an_answer(run, alone, monkeypatch, typed, code):
    from typer.testing import CliRunner

    from wrangler_py.cli.app import app

    run("send", "slow", "1")
    monkeypatch.setattr("wrangler_py.cli.commands.queues.purge._is_interactive", lambda: True)
    result = CliRunner().invoke(app, ["queues", "purge", "slow"], input=f"{typed}\n", prog_name="pywrangler")
    assert result.exit_code == code
    assert counts(run, "slow")["messages"] == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("info", "ordrs"), ".\n  Did you mean 'orders'? There are: orders, slow, dead-orders"),
        (("purge", "zzz", "--force"), "There is no queue 'zzz'.\n  There are: orders, slow, dead-orders"),
        (("send", "zzz", "1"), "There is no queue 'zzz'."),
        (("send", "orders", "{oops"), "Error while parsing BODY"),
        (("send", "orders", "x" * 128_001, "--content-type", "text"),
         "Queue send failed: message length of 128001 bytes exceeds limit of 128000"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_a_hint(run, arguments, message):
    error = run(*arguments, code=1)
    assert message in error
    assert "Traceback" not in error


def test_a_project_without_queues_says_so(run, tmp_path):
    (tmp_path / "wrangler.toml").write_text('name = "my-app"\nmain = "src/entry.py"\n')
    assert run("list") == ""
    assert "The configuration names none" in run("info", "x", code=1)


def test_a_running_session_delivers_what_a_command_sends(tmp_path):
    with place(tmp_path / "project") as found:
        found.has(CONFIG, ENTRY)
        session = found.dev().ready()
        done = found.command("queues", "send", "orders", '{"from": "outside"}')
        assert done.returncode == 0, done
        session.wait_for(r"got \{'from': 'outside'\}")
        session.wait_for(r"QUEUE orders 1/1")
