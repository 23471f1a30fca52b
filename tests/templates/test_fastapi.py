"""The template fastapi as a person runs it: orders over HTTP, an approval that survives a killed session."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator

import pytest

from tests.runtime.conftest import eventually
from tests.support.session import Place, place
from wrangler_py.cli.templates import create_project, find_template


@pytest.fixture
def project(tmp_path, monkeypatch) -> Iterator[Place]:
    """A new project of the template, whose sessions are gone afterwards."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with place(tmp_path / "my-app") as where:
        shutil.rmtree(where.project.root)
        create_project(find_template("fastapi"), where.project.root, "my-app")
        yield where


def ask(session, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", session.port, timeout=15)
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {"content-type": "application/json"})
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def test_an_order_waits_for_its_approval_across_a_killed_session(project):
    session = project.dev().ready()
    status, created = ask(session, "POST", "/orders", {"item": "book", "quantity": 2})
    assert status == 201
    path = f"/orders/{created['id']}"
    eventually(lambda: ask(session, "GET", path)[1]["status"] == "waiting", "the order waits")
    project.kill(session)
    session = project.dev().ready()
    assert ask(session, "POST", f"{path}/approval", {"approved": True})[0] == 202
    eventually(lambda: ask(session, "GET", path)[1]["status"] == "complete", "the order is complete")
    output = {"shipped": "parcel with 2 x book", "reason": None}
    assert ask(session, "GET", path)[1] == {"status": "complete", "output": output, "error": None}


def test_what_is_refused_or_not_there_is_told_and_nothing_is_created(project):
    session = project.dev().ready()
    assert ask(session, "POST", "/orders", {"item": "book", "quantity": 0})[0] == 422
    assert ask(session, "GET", "/orders/nothing") == (404, {"detail": "There is no order nothing"})
    assert project.stored("orders") == {}
    assert session.get("/docs")[0] == 200
