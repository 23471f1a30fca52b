"""npm `wrangler`, unmodified.

It is installed once, with the Node it needs, into a cache folder outside the tree: ``PYWRANGLER_TEST_CACHE``, or that
of the user. Without npm its tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

VERSION, NODE = "4.164.0", "22"
INSTALL_S, RUN_S = 600, 60
NEEDS_NPM = [
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm, which installs wrangler, is not there"),
    pytest.mark.timeout(INSTALL_S + 120),
]


def install() -> Path:
    """Return the folder of ``node_modules`` with wrangler and Node."""
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
    """Runs commands in a folder, which is its home as well; ``before`` and ``after`` are words around each."""

    def __init__(
        self,
        modules: Path,
        port: int,
        folder: Path,
        *,
        token: str = "x",
        before: tuple[str, ...] = (),
        after: tuple[str, ...] = (),
    ) -> None:
        program = (str(modules / "node/bin/node"), str(modules / "wrangler/bin/wrangler.js"))
        self._before, self._after, self._folder = (*program, *before), after, folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "WRANGLER_SEND_METRICS": "false",
            "NO_COLOR": "1",
            "CI": "1",
            "CLOUDFLARE_API_BASE_URL": f"http://127.0.0.1:{port}/client/v4",
            "CLOUDFLARE_API_TOKEN": token,
            "CLOUDFLARE_ACCOUNT_ID": "local",
        }

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._before, *arguments, *self._after],
            cwd=self._folder,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )

    def does(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def fails(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 1, (arguments, done.stdout, done.stderr)
        return done.stderr
