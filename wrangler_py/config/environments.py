"""``[env.X]``: wrangler's inheritance. Most keys are taken over from the top; variables and bindings are not."""

from __future__ import annotations

from typing import Any

import msgspec

from wrangler_py.config.diagnostics import suggest
from wrangler_py.config.known import NOT_INHERITED, TOP, TOP_ONLY
from wrangler_py.config.source import KeyPath, Source


class Section(msgspec.Struct):
    """The configuration of one environment: its keys, and where in the file each was written."""

    source: Source
    data: dict[str, Any]
    #: Path of the section an entry came from: ``()`` or ``("env", name)``.
    origin: dict[str, KeyPath]

    def key(self, name: str, *rest: str | int) -> KeyPath:
        """Return the path of an entry in the file."""
        return (*self.origin.get(name, ()), name, *rest)


def select(source: Source, env_name: str | None) -> Section | None:
    """Return the section of an environment, merged with the top; None, with an error reported, if there is none."""
    _check_keys(source, source.data, ())
    environments = source.data.get("env", {})
    if not isinstance(environments, dict):
        source.error(("env",), "env must be a table of environments")
        environments = {}
    for name, section in environments.items():
        _check_environment(source, name, section)
    top = {key: value for key, value in source.data.items() if key != "env"}
    if env_name is None:
        return Section(source, top, dict.fromkeys(top, ()))
    if not isinstance(environments.get(env_name), dict):
        known = ", ".join(environments) or "none"
        source.error(("env",), f'there is no environment "{env_name}"', f"there are: {known}")
        return None
    return _merge(source, top, env_name, environments[env_name])


def _merge(source: Source, top: dict[str, Any], env_name: str, section: dict[str, Any]) -> Section:
    place: KeyPath = ("env", env_name)
    data = {key: value for key, value in top.items() if key not in NOT_INHERITED}
    origin: dict[str, KeyPath] = dict.fromkeys(data, ())
    if isinstance(top.get("name"), str):
        data["name"] = f"{top['name']}-{env_name}"
    for key in top:
        if key in NOT_INHERITED and key not in section and top[key]:
            hint = f"add it to [env.{env_name}]: variables and bindings are not inherited"
            source.warn(place, f'"{key}" exists at the top level, but not in environment "{env_name}"', hint)
    data.update(section)
    origin.update(dict.fromkeys(section, place))
    return Section(source, data, origin)


def _check_environment(source: Source, name: str, section: Any) -> None:
    if isinstance(section, dict):
        _check_keys(source, section, ("env", name))
    else:
        source.error(("env", name), f'environment "{name}" must be a table')


def _check_keys(source: Source, section: dict[str, Any], place: KeyPath) -> None:
    for key in section:
        if key not in TOP:
            source.warn((*place, key), f'unknown key "{key}"', suggest(key, TOP))
        elif place and key in TOP_ONLY:
            source.warn((*place, key), f'"{key}" has no effect inside an environment')
