"""A merged section to a `Config`: every value checked, every problem reported at its place."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from wrangler_py.config.cron import problem as cron_problem
from wrangler_py.config.dotenv import read_secrets
from wrangler_py.config.keys import (
    DEV,
    DEV_UNUSED,
    LIMITS,
    LIMITS_UNUSED,
    SECRETS,
    TRIGGERS,
    TRIGGERS_UNUSED,
)
from wrangler_py.config.model import Config, DevConfig, LimitsConfig, PagesConfig
from wrangler_py.config.names import Names, script_name_problem
from wrangler_py.config.positions import walk
from wrangler_py.config.resources import read_resources
from wrangler_py.config.table import Table, shown
from wrangler_py.config.workflows import read_workflows

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PLANS: dict[str, Literal["paid", "free"]] = {"paid": "paid", "free": "free"}


def build(section: Table, env_name: str | None, variables: Mapping[str, str]) -> Config:
    """Return the configuration; where a value is wrong, an error is reported and a default stands in."""
    path = section.source.path
    name = _name(section, env_name)
    values = {**_vars(section), **variables}
    secrets, required = _secrets(section, env_name, variables)
    names = Names(values)
    return Config(
        path=path,
        root=path.parent,
        name=name,
        main=_main(section),
        pages=_pages(section),
        env_name=env_name,
        compatibility_date=_date(section),
        compatibility_flags=section.texts("compatibility_flags"),
        workflows=tuple(read_workflows(section, name, names)),
        vars=values,
        secrets=secrets,
        required_secrets=required,
        resources=read_resources(section, name, names),
        crons=_crons(section),
        limits=_limits(section),
        dev=_dev(section),
        raw=section.data,
    )


def _name(section: Table, env_name: str | None) -> str:
    """Return the Worker's name; without one, that of its folder, as far as it can be one."""
    folder = (
        re.sub(r"[^a-z0-9_]+", "-", section.source.path.parent.resolve().name.lower()).strip("-") or "worker"
    )
    return section.text("name", script_name_problem) or (f"{folder}-{env_name}" if env_name else folder)


def _main(section: Table) -> Path | None:
    main = section.text(
        "main", lambda text: None if text.endswith(".py") else "is not the path of a Python file"
    )
    if main is None:
        return None
    try:
        path = (section.source.path.parent / main).resolve()
        if path.is_file():
            return path
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # A loop of links, a name that is too long or not a name.
        reason = getattr(error, "strerror", None) or "it is no name of a file"
        section.error("main", f"main cannot be read: {reason}")
    else:
        section.error("main", f'there is no file "{main}"', f"looked for {path}")
    return None


def _pages(section: Table) -> PagesConfig | None:
    directory = section.text("pages_build_output_dir", lambda text: None if text else "must not be empty")
    if directory is None:
        return None
    if section.has("main"):
        section.error("main", "a Pages project has no main", "its code is in functions/")
    root = section.source.path.parent
    if not (root / directory).is_dir():
        section.error(
            "pages_build_output_dir", f'there is no folder "{directory}"', f"looked for {root / directory}"
        )
    return PagesConfig(root / directory, root / "functions")


def _date(section: Table) -> dt.date | None:
    raw = section.data.get("compatibility_date")
    if isinstance(raw, dt.date) and not isinstance(raw, dt.datetime):
        return raw
    text = section.text("compatibility_date", _day_problem)
    return None if text is None else dt.date.fromisoformat(text)


def _day_problem(text: str) -> str | None:
    # Python would also read "20260301" and "2026-W09-7".
    with suppress(ValueError):
        dt.date.fromisoformat(text)
        if _DAY.fullmatch(text):
            return None
    return 'is not a day as "2026-03-01"'


def _vars(section: Table) -> dict[str, Any]:
    """Return the variables; what JSON cannot say is an error, for that is how Cloudflare hands them to a Worker."""
    table = section.table("vars")
    for path, value in walk(dict(table.data), table.at):
        is_moment = isinstance(value, dt.date | dt.time)
        if is_moment or (isinstance(value, float) and not math.isfinite(value)):
            name = ".".join(map(str, path[len(table.at) :]))
            table.source.error(path, f"the variable {name} cannot be {shown(value)}", "write it in quotes")
    return dict(table.data)


def _secrets(
    section: Table, env_name: str | None, variables: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...] | None]:
    """Return the secrets, and the names that ``[secrets] required`` asks for: there are no others then."""
    found = read_secrets(section.source.path.parent, env_name, section.source.diagnostics)
    found = {key: value for key, value in found.items() if key not in variables}
    if not section.has("secrets"):
        return found, None
    table = section.table("secrets")
    table.warn_unknown(SECRETS)
    required = table.texts("required", lambda text: None if text else "must not be empty")
    missing = [name for name in required if name not in found and name not in variables]
    if missing:
        message = f"the required secrets {', '.join(missing)} have no value"
        section.source.warn(table.path("required"), message, "write them into .dev.vars: NAME=value")
    return {key: value for key, value in found.items() if key in required}, required


def _crons(section: Table) -> tuple[str, ...]:
    table = section.table("triggers")
    table.warn_unknown(TRIGGERS, TRIGGERS_UNUSED)
    return table.texts("crons", cron_problem)


def _limits(section: Table) -> LimitsConfig:
    table = section.table("limits")
    table.warn_unknown(LIMITS, LIMITS_UNUSED)
    plan = table.text("plan", lambda text: None if text in _PLANS else 'must be "paid" or "free"')
    return LimitsConfig(_PLANS[plan or "paid"], table.flag("enforce"))


def _dev(section: Table) -> DevConfig:
    table = section.table("dev")
    table.warn_unknown(DEV, DEV_UNUSED)
    port = table.whole("port", 0, 65535)
    ip = table.text("ip", lambda text: None if text else "must not be empty")
    return DevConfig(ip or "127.0.0.1", 8787 if port is None else port, table.flag("strict"))
