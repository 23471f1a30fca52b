"""Which files of a project are its code: what is hashed into the version, and what is watched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from wrangler_py.config import FILE_NAMES

#: Folders that hold no code of the user's, wherever they are. So do all whose name begins with a dot.
FOREIGN = frozenset({"__pycache__", "node_modules", "python_modules", "site-packages", "__pypackages__"})
#: A file that marks a virtual environment, whatever its folder is called.
ENVIRONMENT_MARK = "pyvenv.cfg"


def is_foreign(name: str) -> bool:
    """Return True for a folder whose contents are not the user's own code."""
    return name.startswith(".") or name in FOREIGN or name.endswith(".egg-info")


def folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield ``root`` and every folder of code below it, each with the names of its files, in a stable order.

    A folder below with a configuration of its own is another Worker, whose code is not this one's.
    """
    for folder, below, files in os.walk(root):
        is_another = folder != str(root) and not set(FILE_NAMES).isdisjoint(files)
        if ENVIRONMENT_MARK in files or is_another:
            below.clear()
            continue
        below[:] = sorted(name for name in below if not is_foreign(name))
        yield Path(folder), sorted(files)


def code_files(root: Path) -> Iterator[Path]:
    """Yield the Python files under ``root``."""
    for folder, files in folders(root):
        yield from (folder / name for name in files if name.endswith(".py"))


def is_user_file(filename: str, roots: tuple[Path, ...]) -> bool:
    """Return True if ``filename``, as a frame or a module names it, is the user's own code under one of ``roots``."""
    path = Path(filename)
    for root in roots:
        if path.is_relative_to(root):
            return not any(is_foreign(part) for part in path.relative_to(root).parts[:-1])
    return False
