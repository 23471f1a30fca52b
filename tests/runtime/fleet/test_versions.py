"""Versions of a script over the API: uploaded without serving, changed without an upload, inherited from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import DEADLINE, eventually, is_running
from tests.support.serving import Server

ENTRY = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response.json(["{word}", {values}])
"""
WORKERS = "/client/v4/accounts/local/workers"
VALUES = {"PLAIN": "p", "MANY": [1], "SECRET": "s"}
BINDINGS = [
    {"name": "PLAIN", "type": "plain_text", "text": "p"},
    {"name": "MANY", "type": "json", "json": [1]},
    {"name": "SECRET", "type": "secret_text", "text": "s"},
]


class Shop:
    """A script on a server, uploaded as a client of its own would."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def send(self, method: str, path: str, **body: Any) -> httpx.Response:
        return httpx.request(
            method,
            f"http://127.0.0.1:{self.server.port}{WORKERS}/scripts/shop{path}",
            headers={"Authorization": f"Bearer {self.server.token}"},
            timeout=DEADLINE,
            **body,
        )

    def upload(self, word: str, method: str = "PUT", path: str = "", **metadata: Any) -> httpx.Response:
        values = ", ".join(f"getattr(self.env, {name!r}, None)" for name in VALUES)
        entry = ENTRY.format(word=word, values=values)
        found = {"main_module": "entry.py", "bindings": [], "compatibility_date": "2026-03-01", **metadata}
        parts = {"metadata": json.dumps(found), "entry.py": entry}
        files = [(name, (name, text.encode(), "text/x-python")) for name, text in parts.items()]
        return self.send(method, path, files=files)

    def result(self, answer: httpx.Response) -> Any:
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    @property
    def answer(self) -> list[Any]:
        return json.loads(self.server.get(host="shop.localhost")[1])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    server = Server(tmp_path / "server")
    found = Shop(server.start())
    found.result(found.upload("one", bindings=BINDINGS))
    yield found
    server.end()


def test_an_uploaded_version_serves_when_it_is_deployed(shop):
    children = len(shop.server.children)
    made = shop.result(shop.upload("two", "POST", "/versions"))
    assert shop.answer[0] == "one"
    eventually(lambda: len(shop.server.children) == children, "what was tried has ended")
    body = {"strategy": "percentage", "versions": [{"version_id": made["id"], "percentage": 100}]}
    shop.result(shop.send("POST", "/deployments", json=body))
    assert shop.answer[0] == "two"


def test_an_uploaded_version_that_cannot_start_is_none(shop):
    broken = shop.upload("two", "POST", "/versions", main_module="nothing.py")
    assert broken.status_code == 400
    assert len(shop.result(shop.send("GET", "/versions"))["items"]) == 1
    assert shop.answer[0] == "one"


def test_uploading_the_active_version_again_lets_it_serve(shop):
    pids = shop.server.children
    shop.result(shop.upload("one", "POST", "/versions", bindings=BINDINGS))
    assert shop.answer == ["one", *VALUES.values()]
    assert all(map(is_running, pids))


def test_a_version_of_a_script_that_is_not_there(shop):
    shop.result(shop.send("DELETE", ""))
    refused = shop.upload("one", "POST", "/versions")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (404, 10007)


@pytest.mark.parametrize(
    ("kept", "values"),
    [
        ([], [None, None, None]),
        (["secret_text"], [None, None, "s"]),
        (["plain_text", "json", "secret_text"], ["p", [1], "s"]),
    ],
)
def test_what_an_upload_keeps(shop, kept, values):
    shop.result(shop.upload("two", keep_bindings=kept))
    assert shop.answer == ["two", *values]


def test_what_an_upload_inherits(shop):
    renamed = {"name": "PLAIN", "type": "inherit", "old_name": "SECRET"}
    shop.result(shop.upload("two", bindings=[renamed, {"name": "MANY", "type": "inherit"}]))
    assert shop.answer == ["two", "s", [1], None]
    refused = shop.upload("three", bindings=[{"name": "NOTHING", "type": "inherit"}])
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, 10057)
    assert shop.answer[0] == "two"


def test_secrets_and_crons_are_changed_without_an_upload_and_survive_one(shop):
    shop.result(shop.send("PUT", "/secrets", json={"name": "SECRET", "text": "new", "type": "secret_text"}))
    crons = [{"cron": "0 0 * * *"}]
    shop.result(shop.send("PUT", "/schedules", json=crons))
    assert shop.answer == ["one", "p", [1], "new"]
    shop.result(shop.upload("two", keep_bindings=["secret_text"]))
    assert shop.answer == ["two", None, None, "new"]
    assert shop.result(shop.send("GET", "/schedules"))["schedules"] == crons
    names = shop.result(shop.send("GET", "/secrets"))
    assert names == [{"name": "SECRET", "type": "secret_text"}]
    shop.result(shop.send("DELETE", "/secrets/SECRET"))
    assert shop.answer == ["two", None, None, None]
    assert shop.send("DELETE", "/secrets/SECRET").status_code == 404
    assert shop.send("PUT", "/schedules", json=[{"cron": "every day"}]).status_code == 400
    assert shop.result(shop.send("GET", "/schedules"))["schedules"] == crons


def test_settings_name_secrets_and_do_not_tell_them(shop):
    bindings = shop.result(shop.send("GET", "/settings"))["bindings"]
    assert bindings == [
        *BINDINGS[:2],
        {"name": "SECRET", "type": "secret_text"},
    ]


@pytest.mark.parametrize(
    "metadata",
    [
        {"bindings": "all"},
        {"bindings": [1]},
        {"bindings": [{"name": ["a"], "type": "inherit"}]},
        {"bindings": [{"name": ["a"], "type": "plain_text", "text": "a"}]},
        {"keep_bindings": 5},
        {"keep_bindings": [[]]},
    ],
)
def test_metadata_of_the_wrong_shape_is_told(shop, metadata):
    refused = shop.upload("two", **metadata)
    assert refused.status_code == 400, refused.text
    assert "metadata" in refused.json()["errors"][0]["message"]
