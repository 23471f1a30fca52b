"""Several Workers in one session: they share its state and its terminal, and nothing of one disturbs another."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.conftest import DEADLINE, Dev, Project, eventually, is_running
from tests.support.session import Place
from wrangler_py.runtime.sessions import Session, find_session

API = "/client/v4/accounts/local/workflows"
CONFIG = """
name = "{name}"
main = "src/entry.py"
compatibility_date = "2026-03-01"
kv_namespaces = [{{ binding = "KV", id = "shared" }}]

[[workflows]]
name = "{name}-flow"
binding = "FLOW"
class_name = "Flow"

[vars]
WHO = "{name}"
"""
ENTRY = """
import asyncio, os
from workers import WorkerEntrypoint, WorkflowEntrypoint, Response

class Flow(WorkflowEntrypoint):
    async def run(self, event, step):
        who = self.env.WHO

        @step.do("first")
        async def first():
            with open("ran", "a") as file:
                file.write(f"{who} first\\n")
        await first()

        @step.do("second", config={"retries": {"limit": 10, "delay": 0}})
        async def second():
            with open("begun", "a") as file:
                file.write(f"{who}\\n")
            while not os.path.exists("go"):
                await asyncio.sleep(0.01)
            return who
        return await second()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        word = request.url.partition("?")[2]
        if word:
            await self.env.KV.put("word", word)
        return Response("one " + str(await self.env.KV.get("word")))
