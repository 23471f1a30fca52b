"""Every template: what `pywrangler init` makes of it works as it is, and its README tells the truth."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime import conftest
from tests.support.session import COMMAND, Place, place
from wrangler_py.cli.app import LazyGroup, app
from wrangler_py.cli.templates import PLACEHOLDER, templates

#: A block of commands, and a row of the table "What is where", in a README.
BLOCK = re.compile(r"```sh\n(.*?)\n```\n", re.DOTALL)
ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
#: What stands in a README for what only its reader knows.
UNKNOWN = re.compile(r"<[^>]+>")
#: Words of a configuration under which something has a name that commands take.
NAMED = {
    "workflows": "name",
    "d1_databases": "database_name",
    "kv_namespaces": "id",
    "r2_buckets": "bucket_name",
}

pytestmark = pytest.mark.parametrize("template", templates(), ids=lambda template: template.name)


@pytest.fixture
def new(template, tmp_path, monkeypatch) -> Iterator[Place]:
    """A new project of the template, made by the command; its sessions are gone afterwards."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    done = run(tmp_path, *COMMAND, "init", "my-app", "--template", template.name)
    assert (done.returncode, done.stderr) == (0, "")
    project = conftest.Project.__new__(conftest.Project)
    project.root = tmp_path / "my-app"
    with place(tmp_path / "other") as where:
        where.project = project
        yield where


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)


def readme(new) -> str:
    return (new.project.root / "README.md").read_text()


def commands(text: str) -> list[list[str]]:
    """Return the words of each `pywrangler` command of a README."""
    lines = [
        part for block in BLOCK.findall(text) for line in block.splitlines() for part in line.split(" && ")
    ]
    split = (shlex.split(UNKNOWN.sub("something", line)) for line in lines)
    return [words[1:] for words in split if words[:1] == ["pywrangler"]]


def command_of(words: list[str]) -> tuple[list[str], Any]:
    """Walk the tree of commands; return the words that are left, and the command."""
    import typer

    found, rest = typer.main.get_command(app), list(words)
    while isinstance(found, LazyGroup):
        assert rest, f"pywrangler {' '.join(words)} is a group of commands"
        found = found.get_command(None, rest.pop(0))
    assert found is not None, f"there is no command pywrangler {' '.join(words)}"
    return rest, found


def names_in(folder: Path) -> set[str]:
    """Return what the configurations of a project give names to."""
    found: set[str] = set()
    for path in folder.rglob("wrangler.toml"):
        document = tomllib.loads(path.read_text())
        for kind, key in NAMED.items():
            for one in document.get(kind, []):
                found |= {one["binding"], one[key]}
        queues = document.get("queues", {})
        found |= {one["queue"] for one in (*queues.get("producers", []), *queues.get("consumers", []))}
    return found


def test_the_project_has_its_own_name_everywhere(new):
    files = [path for path in new.project.root.rglob("*") if path.is_file()]
    assert not [path for path in files if PLACEHOLDER.encode() in path.read_bytes()]
    assert tomllib.loads((new.project.root / "wrangler.toml").read_text())["name"] == "my-app"
    assert readme(new).startswith("# my-app\n")


def test_its_own_tests_pass_and_its_code_is_clean(new):
    root = new.project.root
    done = run(root, sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    done = run(
        root, sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "E4,E7,E9,F"
    )
    assert done.returncode == 0, done.stdout


def test_the_session_of_its_readme_is_ready_without_a_warning(new, template, monkeypatch):
    """What its README says to enter before: too, but for stand-ins, which may start later."""
    before = [line for step in template.first_steps() for line in step.commands]
    session = next(line for line in before if re.match(r"pywrangler (pages )?dev\b", line))
    for words in (
        shlex.split(line)[1:] for line in before[: before.index(session)] if line.startswith("pywrangler")
    ):
        done = new.command(*words)
        assert (done.returncode, done.stderr) == (0, ""), done
    words = shlex.split(session)[1:]
    monkeypatch.setattr(conftest, "COMMAND", (*COMMAND, *words, "--port", "0"))
    running = new.dev().ready()
    # Whatever it is that a visitor gets, it is an answer of the template's own.
    assert running.get("/")[0] < 500
    running.stop()
    told = [line for line in running.output.splitlines() if re.search("WARNING|ERROR|Traceback", line)]
    assert told == []


def test_every_file_its_readme_names_is_there(new):
    named = ROW.findall(readme(new).partition("## What is where\n")[2].partition("\n## ")[0])
    assert named
    assert [name for name in named if not (new.project.root / name).exists()] == []


def test_every_command_of_its_readme_is_one_and_has_those_options(new):
    found = commands(readme(new))
    assert found
    for words in found:
        rest, command = command_of(words)
        known = {
            name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in known]
        assert unknown == [], f"pywrangler {' '.join(words)}"


def test_what_commands_of_its_readme_name_is_configured(new):
    """The first word behind a command on workflows or resources is the name of one."""
    known = names_in(new.project.root)
    for words in commands(readme(new)):
        rest, _ = command_of(words)
        if words[0] in ("workflows", "d1", "queues") and rest and not rest[0].startswith("-"):
            assert rest[0] in known, f"pywrangler {' '.join(words)}"
