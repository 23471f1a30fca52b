"""Makes `import workers` and `import entry` work in tests, and loads functions by their path."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from wrangler_py.sdk import imports

ROOT = Path(__file__).parent.parent
imports.install()
sys.path.insert(0, str(ROOT / "worker" / "src"))


@pytest.fixture
def function():
    """Return a function file's module; its name may hold brackets, so it cannot be imported by name."""

    def load(path: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location("function", ROOT / "functions" / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