"""


class Pair:
    """Two projects side by side, ``shop`` and ``mailer``, and one session over both, in the folder of the first."""

    def __init__(self, root: Path) -> None:
        self.shop, self.mailer = Project(root / "shop"), Project(root / "mailer")
        for project in (self.shop, self.mailer):
            project.write("wrangler.toml", CONFIG.format(name=project.root.name))
            project.write("src/entry.py", ENTRY)
        self.session: Dev

    def start(self, *arguments: str, terminal: bool = False) -> Dev:
        config = ("-c", "wrangler.toml", "-c", "../mailer/wrangler.toml")
        self.session = Dev(self.shop, *config, *arguments, terminal=terminal)
        return self.session

    def ready(self, *arguments: str, terminal: bool = False) -> Dev:
        self.start(*arguments, terminal=terminal)
        self.session.wait_for(r"Ready on \S+ \(mailer\)")
        return self.session.ready()

    @property
    def record(self) -> Session:
        found = find_session(self.shop.state)
        assert found is not None
        return found

    def pid_of(self, name: str) -> int | None:
        return self.record.worker_pids.get(name)

    def get(
        self, name: str, path: str = "/", method: str = "GET", body: str | None = None
    ) -> tuple[int, str]:
        port = self.record.scripts[name].rpartition(":")[2]
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=DEADLINE)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def answers(self, name: str, text: str) -> None:
        eventually(lambda: self.get(name)[1] == text, f"{name} answers {text!r}")

    def trigger(self, name: str, instance_id: str = "i1") -> None:
        self.instance_created_through(name, name, instance_id)

    def instance_created_through(self, name: str, owner: str, instance_id: str = "i1") -> dict[str, Any]:
        """Create an instance of ``owner``'s workflow at the address of ``name``."""
        body = json.dumps({"instance_id": instance_id})
        status, answer = self.get(name, f"{API}/{owner}-flow/instances", "POST", body)
        assert status == 200, answer
        return json.loads(answer)["result"]

    def instance(self, name: str, instance_id: str = "i1") -> dict[str, Any]:
        return json.loads(self.get(name, f"{API}/{name}-flow/instances/{instance_id}")[1])["result"]

    def both_are_half_done(self) -> None:
        """Instances of both, in their second step."""
        for name in ("shop", "mailer"):
            self.trigger(name)
        eventually(lambda: sorted(self.lines("begun")) == ["mailer", "shop"], "both are in the second step")

    def both_complete(self) -> None:
        self.shop.write("go", "")
        for name in ("shop", "mailer"):
            eventually(lambda name=name: self.instance(name)["status"] == "complete", f"{name} completes")
            assert self.instance(name)["output"] == name
        assert sorted(self.lines("ran")) == ["mailer first", "shop first"]

    def lines(self, name: str) -> list[str]:
        path = self.shop.root / name
        return path.read_text().splitlines() if path.exists() else []

    def command(self, project: Project, *arguments: str) -> str:
        place = Place.__new__(Place)
        place.project = project
        done = place.command(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout


@pytest.fixture
def pair(tmp_path) -> Iterator[Pair]:
    found = Pair(tmp_path)
    yield found
    if hasattr(found, "session") and found.session.process.poll() is None:
        found.session.process.kill()
        found.session.wait()


def test_both_serve_and_the_banner_says_what_each_has_and_where(pair):
    session = pair.ready()
    record = pair.record
    assert record.url == record.scripts["shop"]
    assert session.get() == (200, "one None")
    assert pair.get("mailer") == (200, "one None")
    for name in ("shop", "mailer"):
        assert json.loads(pair.get(name, "/cdn-cgi/pywrangler/health")[1])["name"] == name
    banner = session.output[: session.output.index("(mailer)")]
    assert "Worker shop has access to the following bindings:\n  Binding" in banner
    assert 'env.WHO ("shop")' in banner
    assert "Worker mailer has access to the following bindings:\n  Binding" in banner
    assert 'env.WHO ("mailer")' in banner
    assert f"⎔ Ready on {record.scripts['shop']} (shop)\n⎔ Ready on {record.scripts['mailer']} " in banner
    state = [line for line in banner.splitlines() if "State in .wrangler/state" in line]
    assert len(state) == 1
    assert max(len(line) for line in banner.splitlines() if line not in state) <= 80


def test_lines_of_the_log_say_which_worker(pair):
    session = pair.ready()
    pair.get("mailer")
    session.wait_for(r"\[mailer\] GET / 200 OK")
    pair.trigger("shop")
    session.wait_for(r"\[shop\] ⎔ shop-flow i1 started")


def test_they_share_the_state_of_the_first(pair):
    pair.ready()
    assert pair.get("shop", "/?apple") == (200, "one apple")
    assert pair.get("mailer") == (200, "one apple")
    assert not pair.mailer.state.exists()


def test_what_is_saved_in_one_reloads_that_one_alone(pair):
    session = pair.ready()
    shop, mailer = pair.pid_of("shop"), pair.pid_of("mailer")
    pair.mailer.replace("src/entry.py", '"one "', '"two "')
    pair.answers("mailer", "two None")
    session.wait_for(r"\[mailer\] ⎔ Reloaded \(src/entry\.py changed\)")
    assert pair.get("shop") == (200, "one None")
    assert pair.pid_of("shop") == shop == session.worker_pid
    assert pair.pid_of("mailer") != mailer


def test_broken_code_in_one_does_not_disturb_the_other(pair):
    session = pair.ready()
    pair.mailer.write("src/entry.py", "def broken(:\n")
    session.wait_for(r"\[mailer\] ✘ \[ERROR\] .*SyntaxError")
    session.wait_for(r"\[mailer\]   The code from before this change goes on serving\.")
    assert [pair.get(name) for name in ("shop", "mailer")] == [(200, "one None")] * 2
    pair.shop.replace("src/entry.py", '"one "', '"two "')
    pair.answers("shop", "two None")


def test_a_worker_that_dies_is_restarted_alone(pair):
    session = pair.ready()
    shop, killed = pair.pid_of("shop"), pair.pid_of("mailer")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    session.wait_for(r"\[mailer\] ▲ \[WARNING\] The worker died \(signal SIGKILL\); starting it again")
    eventually(lambda: pair.pid_of("mailer") not in (None, killed), "another worker")
    assert pair.get("mailer") == (200, "one None")
    assert pair.pid_of("shop") == shop


@pytest.mark.parametrize("broken", ["shop", "mailer"])
def test_a_worker_that_cannot_even_load_leaves_the_other_alone_until_it_is_mended(pair, broken):
    project, other = (pair.shop, "mailer") if broken == "shop" else (pair.mailer, "shop")
    project.write("src/entry.py", "import os\nos._exit(3)\n")
    session = pair.start()
    session.wait_for(rf"Ready on \S+ \({other}\)")
    session.wait_for(rf"\[{broken}\]   Nothing serves until this is mended and saved\.")
    assert pair.get(other) == (200, "one None")
    assert list(pair.record.scripts) == [other]
    project.write("src/entry.py", ENTRY)
    session.wait_for(rf"Ready on \S+ \({broken}\)")
    assert pair.get(broken) == (200, "one None")


def test_a_session_of_which_nothing_can_be_loaded_ends(pair):
    for project in (pair.shop, pair.mailer):
        project.write("src/entry.py", "import os\nos._exit(3)\n")
    session = pair.start()
    session.process.wait(4 * DEADLINE)  # Six workers are started, one after the other.
    assert session.wait() == 1
    assert "Ready" not in session.output
    assert session.output.count("The worker died while it loaded your code (exit code 3).") == 6


def test_a_killed_session_leaves_nothing_behind_of_either(pair):
    """The first worker to drive frees what both held; none frees what its living sibling has begun again."""
    session = pair.ready()
    pair.both_are_half_done()
    workers = [pair.pid_of("shop"), pair.pid_of("mailer")]
    session.process.kill()
    session.wait()
    eventually(lambda: not any(map(is_running, workers)), "the workers of a killed session end")
    pair.ready()
    eventually(lambda: len(pair.lines("begun")) == 4, "both second steps are tried again")
    pair.both_complete()
    assert sorted(pair.lines("begun")) == ["mailer", "mailer", "shop", "shop"]


@pytest.mark.parametrize("name", ["shop", "mailer"])
def test_a_killed_worker_is_recovered_and_its_sibling_keeps_what_it_runs(pair, name):
    """The sibling's step in flight goes on, in its first attempt: its lease was not taken for a dead one."""
    pair.ready()
    pair.both_are_half_done()
    killed = pair.pid_of(name)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: len(pair.lines("begun")) == 3, "the second step is tried again")
    pair.both_complete()
    assert sorted(pair.lines("begun")) == sorted(["mailer", "shop", name])


