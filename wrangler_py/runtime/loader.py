"""The user's code: imported, looked through, and what is wrong with it said in their words."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from wrangler_py.errors import WorkerLoadError
from wrangler_py.runtime.sources import import_file, install_import_root
from wrangler_py.runtime.tracebacks import readable, summary
from wrangler_py.sdk import imports

if TYPE_CHECKING:
    from wrangler_py.config import Config
    from wrangler_py.config.model import WorkflowConfig

#: The class that answers requests, and the functions that do before 2025-08-14 (python-sdk, section 2).
DEFAULT = "Default"
GLOBAL_HANDLERS = {"fetch": "on_fetch", "scheduled": "on_scheduled", "queue": "on_queue"}


class WorkerCode(msgspec.Struct, frozen=True):
    """The loaded Worker: its main module, the class of each workflow by the workflow's name, and those of objects."""

    module: ModuleType
    workflows: dict[str, type]
    has_global_handlers: bool
    objects: dict[str, type] = {}

    def handler_class(self) -> type | None:
        """Return the class named ``Default``, or None."""
        found = getattr(self.module, DEFAULT, None)
        return found if isinstance(found, type) else None

    def entrypoint(self, name: str) -> type | None:
        """Return the entrypoint class of a name, or None."""
        from wrangler_py.sdk.workers import WorkerEntrypoint

        found = getattr(self.module, name, None)
        return found if isinstance(found, type) and issubclass(found, WorkerEntrypoint) else None

    def global_handler(self, event: str) -> Callable[..., Any] | None:
        """Return the module's function for ``fetch``, ``scheduled`` or ``queue``, where such functions count."""
        found = getattr(self.module, GLOBAL_HANDLERS[event], None) if self.has_global_handlers else None
        return found if callable(found) else None


def own_workflows(config: Config) -> Iterable[WorkflowConfig]:
    """Return the workflows whose code is in this script."""
    return [one for one in config.workflows if one.script_name in (None, config.name)]


def roots_of(config: Config) -> tuple[Path, ...]:
    """Return the folders under which files are the user's own: the project, then the import root."""
    return (config.root,) if config.main is None else (config.root, config.main.parent)


def load(config: Config) -> WorkerCode:
    """Import the Worker's code into this process, which must be fresh, and check what the configuration names.

    Raises:
        WorkerLoadError: there is no code, it cannot be imported, or a class is missing or none of a workflow.
    """
    main = _main_of(config)
    install_import_root(main.parent)
    imports.install(main.parent)
    module = import_user_file(main, None, roots_of(config))
    workflows = {one.name: _workflow_class(module, one.class_name, main) for one in own_workflows(config)}
    return WorkerCode(module, workflows, config.global_handlers, _object_classes(config, module, main))


def _main_of(config: Config) -> Path:
    if config.main is None:
        raise WorkerLoadError(
            f"{config.path.name} does not name the Worker's code.",
            hint='Add a line such as: main = "src/entry.py"',
        )
    if not config.main.is_file():
        raise WorkerLoadError(
            f"There is no file {config.main}.", hint=f"It is what `main` in {config.path.name} names."
        )
    return config.main


def import_user_file(path: Path, name: str | None, roots: tuple[Path, ...]) -> ModuleType:
    """Run a file of the user's as the module ``name`` (None: its own), and return it.

    Raises:
        WorkerLoadError: it could not be run; holds the frames under ``roots``.
    """
    try:
        return import_file(path, name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise WorkerLoadError(
            f"Could not load {path.name}: {summary(error)}", traceback=readable(error, roots)
        ) from error


def _workflow_class(module: ModuleType, name: str, main: Path) -> type:
    base = _workflow_base()
    found = _class_of(module, name, base, main)
    _check_run(found, base, main)
    return found


def _object_classes(config: Config, module: ModuleType, main: Path) -> dict[str, type]:
    from wrangler_py.sdk.workers import DurableObject

    own = [one for one in config.resources.durable_objects if one.script_name in (None, config.name)]
    return {one.class_name: _class_of(module, one.class_name, DurableObject, main) for one in own}


def _class_of(module: ModuleType, name: str, base: type, main: Path) -> type:
    found = getattr(module, name, None)
    if found is None:
        raise WorkerLoadError(
            f"There is no '{name}' class defined in the Python Worker's main module",
            hint=_what_there_is(module, name, base, main),
        )
    if not isinstance(found, type) or not issubclass(found, base):
        raise WorkerLoadError(
            f"'{name}' in {main.name} is not a {base.__name__}.",
            hint=f"Write: class {name}({base.__name__}), after: from workers import {base.__name__}",
        )
    return found


def _workflow_base() -> type:
    from wrangler_py.sdk.workers import WorkflowEntrypoint

    return WorkflowEntrypoint


def _check_run(found: type, base: type, main: Path) -> None:
    run = getattr(found, "run", None)
    if run is None or run is getattr(base, "run", None):
        raise WorkerLoadError(
            f"'{found.__name__}' in {main.name} has no run().",
            hint="Add to it: async def run(self, event, step): ...",
        )
    inner = inspect.unwrap(run) if callable(run) else run
    if inspect.isasyncgenfunction(inner):
        raise WorkerLoadError(
            f"run() of '{found.__name__}' in {main.name} yields values; a workflow returns one.",
            hint="Replace `yield` by steps, and `return` the result.",
        )
    if not inspect.iscoroutinefunction(inner):
        raise WorkerLoadError(
            f"run() of '{found.__name__}' in {main.name} is not async.",
            hint="Write: async def run(self, event, step), and `await` each step.",
        )


def _what_there_is(module: ModuleType, name: str, base: type, main: Path) -> str:
    classes = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    ]
    if near := difflib.get_close_matches(name, classes, n=1):
        return f"Did you mean '{near[0]}'? It is what `class_name` in the configuration must name."
    there = f"It has: {', '.join(classes)}." if classes else f"It has no class that is a {base.__name__}."
    return f"The main module is {main.name}. {there}"
