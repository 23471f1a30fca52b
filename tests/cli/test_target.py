"""A command finds its session, or the stored state, by itself."""

import os
import shutil
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.cli.recorded import WORKFLOW
from wrangler_py import config as configuration
from wrangler_py.cli.templates import find_template
from wrangler_py.runtime.sessions import DEFAULT_STATE, Session, SessionFile, StateLock, state_directory
from wrangler_py.server import cold

QUEUED = {"id": "i", "status": "queued", "steps": []}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project that the test stands in."""
    folder = tmp_path / "my-app"
    shutil.copytree(find_template("workflows-starter").path, folder)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def stored(monkeypatch):
    """Let commands without a session meet an app that answers everything alike; yield where they looked."""
    looked = []

    async def answer(request):
        is_list = request.url.path.endswith(("/workflows", "/instances")) and request.method == "GET"
        return JSONResponse({"success": True, "result": [WORKFLOW] if is_list else QUEUED})

    @asynccontextmanager
    async def cold_app(config, state_dir):
        looked.append((config.name, config.env_name, state_dir))
        yield Starlette(routes=[Route("/{rest:path}", answer, methods=["GET", "POST"])])

    monkeypatch.setattr(cold, "cold_app", cold_app)
    return looked


@pytest.fixture
def running(project, session):
    """The recorded session, published as that of the project."""
    state = project / DEFAULT_STATE
    lock, published = StateLock(state), SessionFile(state)
    lock.acquire()
    url = f"http://127.0.0.1:{session.port}"
    published.write(Session(url, session.port, os.getpid(), 0, str(state)))
    yield session
    published.remove()
    lock.release()


def test_the_session_of_the_project_is_found_from_any_folder_in_it(alone, running, project, monkeypatch):
    running.answer("GET ", [WORKFLOW])
    monkeypatch.chdir(project / "src")
    assert alone("workflows", "list").stdout.startswith("Showing last 1 workflow:")


def test_the_session_is_found_while_the_configuration_is_broken(alone, running, project):
    running.answer("GET ", [WORKFLOW])
    (project / "wrangler.toml").write_text("name = [")
    assert alone("workflows", "list").exit_code == 0


def test_cwd_and_config_name_the_project(alone, running, project, tmp_path, monkeypatch):
    running.answer("GET ", [WORKFLOW])
    monkeypatch.chdir(tmp_path)
    assert alone("workflows", "list", "--config", "my-app/wrangler.toml").exit_code == 0
    assert alone("workflows", "list", "--cwd", str(project)).exit_code == 0


def test_without_a_session_the_stored_state_answers(alone, project, stored):
    assert alone("workflows", "list").stdout.startswith("Showing last 1 workflow:")
    config = configuration.load(project / "wrangler.toml").config
    assert stored == [("my-worker", None, state_directory(config, None))]


def test_persist_to_chooses_the_stored_state(alone, project, stored, tmp_path):
    alone("workflows", "list", "--persist-to", str(tmp_path / "other"))
    assert stored[0][2] == tmp_path / "other"


def test_a_trigger_into_stored_state_says_who_will_run_it(alone, project, stored):
    assert alone("workflows", "trigger", "wf").stdout.splitlines() == [
        '🚀 Workflow instance "i" has been queued successfully',
        "No session is running, so it is stored as queued: `pywrangler dev` runs it.",
    ]


def test_watching_what_nobody_runs_shows_it_and_ends(alone, project, stored):
    result = alone("workflows", "instances", "watch", "wf", "i")
    assert result.exit_code == 1
    assert result.stdout == "wf i  ⌛ Queued\n"
    assert 'No session is running, so instance "i" stays queued.' in result.stderr


def test_outside_a_project_a_command_says_what_to_do(alone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = alone("workflows", "list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        f"✘ [ERROR] No wrangler.toml, wrangler.jsonc or wrangler.json in {tmp_path}"
    )
    assert "pywrangler init my-app" in result.stderr


def test_a_broken_configuration_is_told_with_its_place(alone, project):
    (project / "wrangler.toml").write_text("name = [")
    result = alone("workflows", "list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "wrangler.toml" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_directory_that_is_not_there_is_told(alone, tmp_path):
    result = alone("workflows", "list", "--cwd", str(tmp_path / "nowhere"))
    assert result.exit_code == 1
    assert "Cannot work in" in result.stderr
