"""The versions there are of a workflow's code, and where that is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wrangler_py.config import load
from wrangler_py.errors import UserError
from wrangler_py.runtime.loader import own_workflows
from wrangler_py.storage.deployments import CONFIG_FILE, Deployments, Version
from wrangler_py.storage.waiting import waited

if TYPE_CHECKING:
    from wrangler_py.clock import Clock
    from wrangler_py.config import Config
    from wrangler_py.config.model import WorkflowConfig
    from wrangler_py.diagram import Graph
    from wrangler_py.engine.model import WorkflowRow


class CodeVersion(NamedTuple):
    """A version of a workflow's code; ``created_at`` in ms since 1970, ``main`` None where its files are not here."""

    id: str
    class_name: str
    created_at: int
    main: Path | None


class Versions:
    """What this process can say of versions: of its own script the one it runs, of deployed ones all that are kept."""

    def __init__(self, config: Config | None, version: str, state_dir: Path, clock: Clock) -> None:
        self._config, self._version = config, version
        self._state_dir, self._clock = state_dir, clock
        self._graphs: dict[CodeVersion, Graph | None] = {}
        #: What was found of deployed versions, by script, version and workflow: it never changes.
        self._known: dict[tuple[str, str, str], CodeVersion | None] = {}

    @cached_property
    def _deployments(self) -> Deployments | None:
        return Deployments.find(self._state_dir, self._clock)

    async def of(self, row: WorkflowRow) -> list[CodeVersion]:
        """Return the versions of a workflow, the newest first; the one that new instances run is among them.

        Raises:
            StateError, StoreUnavailableError: it cannot be seen what was deployed.
        """
        if self._config is not None and self._config.name == row.script:
            main = self._config.main if self._version == row.version else None
            return [CodeVersion(row.version, row.class_name, row.modified_at, main)]
        kept = await waited(lambda: self._deployments.versions(row.script) if self._deployments else [])
        found = await asyncio.to_thread(self._all_deployed, kept, row)
        if row.version in {one.id for one in found}:
            return found
        return [CodeVersion(row.version, row.class_name, row.modified_at, None), *found]

    def _all_deployed(self, kept: list[Version], row: WorkflowRow) -> list[CodeVersion]:
        for one in kept:
            key = (one.script, one.id, row.name)
            if key not in self._known:
                self._known[key] = self._deployed(one, row)
        found = (self._known[one.script, one.id, row.name] for one in kept)
        return [code for code in found if code is not None]

    def _deployed(self, version: Version, row: WorkflowRow) -> CodeVersion | None:
        """Return a version of a script, if the workflow is in it."""
        assert self._deployments is not None
        config = None
        with suppress(UserError, OSError):
            config = load(self._deployments.folder(version.script, version.id) / CONFIG_FILE).config
        if config is None:
            return CodeVersion(version.id, row.class_name, version.created_at, None)
        workflow: WorkflowConfig | None = next(
            (one for one in own_workflows(config) if one.name == row.name), None
        )
        if workflow is None:
            return None
        return CodeVersion(version.id, workflow.class_name, version.created_at, config.main)

    async def graph(self, code: CodeVersion) -> Graph | None:
        """Return the diagram of a version; None where there is no code to read it from."""
        if code not in self._graphs:
            self._graphs[code] = await asyncio.to_thread(_draw, code)
        return self._graphs[code]

    def close(self) -> None:
        """Let go of the registry."""
        if opened := self.__dict__.pop("_deployments", None):
            opened.close()


def _draw(code: CodeVersion) -> Graph | None:
    if code.main is None:
        return None
    # Only who looks at a diagram pays for what draws it.
    from wrangler_py.diagram import draw

    return draw(code.main, code.class_name)
