"""The API over a stored state: commands work without a session, and nothing runs."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.server.session import REST, errors, result
from wrangler_py.config import load
from wrangler_py.errors import StateCorruptError
from wrangler_py.server.cold import cold_app

CONFIG = """
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[workflows]]
name = "w"
binding = "W"
class_name = "W"
"""


@pytest.fixture
def config(tmp_path):
    """A project whose code would fail if anything imported it."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "entry.py").write_text("raise SystemExit('imported')")
    (tmp_path / "wrangler.toml").write_text(CONFIG)
    loaded = load(tmp_path / "wrangler.toml")
    assert loaded.config is not None
    return loaded.config


def ask(config, state_dir, *requests):
    """Open the cold app, make the requests, close it; return the answers."""

    async def main():
        async with cold_app(config, state_dir) as app:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return [await client.request(method, path, **options) for method, path, options in requests]

    return asyncio.run(main())


def test_a_trigger_is_stored_as_queued_and_stays_so(tmp_path, config):
    state = tmp_path / "state"
    state.mkdir()
    (created,) = ask(config, state, ("POST", f"{REST}/workflows/w/instances", {"json": {"instance_id": "a"}}))
    assert result(created)["status"] == "queued"
    (found,) = ask(config, state, ("GET", f"{REST}/workflows/w/instances/latest", {}))
    assert (result(found)["id"], result(found)["status"]) == ("a", "queued")


def test_stored_workflows_are_found_without_a_configuration(tmp_path, config):
    state = tmp_path / "state"
    state.mkdir()
    ask(config, state, ("POST", f"{REST}/workflows/w/instances", {"json": {"instance_id": "a"}}))
    listed, ended = ask(
        None,
        state,
        ("GET", f"{REST}/workflows", {}),
        ("PATCH", f"{REST}/workflows/w/instances/a/status", {"json": {"status": "terminate"}}),
    )
    assert [item["name"] for item in result(listed, info=True)] == ["w"]
    assert result(ended)["status"] == "terminated"


def test_unknown_names_are_answered_as_in_a_session(tmp_path, config):
    (answer,) = ask(config, tmp_path, ("GET", f"{REST}/workflows/nope", {}))
    assert errors(answer) == [(10200, "workflows.api.error.workflow.not_found")]


def test_fetch_says_that_no_worker_runs(tmp_path, config, caplog):
    (answer,) = ask(config, tmp_path, ("GET", "/", {}))
    assert answer.status_code == 500
    assert "pywrangler dev" in answer.text


def test_a_state_that_cannot_be_used_says_so(tmp_path, config):
    (tmp_path / "workflows.sqlite").write_bytes(b"no database at all, but long enough to be read" * 50)
    with pytest.raises(StateCorruptError):
        ask(config, tmp_path)
