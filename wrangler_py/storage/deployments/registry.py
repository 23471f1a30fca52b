"""The registry of versions: a database beside the folders that hold their files.

::

    <state>/deployments/deployments.sqlite
    <state>/deployments/<script>/<version>/wrangler.json   with it, a version's workers are started like any project
    <state>/deployments/.staging/...                       what is still being unpacked

A version is recorded when its files are in place and its code was found to load. So a folder that is not recorded is
what an interrupted deploy has left: `Deployments.sweep` removes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from wrangler_py.storage.database import Database
from wrangler_py.storage.deployments.file import Q, open_registry, registry_file
from wrangler_py.storage.private import make_folder

if TYPE_CHECKING:
    from wrangler_py.clock import Clock

CONFIG_FILE = "wrangler.json"
#: Not the name of a script: those have no dot.
STAGING = ".staging"


class Version(msgspec.Struct, frozen=True):
    """One version of a script. ``created_at`` in ms since 1970, ``size`` in bytes, ``config`` is JSON.

    ``number`` counts the script's versions from 1; the registry gives it.
    """

    script: str
    id: str
    number: int = 0
    created_at: int = 0
    source: str = "api"
    message: str | None = None
    tag: str | None = None
    size: int = 0
    config: str = "{}"


class Deployment(msgspec.Struct, frozen=True):
    """That a version became the active one of its script, ``at`` ms since 1970."""

    id: str
    script: str
    version: str
    at: int
    source: str
    message: str | None


class Deployments:
    """The registry of a state directory; several processes may have it open.

    Every method raises StoreUnavailableError if the file cannot be used at the moment.
    """

    def __init__(self, folder: Path, file: Database, clock: Clock) -> None:
        self._folder, self._file, self._clock = folder, file, clock

    @classmethod
    def open(cls, state_dir: Path, clock: Clock) -> Self:
        """Open the registry, or make it; raises StateError as `open_database` does."""
        return cls(state_dir / "deployments", open_registry(state_dir), clock)

    @classmethod
    def find(cls, state_dir: Path, clock: Clock) -> Self | None:
        """Open the registry if something was deployed here, else make nothing; raises as `open`."""
        return cls.open(state_dir, clock) if registry_file(state_dir).is_file() else None

    def add(self, version: Version) -> Version:
        """Record a version, unless it is recorded; return it as it stands there, numbered and dated."""
        at = version.created_at or self._clock.now()
        self._file.write(Q["add_version"], msgspec.to_builtins(version) | {"created_at": at})
        found = self.version(version.script, version.id)
        assert found is not None
        return found

    def activate(
        self, script: str, version_id: str, *, message: str | None = None, source: str = "api"
    ) -> Deployment:
        """Make a version the active one from now on."""
        made = Deployment(self._clock.new_id(), script, version_id, self._clock.now(), source, message)
        self._file.write(Q["activate"], msgspec.structs.astuple(made))
        return made

    def release(self, version: Version) -> Deployment:
        """Record a version and make it the active one: both, or neither."""
        with self._file.transaction():
            self.add(version)
            return self.activate(version.script, version.id, message=version.message, source=version.source)

    def active(self) -> dict[str, str]:
        """Return the active version of every script."""
        return dict(self._file.read(Q["active"]))

    def active_version(self, script: str) -> str | None:
        """Return the active version of a script, or None if nothing is deployed under that name."""
        rows = self._file.read(Q["active_version"], (script,))
        return rows[0][0] if rows else None

    def versions(self, script: str) -> list[Version]:
        """Return the versions of a script, the newest first."""
        return [Version(*row) for row in self._file.read(Q["versions"], (script,))]

    def version(self, script: str, version_id: str) -> Version | None:
        """Return one version, or None."""
        rows = self._file.read(Q["version"], (script, version_id))
        return Version(*rows[0]) if rows else None

    def history(self, script: str) -> list[Deployment]:
        """Return what was active when, the newest first: it is the active one."""
        return [Deployment(*row) for row in self._file.read(Q["history"], (script,))]

    def remove(self, script: str) -> None:
        """Forget a script, then remove its files."""
        with self._file.transaction():
            self._file.write(Q["remove_deployments"], (script,))
            self._file.write(Q["remove_versions"], (script,))
        shutil.rmtree(self._folder / script, ignore_errors=True)

    def folder(self, script: str, version_id: str) -> Path:
        """Return where the files of a version are; `CONFIG_FILE` among them configures its workers."""
        return self._folder / script / version_id

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give an empty folder on the same file system, which is gone afterwards unless it was moved."""
        folder = self._folder / STAGING / self._clock.new_id()
        make_folder(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what interrupted deploys have left. To be called when none is going on: before a `serve` listens."""
        shutil.rmtree(self._folder / STAGING, ignore_errors=True)
        recorded = set(self._file.read(Q["all_versions"]))
        for folder in self._folder.glob("*/*"):
            if (folder.parent.name, folder.name) not in recorded:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