def test_commands_find_the_session_from_the_folder_of_each(pair):
    pair.ready()
    pair.get("shop", "/?apple")
    pair.both_are_half_done()
    for project, name in ((pair.shop, "shop"), (pair.mailer, "mailer")):
        listed = pair.command(project, "workflows", "instances", "list", f"{name}-flow", "--json")
        assert [one["id"] for one in json.loads(listed)] == ["i1"]
        assert pair.command(project, "kv", "key", "get", "word", "--binding", "KV", "--text") == "apple\n"
        pair.command(project, "workflows", "instances", "terminate", f"{name}-flow", "i1")
        assert pair.instance(name)["status"] == "terminated"
    assert not pair.mailer.state.exists()
    pair.mailer.write("wrangler.toml", "name = [")
    assert "mailer-flow" in pair.command(pair.mailer, "workflows", "list")


def test_they_reach_each_other(pair):
    """A message for the other's queue; a request over a service binding."""
    sends = '[[queues.producers]]\nqueue = "letters"\nbinding = "LETTERS"\n'
    asks = '[[services]]\nservice = "mailer"\nbinding = "MAILER"\n'
    takes = '[[queues.consumers]]\nqueue = "letters"\nmax_batch_timeout = 0\n'
    pair.shop.write("wrangler.toml", f"{CONFIG.format(name='shop')}{sends}{asks}")
    pair.mailer.write("wrangler.toml", f"{CONFIG.format(name='mailer')}{takes}")
    pair.shop.replace(
        "src/entry.py",
        "        word =",
        """        await self.env.LETTERS.send("dear reader")
        return await self.env.MAILER.fetch("http://mailer/?pear")
        word =""",
    )
    handler = """
    async def queue(self, batch, env, ctx):
        print("got", [message.body for message in batch.messages])
"""
    pair.mailer.write("src/entry.py", f"{ENTRY.rstrip()}\n{handler}")
    session = pair.ready()
    assert pair.get("shop") == (200, "one pear")
    session.wait_for(r"\[mailer\] got \['dear reader'\]")


