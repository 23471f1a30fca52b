"""The tree of commands: what there is, what its help says, and that it starts quickly."""

import subprocess
import sys
from pathlib import Path

import pytest

from wrangler_py import __version__
from wrangler_py.cli.app import InstancesGroup, RootGroup, WorkflowsGroup

WORKFLOWS = ("workflows",)
INSTANCES = ("workflows", "instances")
COMMANDS = [
    (),
    *((name,) for name in RootGroup.members if name != "dev"),
    *((*WORKFLOWS, name) for name in WorkflowsGroup.members if name != "instances"),
    INSTANCES,
    *((*INSTANCES, name) for name in InstancesGroup.members),
]
HEAVY = (
    *("httpx", "starlette", "uvicorn", "asyncio"),
    *(f"wrangler_py.{room}" for room in ("engine", "server", "storage", "bindings", "sdk")),
)
SNAPSHOT = Path(__file__).parent / "help.txt"


def test_the_commands_are_those_of_the_specification():
    assert list(RootGroup.members) == ["init", "dev", "workflows"]
    assert list(WorkflowsGroup.members) == ["list", "describe", "trigger", "delete", "instances"]
    assert set(InstancesGroup.members) == {
        "list", "describe", "watch", "send-event", "pause", "resume", "restart", "terminate", "delete",
    }  # fmt: skip


def test_the_help_of_every_command_is_the_snapshot(alone, monkeypatch):
    """To accept a change: delete tests/cli/help.txt, run this test, and read the difference."""
    monkeypatch.setenv("COLUMNS", "100")
    text = "".join(
        f"$ pywrangler {' '.join(command)} --help\n{_help(alone, command)}" for command in COMMANDS
    )
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


def _help(alone, command):
    result = alone(*command, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    return "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())


@pytest.mark.parametrize("command", [(), WORKFLOWS, INSTANCES])
def test_a_group_without_a_command_shows_its_help(alone, command):
    result = alone(*command)
    assert "Usage: pywrangler" in result.output
    assert result.exit_code in {0, 2}


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_the_version_is_that_of_the_package(alone, flag):
    assert alone(flag).stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    "words", [("workflow", "list"), ("workflow", "instance", "list"), ("workflows", "instance", "list")]
)
def test_wranglers_other_spellings_work_and_are_not_shown(alone, words):
    assert alone(*words, "--help").exit_code == 0
    assert "instance  " not in alone(*WORKFLOWS, "--help").stdout


def test_wranglers_local_flag_is_accepted(run, session):
    session.answer("GET ", [])
    assert run("workflows", "list", "--local").exit_code == 0


def test_a_command_imports_neither_the_server_nor_the_engine_nor_httpx(session):
    """Each of them costs more than the command may take (0.4 s in all)."""
    session.answer("GET ", [])
    script = (
        "import sys; from wrangler_py.cli import main\n"
        "try: main()\n"
        f"finally: print(*(name for name in sys.modules if name.startswith({HEAVY})))"
    )
    command = [sys.executable, "-c", script, "workflows", "list", "--json", "--port", str(session.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "[]\n\n"
