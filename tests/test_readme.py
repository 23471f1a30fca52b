"""What the README shows is true: its tour is run as written, its workflows, configuration and tables are tried."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import wrangler_py
from tests.runtime.conftest import DEADLINE, Dev, eventually, is_running
from tests.support.world import in_world
from wrangler_py import config
from wrangler_py.cli.templates import templates
from wrangler_py.engine import Status, limits
from wrangler_py.sdk.imports import install, uninstall
from wrangler_py.sdk.workers import WorkflowEntrypoint

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = (sys.executable, "-c", "from wrangler_py.cli import main; main()")
GROUPS = ("dev", "serve", "deploy", "init", "types", "pages dev", "workflows trigger", "kv key get", "d1 execute",
          "d1 migrations apply", "r2 object get")  # fmt: skip
INSTANCE_COMMANDS = ("terminate", "watch", "restart", "send-event")
KILLED = "the session is killed"
#: Blocks of these languages are files, if a comment above them names one.
FILES = frozenset({"python", "toml", "sql"})


# reading the README --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the HTML comment that stands on the line above it."""

    language: str
    text: str
    note: str = ""


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks and, as blocks without a language, the comments that stand alone."""
    pattern = (
        r"(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$|<!-- (?P<alone>[^\n]*) -->"
    )
    return [
        Block(found["language"] or "", found["text"] or "", found["note"] or found["alone"] or "")
        for found in re.finditer(pattern, text, re.MULTILINE | re.DOTALL)
    ]


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


# comparing shapes ----------------------------------------------------------------------------------------------------

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PLACEHOLDERS = (
    (re.compile(r"\d\d?/\d\d?/\d{4}, \d\d?:\d\d:\d\d [AP]M"), "<date>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<instant>"),
    (UUID, "<uuid>"),
    (re.compile(r"\b[\d.]+ (?:ms|s|min|h|seconds?|minutes?|hours?)\b"), "<duration>"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "<url>"),
    (re.compile(r" in /\S+/(?:my-app|guests) "), " in <folder> "),
    # Columns are as wide as what stands in them.
    (re.compile(r"─+"), "─"),
    (re.compile(r"(?<=\S)  +"), " "),
)


def shape(text: str) -> list[str]:
    """Return the lines of a text without what is different on every run."""
    for pattern, placeholder in PLACEHOLDERS:
        text = pattern.sub(placeholder, text)
    return text.rstrip("\n").split("\n")


def ends(lines: list[str]) -> list[str]:
    """Keep of the lines that `watch` prints the last one of each step, and how the instance ended."""
    last: dict[str, str] = {}
    for line in lines:
        name = line.strip().partition("-1 ")[0] if line.startswith("  ") else "instance"
        last.pop(name, None)
        last[name] = line
    return list(last.values())


# walking the tour ----------------------------------------------------------------------------------------------------


@dataclass
class Tour:
    """One walk through the tour: the folder it has come to, its session, and what ids of the README stand for."""

    root: Path
    session: Dev | None = None
    ids: dict[str, str] = field(default_factory=dict)
    #: Position in the session's output behind what was shown before.
    seen: int = 0

    @property
    def state(self) -> Path:
        return self.root / ".wrangler" / "state"

    def take(self, block: Block) -> None:
        if block.note == KILLED:
            self.kill()
        elif block.language == "console":
            for command, output in commands(block.text):
                self.run(command, output)
        elif block.language in FILES and block.note:
            path = self.root / block.note
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "text":
            self.expect_of_session(block.text)

    def run(self, command: str, output: str) -> None:
        words = shlex.split(self._translated(command))
        if words[0] == "cd":
            self.root /= words[1]
        elif words == ["pywrangler", "dev"]:
            self._start(output)
        elif words[0] == "curl":
            self._expect(lambda: _get(words[-1]), output, command)
        else:
            self._expect(lambda: self._run(words), output, command)

    def _translated(self, command: str) -> str:
        for shown, real in self.ids.items():
            command = command.replace(shown, real)
        return command.replace("127.0.0.1:8787", f"127.0.0.1:{self.session.port}" if self.session else "")

    def _run(self, words: list[str]) -> str:
        assert words[0] == "pywrangler"
        done = subprocess.run(
            [*COMMAND, *words[1:]],
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        # What only looks may come too early: then it is what it says that differs, and it looks again.
        assert done.returncode == 0 or _only_looks(" ".join(words)), done.stderr
        return done.stdout + done.stderr

    def _expect(self, ask: Callable[[], str], output: str, command: str) -> None:
        """Run a command; one that only looks may look again, until instances have come as far as is shown."""
        wanted = _comparable(command, output)
        text = ask()
        ends_at = time.monotonic() + DEADLINE
        while _comparable(command, text) != wanted and _only_looks(command) and time.monotonic() < ends_at:
            text = ask()
        assert _comparable(command, text) == wanted, command
        if len(UUID.findall(output)) == len(UUID.findall(text)):
            self.ids |= zip(UUID.findall(output), UUID.findall(text), strict=True)

    def _start(self, output: str) -> None:
        assert self.session is None
        self.session = Dev(self)  # type: ignore[arg-type] - it asks for a root and a state
        self.session.ready()
        self.seen = len(self.session.output)
        assert shape(self.session.output)[: len(shape(output))] == shape(output)

    def expect_of_session(self, text: str) -> None:
        """Wait until the session has said each line, in this order."""
        assert self.session is not None
        for line in text.splitlines():
            pattern = re.escape(line)
            pattern = re.sub(r"\d+\\ m?s", r"[\\d.]+ m?s", pattern)
            self.seen = self.session.wait_for(pattern, after=self.seen).end()

    def kill(self) -> None:
        """As `kill -9` of the supervisor; the worker notices and ends too."""
        assert self.session is not None
        session, self.session = self.session, None
        worker = session.worker_pid
        session.stop(signal.SIGKILL)
        eventually(lambda: not is_running(worker), "the end of the worker")


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
        return answer.read().decode()


def _only_looks(command: str) -> bool:
    return any(part in command for part in (" list", " describe", "instanceId=", " get ", "SELECT"))


def _comparable(command: str, text: str) -> list[str]:
    lines = shape(text)
    return ends(lines)[-5:] if " watch " in command else lines


@pytest.fixture
def tour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tour]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    walk = Tour(tmp_path)
    yield walk
    if walk.session is not None and walk.session.process.poll() is None:
        walk.session.process.kill()
        walk.session.wait()


def test_the_tour_runs_as_it_is_shown(tour: Tour) -> None:
    shown = blocks(section("Tour"))
    assert len(shown) > 10
    for block in shown:
        tour.take(block)
    assert tour.session is not None
    assert tour.session.stop() == 128 + signal.SIGTERM
    assert tour.session.output.count('step "charge"') == 0, "the card was charged again"


def test_the_guest_book_runs_as_it_is_shown(tour: Tour) -> None:
    for block in blocks(section("Bindings")):
        tour.take(block)
    assert tour.session is not None
    assert tour.session.stop() == 128 + signal.SIGTERM


def test_every_template_is_in_the_table() -> None:
    assert re.findall(r"^\| `([\w-]+)` \|", section("Templates"), re.MULTILINE) == sorted(
        (one.name for one in templates()), key=section("Templates").index
    )


# workflows -----------------------------------------------------------------------------------------------------------

#: What each workflow of the README ends with, and the events it gets.
OUTPUTS: dict[str, Any] = {
    "Report": {"sum": 6, "attempt": 3},
    "Trip": {"total": 420},
    "Approval": {"by": "Ada", "then": "WorkflowTimeoutError: Execution timed out after 3600000ms"},
    "Checkout": [
        "the card has expired",
        "ValueError: invalid literal for int() with base 10: 'many'",
    ],
    "Export": 10_000_000,
    "Short": ["hello a", "hello b"],
}
#: What fails, with its error, and what its rollbacks say.
FAILURES = {"Order": ("the card has expired", "seat 12A is free again: the card has expired\n")}
EVENTS = {"Approval": ("approval", {"by": "Ada"})}


def execute(code: str) -> dict[str, Any]:
    """Run the code of a block and return the names it makes."""
    names: dict[str, Any] = {}
    install()
    try:
        exec(compile(code, "README.md", "exec"), names)
    finally:
        uninstall()
    return names


def workflows() -> dict[str, type]:
    """Return the workflow classes of the README's section about writing them."""
    found: dict[str, type] = {}
    for block in blocks(section("Writing a workflow")):
        if block.language == "python":
            names = execute(block.text)
            found |= {
                name: value
                for name, value in names.items()
                if isinstance(value, type)
                and issubclass(value, WorkflowEntrypoint)
                and value is not WorkflowEntrypoint
            }
    return found


