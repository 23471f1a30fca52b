"""npm `wrangler`, unmodified: every ``workflows`` command, with ``--local`` and with ``CLOUDFLARE_API_BASE_URL``."""

from __future__ import annotations

import json

import pytest

from tests.clients.npm import NEEDS_NPM, Wrangler
from tests.runtime.conftest import eventually

pytestmark = NEEDS_NPM


@pytest.fixture(params=["local", "remote"])
def wrangler(request, installed, dev, tmp_path) -> Wrangler:
    found = Wrangler(
        installed,
        dev.port,
        tmp_path,
        before=("workflows",),
        after=("--local", "--port", str(dev.port)) if request.param == "local" else (),
    )
    found.local = request.param == "local"
    return found


def becomes(dev, instance_id: str, status: str) -> None:
    path = f"/client/v4/accounts/local/workflows/steps/instances/{instance_id}"
    eventually(lambda: json.loads(dev.get(path)[1])["result"]["status"] == status, f"it is {status}")


def test_workflows(wrangler):
    assert {"steps", "quick"} <= {one["name"] for one in json.loads(wrangler.does("list", "--json"))}
    shown = wrangler.does("describe", "steps")
    assert "Steps" in shown
    assert "my-app" in shown
    assert "nope" in wrangler.fails("describe", "nope")


def test_the_life_of_an_instance(wrangler, dev):
    name = f"life-{wrangler.local}"
    at = ("steps", name)
    assert f'"{name}"' in wrangler.does("trigger", "steps", '{"n": 1}', "--id", name)
    assert wrangler.fails("trigger", "steps", "--id", name)
    becomes(dev, name, "waiting")
    assert name in wrangler.does("instances", "list", "steps", "--status", "waiting")
    shown = wrangler.does("instances", "describe", *at)
    assert "work-1" in shown
    assert "approval-1" in shown
    assert "paused" in wrangler.does("instances", "pause", *at)
    becomes(dev, name, "paused")
    assert "resumed" in wrangler.does("instances", "resume", *at)
    becomes(dev, name, "waiting")
    from_step = ("--from-step-name", "approval", "--from-step-count", "1", "--from-step-type", "waitForEvent")
    assert "restarted" in wrangler.does("instances", "restart", *at, *from_step)
    becomes(dev, name, "waiting")
    assert "sent" in wrangler.does(
        "instances", "send-event", *at, "--type", "approve", "--payload", '{"ok": 1}'
    )
    becomes(dev, name, "complete")
    wrangler.does("instances", "restart", "steps", "latest")
    becomes(dev, name, "waiting")
    assert "terminated" in wrangler.does("instances", "terminate", *at)
    becomes(dev, name, "terminated")
    wrangler.does("instances", "delete", *at)
    assert name not in wrangler.does("instances", "list", "steps", "--json")


def test_many_at_once(wrangler, dev):
    names = [f"many-{wrangler.local}-{number}" for number in range(2)]
    for name in names:
        wrangler.does("trigger", "steps", "--id", name)
    if not wrangler.local:  # It has no --local form.
        assert "has been started" in wrangler.does(
            "instances", "terminate-all", "steps", "--status", "waiting"
        )
        for name in names:
            becomes(dev, name, "terminated")
    deleted = wrangler.does("instances", "delete", "steps", *names)
    assert all(name in deleted for name in names)
    assert wrangler.does("delete", "quick")
