"""Saved files. Only what the user's code consists of counts, so that a step may write files beside it in peace.

Each folder of code is watched by itself, not the project as a tree: a virtual environment or ``node_modules`` inside it
has tens of thousands of folders, and the kernel's watches are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from wrangler_py.runtime.project import code_files, folders, is_foreign

if TYPE_CHECKING:
    from watchfiles import Change

#: Files that are read when code is loaded. Data that steps write (json, csv, txt, sqlite) is not among them.
SUFFIXES = frozenset(
    {".py", ".html", ".jinja", ".jinja2", ".j2", ".sql", ".graphql", ".yaml", ".yml", ".toml"}
)
#: One save makes several events: ms without a new one until it is over, and ms after which it is, come what may.
QUIET, LONGEST = 40, 300

Stream = AsyncGenerator[set[tuple["Change", str]], None]
Group = asyncio.Future[set[tuple["Change", str]]]


class Watch:
    """Calls ``changed`` with the files that were saved, in groups, or ``failed`` once if it cannot watch any more.

    Watched are code under ``roots``, and ``settings``: files that need not be there yet (`config.watched_files`).
    """

    def __init__(
        self,
        roots: Iterable[Path],
        settings: Collection[Path],
        changed: Callable[[set[Path]], None],
        failed: Callable[[str], None],
    ) -> None:
        self._roots, self._settings = tuple(roots), frozenset(settings)
        self._changed, self._failed = changed, failed
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin. What is saved after this returned is not missed."""
        self._task = asyncio.create_task(self._follow(*await self._open()))

    async def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def counts(self, path: Path) -> bool:
        """Return True if a change of ``path`` means new code or another configuration."""
        is_code = path.suffix in SUFFIXES and not path.name.startswith(".")
        return is_code or path in self._settings

    async def _follow(self, stream: Stream, group: Group) -> None:
        try:
            while True:
                changes = await group
                if any(_is_folder_of_code(Path(path)) for _, path in changes):
                    # The new watch stands before the old one goes and before anything is told: what is written into
                    # a new folder is either there when the code is loaded, or is noticed.
                    old = stream
                    stream, group = await self._open()
                    await old.aclose()
                else:
                    group = asyncio.ensure_future(anext(stream))
                self._tell({Path(path) for _, path in changes})
        except (OSError, RuntimeError) as error:
            self._failed(str(error))
        finally:
            group.cancel()
            await asyncio.gather(group, return_exceptions=True)
            await stream.aclose()

    async def _open(self) -> tuple[Stream, Group]:
        """Return a stream of changes that is being watched already, and its first group."""
        stream = _stream(self._folders())
        group: Group = asyncio.ensure_future(anext(stream))
        # In its first turn, before it ever waits, the stream asks the kernel for notices.
        await asyncio.sleep(0)
        return stream, group

    def _folders(self) -> set[Path]:
        found = {folder for root in self._roots for folder, _ in folders(root)}
        return {*found, *(path.parent for path in self._settings)}

    def _tell(self, paths: set[Path]) -> None:
        told = {path for path in paths if self.counts(path) or _is_folder_of_code(path)}
        if told:
            self._changed(told)


def _stream(watched: set[Path]) -> Stream:
    from watchfiles import awatch

    return awatch(
        *watched,
        watch_filter=None,
        debounce=LONGEST,
        step=QUIET,
        recursive=False,
        ignore_permission_denied=True,
    )


def _is_folder_of_code(path: Path) -> bool:
    return not is_foreign(path.name) and path.is_dir() and any(code_files(path))