def test_either_worker_takes_commands_for_the_workflows_of_the_other(pair):
    """An instance is in the memory of the worker that runs it: a command that comes to another is passed on."""
    pair.ready()
    api = f"{API}/mailer-flow/instances"
    version = pair.instance_created_through("shop", "mailer")["version_id"]
    assert version == pair.instance_created_through("mailer", "mailer", "i2")["version_id"]
    eventually(lambda: pair.lines("begun") == ["mailer"] * 2, "both are in the second step")
    status, answer = pair.get("shop", f"{api}/i1/status", "PATCH", '{"status": "terminate"}')
    assert (status, json.loads(answer)["result"]["status"]) == (200, "terminated")
    assert pair.get("shop", f"{api}/i1/status", "PATCH", '{"status": "terminate"}')[0] == 409
    assert pair.get("shop", f"{api}/none/status", "PATCH", '{"status": "terminate"}')[0] == 404
    pair.command(pair.shop, "workflows", "instances", "delete", "mailer-flow", "i2")
    assert pair.get("mailer", f"{api}/i2")[0] == 404


def test_a_project_of_the_same_name_is_not_mistaken_for_the_one_that_runs(pair, tmp_path):
    """Projects made from one template are called alike: a command must not act on the wrong one's state."""
    pair.ready()
    pair.trigger("mailer")
    other = Project(tmp_path / "elsewhere")
    other.write("wrangler.toml", CONFIG.format(name="mailer"))
    listed = pair.command(other, "workflows", "instances", "list", "mailer-flow", "--json")
    assert json.loads(listed) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all(pair, number):
    session = pair.ready()
    workers = [pair.pid_of("shop"), pair.pid_of("mailer")]
    assert session.stop(number) == 128 + number
    assert not any(map(is_running, workers))
    assert find_session(pair.shop.state) is None
    assert "Traceback" not in session.output


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("mailer-flow", "shop-flow"), 'The workflow "shop-flow" is defined by two Workers'),
        (('name = "mailer"', 'name = "shop"'), 'Two Workers of this session are called "shop"'),
    ],
)
def test_a_clash_is_one_clear_line_before_anything_starts(pair, change, complaint):
    pair.mailer.replace("wrangler.toml", *change)
    session = pair.start()
    assert session.wait() == 1
    files = f"{pair.shop.root}/wrangler.toml and {pair.mailer.root}/wrangler.toml"
    assert f"✘ [ERROR] {complaint}: {files}." in session.output
    assert "Ready" not in session.output
    assert "Traceback" not in session.output
    assert not pair.shop.state.exists()


def test_a_clash_that_is_saved_is_shown_and_the_old_configuration_goes_on(pair):
    session = pair.ready()
    pair.mailer.replace("wrangler.toml", "mailer-flow", "shop-flow")
    session.wait_for(r'\[mailer\] ✘ \[ERROR\] The workflow "shop-flow" is defined by two Workers')
    session.wait_for(r"goes on serving")
    pair.mailer.replace("wrangler.toml", "shop-flow", "letters")
    session.wait_for(r"\[mailer\] ⎔ Reloaded \(wrangler\.toml changed\)")


def test_flags_are_for_all(pair, tmp_path):
    session = pair.ready("--var", "WHO:flag", "--persist-to", str(tmp_path / "state"), "--log-level", "warn")
    assert session.output.count('env.WHO ("flag")') == 2
    assert (tmp_path / "state" / "workflows.sqlite").exists()
    assert not pair.shop.state.exists()


def test_one_terminal_serves_the_debuggers_of_all_and_the_keys(pair):
    stop = ENTRY.replace("        word =", "        breakpoint()\n        word =")
    pair.mailer.write("src/entry.py", stop)
    session = pair.ready(terminal=True)
    port = int(pair.record.scripts["mailer"].rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request("GET", "/")
    session.wait_for(r"\(Pdb\) ")
    session.type("c\n")
    assert connection.getresponse().read() == b"one None"
    connection.close()
    session.wait_for(r"\[mailer\] GET / 200 OK")
    session.type("x")
    assert session.wait() == 0
