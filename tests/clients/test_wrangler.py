"""npm `wrangler`, unmodified: every ``workflows`` command, with ``--local`` and with ``CLOUDFLARE_API_BASE_URL``.

It is installed once, with the Node it needs, into a cache folder outside the tree: ``PYWRANGLER_TEST_CACHE``, or that
of the user. Without npm these tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.runtime.conftest import eventually

VERSION, NODE = "4.164.0", "22"
INSTALL_S, RUN_S = 600, 60
pytestmark = [
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm, which installs wrangler, is not there"),
    pytest.mark.timeout(INSTALL_S + 120),
]


@pytest.fixture(scope="session")
def installed() -> Path:
    """The folder of ``node_modules`` with wrangler and Node."""
    cache = os.environ.get("PYWRANGLER_TEST_CACHE") or Path.home() / ".cache" / "pywrangler-tests"
    folder = Path(cache) / f"wrangler-{VERSION}"
    done = folder / "installed"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        packages = [f"wrangler@{VERSION}", f"node@{NODE}"]
        npm = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
        found = subprocess.run(npm, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if found.returncode:
            pytest.skip(f"npm could not install wrangler: {found.stderr.strip()[-300:]}")
        done.touch()
    return folder / "node_modules"


class Wrangler:
    """Runs commands below ``wrangler workflows``."""

    def __init__(self, modules: Path, port: int, home: Path, *, local: bool) -> None:
        self._command = [
            str(modules / "node/bin/node"),
            str(modules / "wrangler/bin/wrangler.js"),
            "workflows",
        ]
        self.local = local
        self._options = ["--local", "--port", str(port)] if local else []
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "WRANGLER_SEND_METRICS": "false",
            "NO_COLOR": "1",
            "CI": "1",
            "CLOUDFLARE_API_BASE_URL": f"http://127.0.0.1:{port}/client/v4",
            "CLOUDFLARE_API_TOKEN": "x",
            "CLOUDFLARE_ACCOUNT_ID": "local",
        }
        self._home = home

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *arguments, *self._options],
            cwd=self._home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )

    def does(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def fails(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 1, (arguments, done.stdout, done.stderr)
        return done.stderr


@pytest.fixture(params=["local", "remote"])
def wrangler(request, installed, dev, tmp_path) -> Wrangler:
    return Wrangler(installed, dev.port, tmp_path, local=request.param == "local")


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
