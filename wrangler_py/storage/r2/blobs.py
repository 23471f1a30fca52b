"""The bytes of objects: files in one folder, whose names have nothing to do with keys.

A file is written once and never changed. Whoever writes one holds a lock on it until the index has it, so that a
sweep, of this process or another, tells a file in the making from one that a crash left behind.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from wrangler_py.storage.private import opener

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How much is read at a time to put parts together.
_COPIED_AT_ONCE = 1 << 20


class Blobs:
    """A folder of blobs. All methods may be called on any thread."""

    def __init__(self, folder: Path, new_id: Callable[[], str]) -> None:
        self._folder, self._new_id = folder, new_id

    def create(self) -> NewBlob:
        """Return what a new file is written with; there is none before it is opened."""
        return NewBlob(self._folder, self._new_id)

    def open(self, name: str) -> OpenBlob:
        """Open a blob for reading; raise FileNotFoundError if it was removed."""
        return OpenBlob(os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC))

    def remove(self, names: Iterable[str]) -> None:
        """Remove blobs; whoever has one open reads on to its end."""
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all files there are."""
        return os.listdir(self._folder)

    def remove_leftover(self, name: str, is_wanted: Callable[[str], bool]) -> None:
        """Remove a file that is not ``is_wanted``, unless somebody is still writing it."""
        with suppress(FileNotFoundError), self._unless_locked(name) as is_free:
            # Asked only now: who wrote it may have put it into the index and let go a moment ago.
            if is_free and not is_wanted(name):
                self.remove([name])

    @contextmanager
    def _unless_locked(self, name: str) -> Iterator[bool]:
        with (self._folder / name).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True


class NewBlob:
    """A file in the making. `close` removes it unless it was kept. One thread at a time may use it."""

    def __init__(self, folder: Path, new_id: Callable[[], str]) -> None:
        self._folder, self._new_id = folder, new_id
        self._file: BinaryIO | None = None
        #: Bytes written so far.
        self.size = 0
        self._is_kept = False

    def open(self) -> None:
        """Make the file; no sweep touches it before it is closed."""
        while self._file is None:
            path = self._folder / self._new_id().replace("-", "")
            with suppress(FileExistsError):
                self._file = _locked(path)

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self._opened.name).name

    @property
    def _opened(self) -> BinaryIO:
        assert self._file is not None
        return self._file

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self.size += self._opened.write(data)

    def append(self, other: OpenBlob) -> None:
        """Append all bytes of another blob."""
        with open(other.fileno(), "rb", closefd=False) as source:
            shutil.copyfileobj(source, self._opened, _COPIED_AT_ONCE)
        self.size = self._opened.tell()

    def finish(self) -> None:
        """Have all that was written in the file."""
        self._opened.flush()

    def keep(self) -> None:
        """Have `close` leave the file: the index has it."""
        self._is_kept = True

    def close(self) -> None:
        """Let go of the file, and remove it unless it was kept."""
        if self._file is None:
            return
        if not self._is_kept:
            Path(self._file.name).unlink(missing_ok=True)
        # What is still buffered of a file nobody wants may find a full disk.
        with suppress(OSError):
            self._file.close()


def _locked(path: Path) -> BinaryIO | None:
    """Make a file and lock it; None: a sweep took it for a leftover in the moment between."""
    file = open(path, "xb", opener=opener)  # noqa: SIM115 - the caller closes it
    fcntl.flock(file, fcntl.LOCK_EX)
    if os.fstat(file.fileno()).st_nlink:
        return file
    file.close()
    return None


class OpenBlob:
    """A blob open for reading. It is closed when nobody refers to it any more, a reading thread included."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._descriptor

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; raise OSError if the file ends before."""
        data = os.pread(self._descriptor, length, offset)
        if len(data) == length:
            return data
        # One call reads 2 GiB at most.
        found = [data]
        while data and (length := length - len(data)):
            offset += len(data)
            data = os.pread(self._descriptor, length, offset)
            found.append(data)
        if not data:
            raise OSError("a file of the bucket is shorter than it should be")
        return b"".join(found)

    def __del__(self) -> None:
        os.close(self._descriptor)
