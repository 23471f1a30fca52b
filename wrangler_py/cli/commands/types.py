"""`pywrangler types`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.options import configured
from wrangler_py.cli.target import Target
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.config import Config

DEFAULT = "worker_types.pyi"
USE = """
Use them in {main}:

  from typing import TYPE_CHECKING

  if TYPE_CHECKING:
      from {module} import Env

  class Default(WorkerEntrypoint):
      env: "Env"
"""


@configured
def types(
    target: Target,
    *,
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help=f"The stub file ({DEFAULT} beside the Worker's code)."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if the file is out of date.")
    ] = False,
    strict_vars: Annotated[
        bool,
        typer.Option(
            "--strict-vars/--no-strict-vars", help="Type a text in vars by its values, not as any str."
        ),
    ] = True,
) -> None:
    """Write a typed Env from the configuration, so that an editor completes what hangs on self.env."""
    from wrangler_py.cli.env_stub import env_stub

    config = target.load_config()
    file = _file(config, path)
    stub = env_stub(config, list(_other_environments(config)), strict_vars=strict_vars)
    if _is_current(file, stub):
        terminal.say(f"✅ {_shown(file)} is up to date.")
    elif check:
        raise UserError(f"{_shown(file)} is out of date.", hint="Write it: pywrangler types")
    else:
        _write(file, stub)
        terminal.say(f"✅ Types written to {_shown(file)}.")
        terminal.say(USE.format(main=_main(config), module=_module(config, file)).rstrip())


def _file(config: "Config", path: Path | None) -> Path:
    if path is None:
        return (config.root if config.main is None else config.main.parent) / DEFAULT
    if path.suffix != ".pyi":
        raise UserError(
            f"{path} is not a stub file: its name must end in .pyi.",
            hint="A .py file would be part of the Worker, and import what Cloudflare does not have.",
        )
    return path.absolute()


def _other_environments(config: "Config") -> Iterator["Config"]:
    """Yield what the top level's environments say; one that was chosen with --env stands alone."""
    from wrangler_py.config import Diagnostics, load
    from wrangler_py.config.source import open_source

    source = open_source(config.path, Diagnostics()) if config.env_name is None else None
    environments = {} if source is None else source.data.get("env") or {}
    for name in environments:
        found = load(config.path, env=name).config
        if found is not None:
            yield found


def _is_current(file: Path, stub: str) -> bool:
    from wrangler_py.cli.env_stub import hash_of

    try:
        there = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {_shown(file)}: {error}.") from error
    if hash_of(there) is None:
        raise UserError(
            f"{_shown(file)} was not written by pywrangler types.",
            hint="Name another file: pywrangler types src/my_types.pyi",
        )
    return hash_of(there) == hash_of(stub)


def _write(file: Path, stub: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(stub, encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {_shown(file)}: {error.strerror}.") from error


def _main(config: "Config") -> str:
    return "your code" if config.main is None else _shown(config.main)


def _module(config: "Config", file: Path) -> str:
    """Return the name the Worker's code knows the stub by."""
    root = config.root if config.main is None else config.main.parent
    inside = file.relative_to(root) if file.is_relative_to(root) else Path(file.name)
    return ".".join(inside.with_suffix("").parts)


def _shown(file: Path) -> str:
    relative = os.path.relpath(file)
    return str(file) if relative.startswith("..") else relative
