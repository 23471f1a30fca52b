"""The template dag as a person runs it: a new project, a session, the engine's own steps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.support.session import Place, detail, place, until
from wrangler_py.cli.templates import create_project, find_template


@pytest.fixture
def project(tmp_path, monkeypatch) -> Iterator[Place]:
    """A new project of the template, whose sessions are gone afterwards."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with place(tmp_path / "my-app") as where:
        shutil.rmtree(where.project.root)
        create_project(find_template("dag"), where.project.root, "my-app")
        where.project.replace("src/entry.py", "SLOW = 2", "SLOW = 0.1")
        yield where


def test_the_sides_of_the_diamond_overlap_and_every_city_has_a_letter(project):
    session = project.dev().ready()
    status, body = session.get("/")
    assert status == 201
    instance = json.loads(body)["id"]
    until(session, "complete", [("daily-report", instance)])
    found = detail(session, "daily-report", instance)
    steps = {step["name"]: step for step in found["steps"]}
    assert list(steps) == [
        "orders-1",
        "revenue-1",
        "stock-1",
        "report-1",
        "letter to berlin-1",
        "letter to lisbon-1",
        "letter to oslo-1",
    ]
    assert steps["stock-1"]["start"] < steps["revenue-1"]["end"]
    assert steps["revenue-1"]["start"] < steps["stock-1"]["end"]
    assert steps["report-1"]["start"] >= max(steps["revenue-1"]["end"], steps["stock-1"]["end"])
    assert found["output"]["letters"][2] == "Dear Oslo, you sold for 6.00 of 106.00."
    shown = json.loads(session.get(f"/?instanceId={instance}")[1])
    assert (shown["status"], shown["output"]) == ("complete", found["output"])
