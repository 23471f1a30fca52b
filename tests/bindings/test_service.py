"""The service binding as user code sees it, and what the configuration makes of one."""

from __future__ import annotations

import asyncio

import pytest

from wrangler_py.bindings.registry import declared
from wrangler_py.bindings.resources import Target
from wrangler_py.bindings.service import ServiceBinding
from wrangler_py.config import load
from wrangler_py.sdk.workers import Request, Response

CONFIG = """
name = "shop"
main = "entry.py"

[[services]]
binding = "AUTH"
service = "auth"

[[services]]
binding = "STAGED"
service = "auth"
environment = "staging"
entrypoint = "Admin"
props = { tenant = "t1" }
"""


class Recorder:
    def __init__(self):
        self.calls = []

    async def call(self, script, target, method, args, kwargs):
        self.calls.append((script, target, method, args, kwargs))
        return "called"

    async def fetch(self, script, target, request):
        self.calls.append((script, target, str(request.method), request.url, request.headers.get("x-a")))
        return Response("fetched")


@pytest.fixture
def peers():
    return Recorder()


@pytest.fixture
def service(peers):
    return ServiceBinding(peers, "auth", Target("entrypoint"), "auth")


def test_the_banner_names_the_worker_and_the_entrypoint(tmp_path):
    (tmp_path / "entry.py").touch()
    (tmp_path / "wrangler.toml").write_text(CONFIG)
    found = [(one.name, one.kind, one.detail) for one in declared(load(tmp_path / "wrangler.toml").config)]
    assert found == [("AUTH", "Worker", "auth"), ("STAGED", "Worker", "auth-staging#Admin")]


def test_entrypoint_and_props_come_from_the_configuration(tmp_path, peers):
    (tmp_path / "entry.py").touch()
    (tmp_path / "wrangler.toml").write_text(CONFIG)
    *_, staged = declared(load(tmp_path / "wrangler.toml").config)
    binding = staged.make(type("On", (), {"peers": peers}))
    asyncio.run(binding.check("me", strict=True))
    target = Target("entrypoint", "Admin", props={"tenant": "t1"})
    assert peers.calls == [("auth-staging", target, "check", ("me",), {"strict": True})]


def test_every_public_name_is_a_method(service, peers):
    assert asyncio.run(service.check(1)) == "called"
    assert peers.calls[0][2] == "check"
    assert service.check.__name__ == "check"


@pytest.mark.parametrize("name", ["_private", "__len__", "__deepcopy__"])
def test_private_names_are_none(service, name):
    with pytest.raises(AttributeError, match=f"<service auth> has no method '{name}'"):
        getattr(service, name)
    assert not hasattr(service, name)


def test_fetch_takes_a_url_with_options_a_request_or_both(service, peers):
    async def run():
        await service.fetch("http://a.test/x", method="PUT", headers={"x-a": "1"})
        request = Request("http://a.test/y", headers={"x-a": "2"})
        await service.fetch(request)
        await service.fetch(request, method="DELETE")

    asyncio.run(run())
    assert [call[2:] for call in peers.calls] == [
        ("PUT", "http://a.test/x", "1"),
        ("GET", "http://a.test/y", "2"),
        ("DELETE", "http://a.test/y", "2"),
    ]


def test_fetch_wants_an_absolute_url(service, peers):
    with pytest.raises(TypeError, match="URL"):
        asyncio.run(service.fetch("/path"))
    assert peers.calls == []
