"""Importing the user's files fresh.

Python keeps compiled modules and trusts them while size and modification time, in whole seconds, stay the same. Who
saves twice within a second, changing a digit, would run the old code. So files of the import root are compiled anew in
every worker; installed packages are not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from wrangler_py.runtime.project import is_foreign

VENDORED = "python_modules"


class FreshLoader(SourceFileLoader):
    """Reads source files, and never a stored compilation of them."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Refuse: without a file's date Python neither reads nor writes a compiled copy."""
        raise OSError(path)


def install_import_root(root: Path) -> None:
    """Put ``root``, then its ``python_modules``, before all else that can be imported (python-sdk, section 1)."""
    sys.path_hooks.insert(0, _finder_for(root))
    sys.path_importer_cache.clear()
    vendored = [
        str(folder / VENDORED)
        for folder in dict.fromkeys((root, root.parent))
        if (folder / VENDORED).is_dir()
    ]
    sys.path[:0] = [str(root), *vendored]


def import_file(path: Path, name: str | None = None) -> ModuleType:
    """Run the file as the module ``name``, or one named like it, and return it. Whatever it raises passes."""
    name = name or (path.stem if path.stem not in sys.modules else f"_worker_{path.stem}")
    loader = FreshLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _finder_for(root: Path) -> Callable[[str], FileFinder]:
    hook = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (FreshLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )

    def find(entry: str) -> Any:
        path = Path(entry)
        if not path.is_relative_to(root) or any(is_foreign(part) for part in path.relative_to(root).parts):
            raise ImportError(entry)
        return hook(entry)

    return find
