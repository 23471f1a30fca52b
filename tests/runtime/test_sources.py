"""The user's files are imported fresh, installed packages as ever."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

from wrangler_py.runtime.sources import import_file, install_import_root

pytestmark = pytest.mark.usefixtures("fresh_imports")


def test_a_stale_compiled_copy_is_not_believed(project):
    """Same size, same second: the one case in which Python's own check passes a wrong copy."""
    path = project.write("src/stale.py", "VALUE = 1\n")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(path.parent)], check=True)
    before = path.stat()
    path.write_text("VALUE = 2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    install_import_root(project.root / "src")
    assert importlib.import_module("stale").VALUE == 2


def test_a_module_that_fails_is_not_left_half_made(project):
    path = project.write("src/half.py", "VALUE = 1\nraise OSError\n")
    with pytest.raises(OSError):
        import_file(path)
    assert "half" not in sys.modules