def test_every_workflow_of_the_readme_has_its_output_here() -> None:
    assert workflows().keys() == OUTPUTS.keys() | FAILURES.keys()


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_workflow_of_the_readme_ends_with_its_output(tmp_path: Path, name: str) -> None:
    made = workflows()[name]

    async def run(event: Any, step: Any) -> Any:
        return await made(None, None).run(event, step)

    async def body(world: Any) -> Any:
        await world.define(run)
        instance = await world.engine.create("w")
        if name in EVENTS:
            await world.engine.send_event("w", instance.id, *EVENTS[name])
        ended = await world.finish(instance)
        return ended, await world.engine.detail("w", instance.id)

    ended, detail = in_world(tmp_path, body)
    assert (ended.status, ended.error, detail.output) == (Status.COMPLETE, None, OUTPUTS[name])
    assert detail.warnings == []


@pytest.mark.parametrize("name", FAILURES)
def test_a_workflow_of_the_readme_fails_and_undoes_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    made = workflows()[name]
    message, said = FAILURES[name]

    async def body(world: Any) -> Any:
        await world.define(lambda event, step: made(None, None).run(event, step))
        return await world.finish(await world.engine.create("w"))

    ended = in_world(tmp_path, body)
    assert (ended.status, ended.error.message) == (Status.ERRORED, message)
    assert capsys.readouterr().out == said


