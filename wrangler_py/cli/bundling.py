"""What of a project is uploaded: its code beside ``main``, and the packages vendored under ``python_modules``."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

from wrangler_py.errors import UserError
from wrangler_py.runtime.project import folders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wrangler_py.config import Config

#: Content type by ending, of what is code or read by code (docs of Workers, "Bundling").
TYPES = {
    ".py": "text/x-python",
    ".txt": "text/plain",
    ".html": "text/plain",
    ".sql": "text/plain",
    ".bin": "application/octet-stream",
    ".wasm": "application/wasm",
}
OTHER = "application/octet-stream"
VENDORED = "python_modules"
#: Cloudflare's limits of a Worker (docs of Workers, "Limits"): bytes in all, and after compression on the free plan.
MAX_BYTES = 64 * 1024 * 1024
FREE_GZIP_BYTES = 3 * 1024 * 1024

Files = dict[str, bytes]


def main_module(config: Config) -> str:
    """Return the name of the main module in the bundle. Raises UserError if the project has none."""
    if config.main is None:
        raise UserError(
            f"{config.path.name} names no main module: there is nothing to deploy.",
            hint='Add main = "src/entry.py". A Pages project is deployed by `npx wrangler pages deploy`.',
        )
    return config.main.name


def collect(config: Config) -> Files:
    """Return the files of the bundle by their names: relative to the folder of ``main``, which is where imports begin.

    Raises:
        UserError: there is no main module, or it is all too large.
    """
    main_module(config)
    assert config.main is not None
    root = config.main.parent
    paths = {path.relative_to(root).as_posix(): path for path in _code(root)}
    vendored = config.root / VENDORED
    paths |= {f"{VENDORED}/{path.relative_to(vendored).as_posix()}": path for path in _packages(vendored)}
    files = {name: path.read_bytes() for name, path in sorted(paths.items())}
    if (size := size_of(files)) > MAX_BYTES:
        raise UserError(
            f"The bundle has {kib(size)}; a Worker may have {kib(MAX_BYTES)}.",
            hint=f"Its largest file is {max(files, key=lambda name: len(files[name]))}.",
        )
    return files


def _code(root: Path) -> Iterator[Path]:
    for folder, names in folders(root):
        yield from (
            folder / name for name in names if not name.startswith(".") and Path(name).suffix in TYPES
        )


def _packages(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name != "__pycache__" and not name.startswith("."))
        yield from (
            Path(folder, name) for name in names if not name.startswith(".") and not name.endswith(".pyc")
        )


def type_of(name: str) -> str:
    """Return the content type of a file of the bundle."""
    return TYPES.get(Path(name).suffix, OTHER)


def size_of(files: Files) -> int:
    """Return the bytes of all files."""
    return sum(map(len, files.values()))


def gzip_size(files: Files) -> int:
    """Return about what they come to when compressed."""
    return len(gzip.compress(b"".join(files.values()), 6))


def kib(size: int) -> str:
    """Return ``12.34 KiB``."""
    return f"{size / 1024:.2f} KiB"
