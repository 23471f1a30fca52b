"""Makes ``import workers``, ``import js``, ``import pyodide.ffi`` find the modules of this package.

Each has one identity: ``sys.modules["workers"]`` is ``sys.modules["wrangler_py.sdk.workers"]``, and so for
every submodule. An installed package of the same name, imported before or not, does not come into it
(python-sdk, section 1).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import ModuleType

_SDK = "wrangler_py.sdk"
_NAMES = {
    "workers": f"{_SDK}.workers",
    "asgi": f"{_SDK}.workers.asgi",
    "js": f"{_SDK}.js",
    "pyodide": f"{_SDK}.pyodide",
    "pyodide.http": f"{_SDK}.http",
}


class _Alias(Loader):
    """Loads a module by giving the one that has it already, under its own name, another name too."""

    def __init__(self, real_name: str) -> None:
        self._real_name = real_name
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the real module."""
        _ = spec
        module = importlib.import_module(self._real_name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Put back the module's own spec, which the import system has replaced; there is nothing to run."""
        module.__spec__ = self._spec


class _Finder(MetaPathFinder):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self.hidden: dict[str, ModuleType] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        _ = path, target
        real = self.real_name(fullname)
        if real is None or importlib.util.find_spec(real) is None:
            return None
        return ModuleSpec(fullname, _Alias(real))

    def real_name(self, fullname: str) -> str | None:
        if fullname in self._names:
            return self._names[fullname]
        top, dot, rest = fullname.partition(".")
        return None if top not in self._names else f"{self._names[top]}{dot}{rest}"

    def hide(self) -> None:
        """Forget modules of these names that are not ours; `show` brings them back."""
        for name in [name for name in sys.modules if self.real_name(name)]:
            self.hidden[name] = sys.modules.pop(name)

    def show(self) -> None:
        for name in [name for name in sys.modules if self.real_name(name)]:
            del sys.modules[name]
        sys.modules.update(self.hidden)


def install(root: Path | None = None) -> None:
    """Give the names to our modules, in this process, from now on.

    ``root`` is the Worker's import root: an ``asgi`` module of its own there stays the user's.
    """
    uninstall()
    names = {
        name: real
        for name, real in _NAMES.items()
        if not (name == "asgi" and root and _has_module(root, name))
    }
    finder = _Finder(names)
    finder.hide()
    sys.meta_path.insert(0, finder)


def uninstall() -> None:
    """Undo `install`, if it was done."""
    for finder in [finder for finder in sys.meta_path if isinstance(finder, _Finder)]:
        sys.meta_path.remove(finder)
        finder.show()


def _has_module(root: Path, name: str) -> bool:
    return (root / f"{name}.py").is_file() or (root / name / "__init__.py").is_file()
