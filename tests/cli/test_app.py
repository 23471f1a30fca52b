"""The tree of commands: what there is, what its help says, and that it starts quickly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from wrangler_py import __version__
from wrangler_py.cli.app import InstancesGroup, RootGroup, WorkflowsGroup, app

WORKFLOWS = ("workflows",)
INSTANCES = ("workflows", "instances")


def below(command, words=()):
    """Yield the words of a command, then of every command below it."""
    yield words
    for name in getattr(command, "members", ()):
        yield from below(command.get_command(None, name), (*words, name))


COMMANDS = list(below(get_command(app)))
HEAVY = (
    *("httpx", "starlette", "uvicorn", "asyncio"),
    *(f"wrangler_py.{room}" for room in ("engine", "server", "storage", "bindings", "sdk")),
)
SNAPSHOT = Path(__file__).parent / "help.txt"


def test_the_commands_are_those_of_the_specification():
    assert list(RootGroup.members) == [
        "init", "dev", "serve", "deploy", "rollback", "versions", "deployments", "tokens", "pages", "types",
        "workflows", "kv", "d1", "r2", "queues",
    ]  # fmt: skip
    assert list(WorkflowsGroup.members) == ["list", "describe", "trigger", "delete", "diagram", "instances"]
    assert set(InstancesGroup.members) == {
        "list", "describe", "watch", "send-event", "pause", "resume", "restart", "terminate", "terminate-all", "delete",
    }  # fmt: skip


def test_the_help_of_every_command_is_the_snapshot():
    """To accept a change: run the tests with ACCEPT_HELP=1, and read the difference of tests/cli/help.txt.

    The snapshot holds what the help says, not how Typer draws it, which changes with its version.
    """
    root = get_command(app)
    text = "\n".join(_described(root, command) for command in COMMANDS)
    if os.environ.get("ACCEPT_HELP"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


def _described(root, words):
    command = root
    for word in words:
        command = command.get_command(None, word)
    lines = [f"$ pywrangler {' '.join(words)}".rstrip(), *command.help.rstrip().splitlines()]
    lines += [f"  {name}" for name in getattr(command, "members", ())]
    lines += [f"  {_names(option)}: {option.help}" for option in command.params if not option.hidden]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _names(parameter):
    metavar = [parameter.metavar] if parameter.metavar else []
    return " ".join([*parameter.opts, *metavar]) if parameter.opts[0].startswith("-") else parameter.metavar


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_on_stdout_and_fits_80_columns(alone, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    result = alone(*command, "-h")
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"Usage: pywrangler {' '.join(command)}".rstrip() in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "…" not in result.stdout


@pytest.mark.parametrize("command", [(), WORKFLOWS, INSTANCES])
def test_a_group_without_a_command_shows_its_help(alone, command):
    result = alone(*command)
    assert "Usage: pywrangler" in result.output
    assert result.exit_code == 2


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


def test_every_argument_and_option_says_what_it_is():
    root = get_command(app)
    for words in COMMANDS:
        command = root
        for word in words:
            command = command.get_command(None, word)
        assert [one.name for one in command.params if not one.hidden and not one.help] == [], words
