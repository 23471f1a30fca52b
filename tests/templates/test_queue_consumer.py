"""The template queue-consumer as a person runs it: a new project, a session, all real processes."""

from __future__ import annotations

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
        create_project(find_template("queue-consumer"), where.project.root, "my-app")
        where.project.replace("src/entry.py", '"10 seconds"', '"10 milliseconds"')
        where.project.replace("src/entry.py", "< 0.3", "< 0.0")
        yield where


def test_each_order_becomes_one_instance_and_completes(project):
    session = project.dev().ready()
    orders = [{"item": "book", "quantity": 2}, {"item": "pen", "quantity": 1}]
    assert session.get("/orders", "POST", json.dumps(orders)) == (202, '{"accepted": 2}')
    session.wait_for("QUEUE orders 2/2")
    eventually(lambda: list(project.stored("fulfil-order").values()) == ["complete"] * 2, "both complete")
    one = next(iter(project.stored("fulfil-order")))
    found = json.loads(session.get(f"/orders/{one}")[1])
    assert found["output"]["payment"] == f"payment-{one}"


def test_an_order_that_makes_no_sense_ends_as_a_dead_letter(project):
    project.project.replace("src/entry.py", "2**message.attempts", "0")
    project.project.replace("wrangler.toml", "max_batch_timeout = 2", "max_batch_timeout = 0")
    session = project.dev().ready()
    session.get("/orders", "POST", '{"item": "book", "quantity": 0}')
    session.wait_for("failed 4 times and went to the dead letter queue dead-orders")
    session.wait_for(r"order \w{32} was given up: \{'item': 'book', 'quantity': 0\}")
    session.wait_for("QUEUE dead-orders 1/1")
    assert project.stored("fulfil-order") == {}