# configuration, tables, files ----------------------------------------------------------------------------------------


def toml() -> str:
    (block,) = [block for block in blocks(section("Configuration")) if block.language == "toml"]
    return block.text


@pytest.mark.parametrize("env", [None, *tomllib.loads(toml())["env"]])
def test_the_configuration_shown_has_no_mistakes(tmp_path: Path, env: str | None) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "entry.py").touch()
    path = tmp_path / "wrangler.toml"
    path.write_text(toml())
    loaded = config.load(path, env=env)
    assert loaded.diagnostics.items == []
    assert loaded.config is not None


def test_the_table_of_keys_explains_every_key_that_is_shown() -> None:
    table = set(
        re.findall(
            r"`([\w.]+)`", "".join(re.findall(r"^\| (`.*?) \|", section("Configuration"), re.MULTILINE))
        )
    )
    shown = tomllib.loads(toml())
    top = {key for key in shown if not isinstance(shown[key], dict | list)} | {"vars", "env.NAME"}
    nested = {f"{key}.{inner}" for key in ("dev", "limits", "triggers") for inner in shown[key]}
    workflow = {"workflows.name", "workflows.binding", "workflows.class_name"}
    assert top | nested | workflow <= table


def test_the_table_of_limits_shows_the_limits_there_are() -> None:
    paid, free = limits.PLANS["paid"], limits.PLANS["free"]
    day_ms = 24 * 60 * 60 * 1000
    table = section("Limits")
    for row in (
        f"| result of a step | {limits.MAX_VALUE_BYTES >> 20} MiB |",
        f"| {paid.state_bytes >> 30} GiB (paid), {free.state_bytes // 1_000_000} MB (free) |",
        f"| {limits.DEFAULT_STEPS}; up to {limits.MAX_STEPS} with",
        f"| sleep | {limits.MAX_SLEEP_MS // day_ms} days |",
        f"| {limits.MAX_ID_LENGTH}, {limits.MAX_STEP_NAME} characters |",
        f"| instances in a batch | {limits.MAX_BATCH} |",
        f"{free.daily} (free), only with `--enforce-limits` |",
        f"| {paid.concurrency} (paid), {free.concurrency} (free) |",
        f"| {paid.queued} (paid), {free.queued} (free) |",
    ):
        assert row in table


def test_the_eight_files_exist() -> None:
    files = re.findall(r"^\d\. `([^`]+)`", section("How it works"), re.MULTILINE)
    assert len(files) == 8
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_every_option_named_is_an_option_of_a_command() -> None:
    groups = ("", *GROUPS, *(f"workflows instances {name}" for name in INSTANCE_COMMANDS))
    helps = [
        subprocess.run(
            [*COMMAND, *group.split(), "--help"],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=True,
            env={**os.environ, "COLUMNS": "200"},
        ).stdout
        for group in groups
    ]
    options = r"(?<![\w<!-])--[a-z][a-z-]+"
    assert set(re.findall(options, README)) <= set(re.findall(options, "".join(helps)))


def test_links_inside_the_readme_lead_somewhere() -> None:
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", README, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= titles


def test_there_is_one_test_command() -> None:
    assert [block.text for block in blocks(README) if block.note == "test command"] == ["python -m pytest\n"]


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    newest = re.search(
        r"^## \[([^\]]+)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert newest[1] == wrangler_py.__version__ == project["version"]
