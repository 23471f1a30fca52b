"""A workflow as the engine runs it: its name, its code, its limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from wrangler_py.engine.limits import DEFAULT_STEPS
from wrangler_py.engine.settings import Retention, Settings
from wrangler_py.engine.store import Wanted
from wrangler_py.errors import WorkerLoadError


class Definition(msgspec.Struct):
    """A bound workflow. ``make()`` returns an object with ``async run(event, step)``; None: its code is not here."""

    name: str
    script: str
    class_name: str
    version: str
    make: Callable[[], Any] | None = None
    #: What the configuration says; None: nothing. `take` fills in what was set over the API.
    step_limit: int | None = None
    #: How many instances may execute at once; None: as many as the plan allows.
    concurrency: int | None = None
    #: Parameters of a step name the steps they depend on (python-sdk, section 3: from 2026-02-25).
    implicit_dependencies: bool = True
    #: Only instances of this very version run here: others have processes of their own (`pywrangler serve`).
    is_pinned: bool = False
    schedules: tuple[str, ...] = ()
    retention: Retention = Retention()
    #: What holds: the configuration's, and where it is silent, the API's.
    settings: Settings = Settings()

    def __post_init__(self) -> None:
        self.take(Settings())

    def take(self, stored: Settings) -> None:
        """Let what was set over the API hold where the configuration is silent."""
        self.settings = self.configured.over(stored)

    @property
    def configured(self) -> Settings:
        """The settings in the configuration."""
        return Settings(self.step_limit, self.concurrency, self.schedules, self.retention)

    @property
    def steps(self) -> int:
        """The largest number of steps of an instance (docs, "Limits")."""
        return self.settings.step_limit or DEFAULT_STEPS

    @property
    def wanted(self) -> Wanted:
        """The instances that this code may run."""
        return Wanted(self.name, self.version if self.is_pinned else None)

    def instantiate(self) -> Any:
        """Return a fresh entrypoint; raise WorkerLoadError if there is no code."""
        if self.make is None:
            raise WorkerLoadError(f"the code of workflow {self.name!r} is not loaded")
        return self.make()
