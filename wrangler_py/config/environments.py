"""``[env.X]``: wrangler's inheritance. Most keys are taken over from the top; variables and bindings are not."""

from __future__ import annotations

from typing import Any

from wrangler_py.config.diagnostics import suggest
from wrangler_py.config.keys import NOT_INHERITED, SECTION, TOP_LEVEL, TOP_LEVEL_ONLY
from wrangler_py.config.positions import KeyPath
from wrangler_py.config.source import Source
from wrangler_py.config.table import Table, quoted


def select(source: Source, env_name: str | None) -> Table | None:
    """Return the section of an environment, merged with the top; None, with an error reported, if there is none.

    In a file without environments any name will do: it is the top level under another name (wrangler's rule).
    """
    _check_top(source)
    environments = _environments(source)
    top = {key: value for key, value in source.data.items() if key != "env"}
    if env_name is None:
        return Table(source, top, ())
    if env_name in environments:
        return _merge(source, top, env_name, environments[env_name])
    if environments:
        hint = f"there are: {', '.join(environments)}"
        source.error(("env",), f"there is no environment {quoted(env_name)}", hint)
        return None
    source.warn((), f"there is no environment {quoted(env_name)} in this file", f"add [env.{env_name}]")
    return _merge(source, top, env_name, {})


def _environments(source: Source) -> dict[str, dict[str, Any]]:
    found = {}
    for name, section in Table(source, source.data, ()).table("env").data.items():
        if isinstance(section, dict):
            _check_section(source, name, section)
            found[name] = section
        else:
            source.error(("env", name), f"environment {quoted(name)} must be a table")
    return found


def _merge(source: Source, top: dict[str, Any], env_name: str, section: dict[str, Any]) -> Table:
    place: KeyPath = ("env", env_name)
    own = {key: value for key, value in section.items() if key not in TOP_LEVEL_ONLY}
    data = {key: value for key, value in top.items() if key not in NOT_INHERITED}
    if isinstance(top.get("name"), str):
        data["name"] = f"{top['name']}-{env_name}"
    _warn_left_behind(source, top, own, place)
    return Table(source, data | own, (), dict.fromkeys(own, place))


def _warn_left_behind(source: Source, top: dict[str, Any], section: dict[str, Any], place: KeyPath) -> None:
    """Warn about what the top level has and the environment, which does not inherit it, lacks."""
    left: list[tuple[str, ...]] = [
        (key,) for key in top if key in NOT_INHERITED and key not in section and top[key]
    ]
    variables = top.get("vars"), section.get("vars")
    if isinstance(variables[0], dict) and isinstance(variables[1], dict):
        left += [("vars", name) for name in variables[0] if name not in variables[1]]
    for path in left:
        hint = f"add it to [{'.'.join(map(str, place))}]: variables and bindings are not inherited"
        message = f"{quoted('.'.join(path))} exists at the top level, but not in environment {quoted(str(place[-1]))}"
        source.warn((*place, *path), message, hint)


def _check_top(source: Source) -> None:
    for key in source.data:
        if key not in TOP_LEVEL:
            source.warn((key,), f"unknown key {quoted(key)}", suggest(key, TOP_LEVEL))


def _check_section(source: Source, name: str, section: dict[str, Any]) -> None:
    for key in section:
        if key in TOP_LEVEL_ONLY:
            source.warn(
                ("env", name, key),
                f"{quoted(key)} has no effect inside an environment",
                "move it to the top level",
            )
        elif key not in SECTION:
            source.warn(("env", name, key), f"unknown key {quoted(key)}", suggest(key, SECTION))
