"""Loading a Worker's code into the process of the tests, and taking it out again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wrangler_py.sdk import imports
from wrangler_py.sdk.environment import set_env


@contextmanager
def user_code() -> Iterator[None]:
    """Let what is inside load user code; afterwards its modules, its import paths and its env are gone."""
    path, hooks, finders, modules = sys.path[:], sys.path_hooks[:], sys.meta_path[:], set(sys.modules)
    try:
        yield
    finally:
        sys.path[:], sys.path_hooks[:] = path, hooks
        imports.uninstall()
        sys.meta_path[:] = finders
        sys.path_importer_cache.clear()
        for name in set(sys.modules) - modules:
            if not name.startswith("wrangler_py"):
                del sys.modules[name]
        set_env(None)
