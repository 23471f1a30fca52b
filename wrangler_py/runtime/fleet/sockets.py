"""Where the sockets are on which the workers of a `pywrangler serve` answer its front."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path


def sockets_folder(state_dir: Path) -> Path:
    """Return an empty folder for this user only; to be called by who holds the lock of the state.

    It is the same for the same state, so that what a killed server has left is used again, and in the temporary
    directory, because the path of a socket may have a hundred bytes. Somebody else's folder of that name is left alone.
    """
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"pywrangler-{os.geteuid()}-{digest}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not _is_private(folder):
            return Path(tempfile.mkdtemp(prefix="pywrangler-"))
        for left in folder.iterdir():
            left.unlink()
    return folder


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
