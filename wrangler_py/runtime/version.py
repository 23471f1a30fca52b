"""A worker's version: the same code and configuration have the same one (engine-semantics, section 6)."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

from wrangler_py.runtime.project import code_files


def version_id(import_root: Path, fingerprint: str) -> str:
    """Return a UUID made of every Python file under ``import_root`` and of the configuration's ``fingerprint``."""
    digest = hashlib.sha256(fingerprint.encode())
    for path in code_files(import_root):
        digest.update(b"\0" + str(path.relative_to(import_root)).encode("utf-8", "surrogateescape") + b"\0")
        digest.update(hashlib.sha256(_content(path)).digest())
    return str(uuid.UUID(bytes=digest.digest()[:16], version=5))


def _content(path: Path) -> bytes:
    """Return a file's bytes; one that is gone or unreadable counts as empty, importing it will say why."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
