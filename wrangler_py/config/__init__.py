"""wrangler.toml, .jsonc and .json into a Config, with every problem reported at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from wrangler_py.config.build import build
from wrangler_py.config.diagnostics import Diagnostic, Diagnostics
from wrangler_py.config.dotenv import secret_files
from wrangler_py.config.environments import select
from wrangler_py.config.model import Config, DevConfig, LimitsConfig, WorkflowConfig
from wrangler_py.config.source import Source, open_source

__all__ = [
    "FILE_NAMES",
    "Config",
    "DevConfig",
    "Diagnostic",
    "Diagnostics",
    "LimitsConfig",
    "Loaded",
    "WorkflowConfig",
    "find",
    "fingerprint",
    "load",
    "watched_files",
]

#: In wrangler's order of preference.
FILE_NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")


class Loaded(msgspec.Struct):
    """A configuration as far as it could be read (None: not usable), and what was found on the way."""

    config: Config | None
    diagnostics: Diagnostics


def find(start: Path) -> Path | None:
    """Return the configuration file in ``start`` or the nearest folder above it."""
    for folder in (start.resolve(), *start.resolve().parents):
        for name in FILE_NAMES:
            if (folder / name).is_file():
                return folder / name
    return None


def load(
    path: Path,
    *,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read a configuration file for an environment; ``variables`` win over those of the file.

    ``overrides`` are further keys of the file's top level, from a command line: lists are added to those of the file,
    all else wins over it. With any, there need not be a file.

    Never raises for what is in the file: look at ``diagnostics``.
    """
    env = env or None  # An empty name is how wrangler is told to take the top level.
    diagnostics = Diagnostics()
    path = path.absolute()
    is_missing = bool(overrides) and not path.exists()
    source = Source(path, "", diagnostics) if is_missing else open_source(path, diagnostics)
    section = None if source is None else select(source, env)
    if section is not None:
        section.override(overrides or {})
    config = None if section is None else build(section, env, variables or {})
    diagnostics.sort()
    return Loaded(None if diagnostics.errors else config, diagnostics)


def fingerprint(config: Config) -> str:
    """Return a hash of what makes a Worker another version: all it is configured by, but not ``[dev]``."""
    raw = {key: value for key, value in config.raw.items() if key not in ("$schema", "dev")}
    content = {"name": config.name, "raw": raw, "vars": config.vars, "secrets": config.secrets}
    # The standard library's writer: configurations may hold dates and NaN, which others refuse.
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def watched_files(config: Config) -> tuple[Path, ...]:
    """Return the files whose change, birth or end changes the configuration, be they there or not."""
    return (config.path, *secret_files(config.root, config.env_name))
