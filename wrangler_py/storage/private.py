"""Permissions of stored state: folders 0700, files 0600, whatever the umask.

State holds params, results and secrets of users. A file gets its mode when it is made: one that is closed to others
only afterwards could be opened by them in between. And a lock on ``-shm`` by any process that can read it stops every
writer, so SQLite's files beside a database count too; SQLite gives them the mode of the database.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600
#: Suffixes that SQLite appends to the name of a database for the files beside it.
BESIDE = ("-wal", "-shm", "-journal")
_OTHERS = 0o077
_making = threading.Lock()


def make_folder(folder: Path) -> None:
    """Make a folder, and those missing above it, for this user only. One that exists stays as it is.

    Raises:
        OSError: it cannot be made, or is a file.
    """
    for missing in [one for one in (folder, *folder.parents) if not one.exists()][::-1]:
        with suppress(FileExistsError):  # Another process makes the same one.
            missing.mkdir(mode=FOLDER_MODE)
            _complete(missing, FOLDER_MODE)
    folder.mkdir(exist_ok=True)


def opener(path: str, flags: int) -> int:
    """Open a file, for `open(..., opener=opener)`; one that is made is for this user only."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, FILE_MODE)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != FILE_MODE:
        with suppress(PermissionError):  # Somebody else's, who lets this user write.
            os.fchmod(descriptor, FILE_MODE)
    return descriptor


def claim_database(path: Path) -> None:
    """Make an empty database file for this user only, unless the file exists.

    An existing file is never opened here: closing it would drop the locks that SQLite has on it in this process.

    Raises:
        OSError: it cannot be made.
    """
    with _making:
        if not path.exists():
            with suppress(FileExistsError):
                os.close(opener(str(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY))


def close_database(path: Path) -> None:
    """Take the rights of others to a database and the files beside it."""
    for one in (path, *(path.with_name(path.name + suffix) for suffix in BESIDE)):
        _close_to_others(one)


def mend(state_dir: Path) -> int:
    """Take the rights of others to a state directory and all in it; return how many files and folders had some.

    Nobody else reaches what is in a closed directory, so that one is not walked: each start would take as long as the
    state has files.
    """
    return _close_to_others(state_dir) and 1 + sum(map(_close_to_others, _inside(state_dir)))


def _inside(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(root, name)


def _close_to_others(path: Path) -> bool:
    """Return True if others had rights to a file or folder, and have none now."""
    try:
        found = path.lstat()
        if not found.st_mode & _OTHERS or stat.S_ISLNK(found.st_mode):
            return False
        path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    except OSError:  # It has gone, or belongs to somebody else.
        return False
    return not path.lstat().st_mode & _OTHERS


def _complete(path: Path, mode: int) -> None:
    """Give this user what the umask has taken."""
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)
