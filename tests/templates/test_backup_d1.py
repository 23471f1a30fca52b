"""The template backup-d1 as a person runs it: a new project, its stand-in, a session, all real processes."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.runtime.conftest import eventually
from tests.support.session import Place, place
from wrangler_py.cli.templates import create_project, find_template

WORKFLOW = "backup-workflow"


@contextmanager
def stand_in(project: Path, *options: str) -> Iterator[str]:
    """Run the project's API; give its URL."""
    command = [sys.executable, "-u", "stand_ins/d1_api.py", "--port", "0", "--failures", "0", *options]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


@pytest.fixture
def project(tmp_path, monkeypatch) -> Iterator[Place]:
    """A new project of the template, whose sessions are gone afterwards."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with place(tmp_path / "my-app") as where:
        shutil.rmtree(where.project.root)
        create_project(find_template("backup-d1"), where.project.root, "my-app")
        yield where


def finished(where: Place) -> dict[str, object]:
    def ended() -> object:
        found = json.loads(where.does("instances", "describe", WORKFLOW, "latest", "--json"))
        return found if found["status"] in {"complete", "errored"} else None

    found = eventually(ended, "the end of the backup", 40)
    assert isinstance(found, dict)
    return found


def test_cron_brings_a_dump_into_the_bucket(project):
    with stand_in(project.project.root, "--polls", "1") as api:
        session = project.dev("--var", f"D1_REST_API:{api}").ready()
        assert session.get("/cdn-cgi/handler/scheduled?cron=0+0+*+*+*")[0] == 200
        session.wait_for("Started workflow: ")
        found = finished(project)
    assert found["status"] == "complete", found
    dump = project.command("r2", "object", "get", f"d1-backups/{found['output']}", "--pipe").stdout
    database = sqlite3.connect(":memory:")
    database.executescript(dump)
    assert database.execute("SELECT count(*) FROM orders").fetchone() == (3,)
    database.close()


def test_a_session_that_is_killed_while_the_export_is_polled_goes_on_with_the_same_export(project):
    project.project.replace("src/entry.py", '"delay": "5 seconds"', '"delay": 300')
    with stand_in(project.project.root, "--polls", "15") as api:
        session = project.dev("--var", f"D1_REST_API:{api}").ready()
        project.does("trigger", WORKFLOW, '{"accountId": "a", "databaseId": "shop"}')

        def polled() -> bool:
            found = json.loads(project.does("instances", "describe", WORKFLOW, "latest", "--json"))
            return len(found["steps"]) == 2

        eventually(polled, "the second step")
        project.kill(session)
        project.dev("--var", f"D1_REST_API:{api}").ready()
        found = finished(project)
    assert found["status"] == "complete", found
    bookmark = found["steps"][0]["output"]
    assert found["output"] == f"shop-{bookmark[:8]}.sql"
    assert len(found["steps"][0]["attempts"]) == 1


def test_the_secret_is_where_git_does_not_take_it(project):
    root = project.project.root
    assert "D1_REST_API_TOKEN" in (root / ".dev.vars").read_text()
    assert ".dev.vars" in (root / ".gitignore").read_text().split()
