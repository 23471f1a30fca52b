"""wrangler.toml, .jsonc and .json into a Config, with every problem reported at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from wrangler_py.config.build import build
from wrangler_py.config.diagnostics import Diagnostic, Diagnostics
from wrangler_py.config.dotenv import secret_files
from wrangler_py.config.environments import select
from wrangler_py.config.model import Config, DevConfig, LimitsConfig, WorkflowConfig
from wrangler_py.config.source import open_source

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


def load(path: Path, *, env: str | None = None, variables: Mapping[str, str] | None = None) -> Loaded:
    """Read a configuration file for an environment; ``variables`` win over those of the file.

    Never raises for what is in the file: look at ``diagnostics``.
    """
    diagnostics = Diagnostics()
    source = open_source(path.absolute(), diagnostics)
    section = None if source is None else select(source, env)
    config = None if section is None else build(section, env, variables or {})
    diagnostics.sort()
    return Loaded(None if diagnostics.errors else config, diagnostics)


def fingerprint(config: Config) -> str:
    """Return a hash of everything in a configuration that makes a Worker another version; secrets count too."""
    content = {"name": config.name, "raw": config.raw, "vars": config.vars, "secrets": config.secrets}
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def watched_files(config: Config) -> tuple[Path, ...]:
    """Return the files whose change changes the configuration, wherever they are."""
    return (config.path, *secret_files(config.root, config.env_name))
