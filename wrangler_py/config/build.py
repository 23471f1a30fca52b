"""A merged section to a `Config`: every value checked, every problem reported at its place."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wrangler_py.config.cron import problem as cron_problem
from wrangler_py.config.diagnostics import suggest
from wrangler_py.config.dotenv import read_dotenv, secret_files
from wrangler_py.config.environments import Section
from wrangler_py.config.known import DEV, LIMITS, TRIGGERS, WORKFLOW
from wrangler_py.config.model import Config, DevConfig, LimitsConfig, WorkflowConfig
from wrangler_py.config.source import KeyPath

_WORKFLOW_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9\-_]*")
_SCRIPT_NAME = re.compile(r"[a-z0-9_][a-z0-9\-_]*", re.IGNORECASE)
_MAX_NAME = 64
#: docs, "Limits": what a binding may raise the step limit to.
_MAX_STEPS = 25_000
_MAX_CONCURRENCY = 4500


def build(section: Section, env_name: str | None, variables: Mapping[str, str]) -> Config:
    """Return the configuration; where a value is wrong, an error is reported and a default stands in."""
    return _Builder(section, env_name).config(variables)


class _Builder:
    def __init__(self, section: Section, env_name: str | None) -> None:
        self.section = section
        self.source = section.source
        self.env_name = env_name
        self.root = self.source.path.parent

    def config(self, variables: Mapping[str, str]) -> Config:
        main = self._main()
        return Config(
            path=self.source.path,
            root=self.root,
            name=self._name(),
            main=main,
            env_name=self.env_name,
            compatibility_date=self._date(),
            compatibility_flags=self._texts("compatibility_flags"),
            workflows=tuple(self._workflows(main)),
            vars={**self._table("vars"), **variables},
            secrets={key: value for key, value in self._secrets().items() if key not in variables},
            crons=self._crons(self._table("triggers", TRIGGERS).get("crons"), self.section.key("triggers", "crons")),
            limits=self._limits(),
            dev=self._dev(),
            raw=self.section.data,
        )

    # single values

    def _error(self, key: KeyPath, message: str, hint: str | None = None) -> None:
        self.source.error(key, message, hint)

    def _name(self) -> str:
        name = self.section.data.get("name")
        if name is None:
            return self.root.resolve().name
        if not isinstance(name, str) or not _SCRIPT_NAME.fullmatch(name):
            self._error(self.section.key("name"), f"name must be letters, digits, - and _, not {name!r}")
            return "worker"
        return name

    def _main(self) -> Path | None:
        main = self.section.data.get("main")
        if main is None:
            return None
        key = self.section.key("main")
        if not isinstance(main, str) or not main:
            self._error(key, f"main must be the path of a Python file, not {main!r}")
            return None
        path = (self.root / main).resolve()
        if path.suffix != ".py":
            self._error(key, f'main must be a Python file, not "{main}"')
        elif not path.is_file():
            self._error(key, f'there is no file "{main}"', f"looked for {path}")
        return path

    def _date(self) -> datetime.date | None:
        raw = self.section.data.get("compatibility_date")
        if raw is None or (isinstance(raw, datetime.date) and not isinstance(raw, datetime.datetime)):
            return raw
        try:
            return datetime.date.fromisoformat(raw)
        except (TypeError, ValueError):
            key = self.section.key("compatibility_date")
            self._error(key, f'compatibility_date must be a date as "2026-03-01", not {raw!r}')
            return None

    def _texts(self, name: str) -> tuple[str, ...]:
        raw = self.section.data.get(name, [])
        if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
            self._error(self.section.key(name), f"{name} must be a list of texts, not {raw!r}")
            return ()
        return tuple(raw)

    def _table(self, name: str, known: frozenset[str] | None = None) -> dict[str, Any]:
        raw = self.section.data.get(name, {})
        if not isinstance(raw, dict):
            self._error(self.section.key(name), f"{name} must be a table, not {raw!r}")
            return {}
        if known is not None:
            self._warn_unknown(raw, known, self.section.key(name), f"[{name}]")
        return raw

    def _warn_unknown(self, table: Mapping[str, Any], known: frozenset[str], place: KeyPath, where: str) -> None:
        for key in table:
            if key not in known:
                hint = suggest(key, known) or f"there are: {', '.join(sorted(known))}"
                self.source.warn((*place, key), f'unknown key "{key}" in {where}', hint)

    def _secrets(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for path in secret_files(self.root, self.env_name):
            try:
                found |= read_dotenv(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                self._error((), f"{path.name} cannot be read: {error}")
        return found

    def _crons(self, raw: Any, key: KeyPath) -> tuple[str, ...]:
        listed = [raw] if isinstance(raw, str) else ([] if raw is None else raw)
        if not isinstance(listed, list):
            self._error(key, f"a list of cron expressions is needed here, not {raw!r}")
            return ()
        for index, expression in enumerate(listed):
            if not isinstance(expression, str):
                self._error((*key, index), f"a cron expression is a text, not {expression!r}")
            elif problem := cron_problem(expression):
                self._error((*key, index), f'"{expression}" {problem}')
        return tuple(one for one in listed if isinstance(one, str))

    # tables

    def _limits(self) -> LimitsConfig:
        table, key = self._table("limits", LIMITS), self.section.key("limits")
        plan, enforce = table.get("plan", "paid"), table.get("enforce", False)
        if plan not in ("paid", "free"):
            self._error((*key, "plan"), f'plan must be "paid" or "free", not {plan!r}')
            plan = "paid"
        return LimitsConfig(plan, self._flag(enforce, (*key, "enforce")))

    def _dev(self) -> DevConfig:
        table, key = self._table("dev", DEV), self.section.key("dev")
        ip, port = table.get("ip", "127.0.0.1"), table.get("port", 8787)
        if not isinstance(ip, str):
            self._error((*key, "ip"), f"ip must be a text, not {ip!r}")
            ip = "127.0.0.1"
        if not _is_whole(port, 0, 65535):
            self._error((*key, "port"), f"port must be a number from 0 to 65535, not {port!r}")
            port = 8787
        return DevConfig(ip, port, self._flag(table.get("strict", False), (*key, "strict")))

    def _flag(self, value: Any, key: KeyPath) -> bool:
        if not isinstance(value, bool):
            self._error(key, f"{key[-1]} must be true or false, not {value!r}")
            return False
        return value

    # workflows

    def _workflows(self, main: Path | None) -> Iterator[WorkflowConfig]:
        raw = self.section.data.get("workflows", [])
        if not isinstance(raw, list):
            self._error(self.section.key("workflows"), "workflows must be an array of tables: write [[workflows]]")
            return
        seen: dict[str, set[str]] = {"name": set(), "binding": set()}
        for index, entry in enumerate(raw):
            key = self.section.key("workflows", index)
            if not isinstance(entry, dict):
                self._error(key, f"a workflow must be a table, not {entry!r}")
                continue
            workflow = self._workflow(entry, key)
            if workflow is not None:
                self._check_twice(workflow, key, seen)
                if workflow.script_name is None and main is None:
                    self._error(key, f'workflow "{workflow.name}" has no code', 'add main = "src/entry.py", or a script_name')
                yield workflow

    def _check_twice(self, workflow: WorkflowConfig, key: KeyPath, seen: dict[str, set[str]]) -> None:
        for field, values in seen.items():
            value = getattr(workflow, field)
            if value in values:
                self._error((*key, field), f'{field} "{value}" is taken by another workflow', "each needs its own")
            values.add(value)

    def _workflow(self, entry: dict[str, Any], key: KeyPath) -> WorkflowConfig | None:
        self._warn_unknown(entry, WORKFLOW, key, "[[workflows]]")
        texts = {name: self._required(entry, name, key) for name in ("name", "binding", "class_name")}
        script_name = entry.get("script_name")
        if script_name is not None and not isinstance(script_name, str):
            self._error((*key, "script_name"), f"script_name must be a text, not {script_name!r}")
        if None in texts.values():
            return None
        self._check_names(texts, key)
        return WorkflowConfig(
            name=str(texts["name"]),
            binding=str(texts["binding"]),
            class_name=str(texts["class_name"]),
            script_name=script_name if isinstance(script_name, str) else None,
            step_limit=self._number(entry, key, "limits", "steps", _MAX_STEPS),
            concurrency=self._number(entry, key, "concurrency", "limit", _MAX_CONCURRENCY),
            schedules=self._crons(entry.get("schedules"), (*key, "schedules")),
        )

    def _required(self, entry: dict[str, Any], name: str, key: KeyPath) -> str | None:
        value = entry.get(name)
        if isinstance(value, str) and value:
            return value
        if name in entry:
            self._error((*key, name), f"{name} must be a text, not {value!r}")
        else:
            mistyped = next((other for other in entry if other not in WORKFLOW and suggest(other, [name])), None)
            self._error(key, f'a workflow needs "{name}"', f'found "{mistyped}"' if mistyped else None)
        return None

    def _check_names(self, texts: Mapping[str, str | None], key: KeyPath) -> None:
        name, binding, class_name = texts["name"] or "", texts["binding"] or "", texts["class_name"] or ""
        if len(name) > _MAX_NAME or not _WORKFLOW_NAME.fullmatch(name):
            self._error((*key, "name"), f'"{name}" is no workflow name: letters, digits, - and _, up to {_MAX_NAME} characters')
        for field, value in (("binding", binding), ("class_name", class_name)):
            if not value.isidentifier():
                self._error((*key, field), f'{field} "{value}" must be a Python name: letters, digits and _')

    def _number(self, entry: dict[str, Any], key: KeyPath, table: str, name: str, most: int) -> int | None:
        raw = entry.get(table)
        if raw is None:
            return None
        if not isinstance(raw, dict):
            self._error((*key, table), f"{table} must be a table: {{ {name} = N }}")
            return None
        self._warn_unknown(raw, frozenset({name}), (*key, table), f"{table} of a workflow")
        value = raw.get(name)
        if value is None:
            return None
        if not _is_whole(value, 1, most):
            self._error((*key, table, name), f"{name} must be a whole number from 1 to {most}, not {value!r}")
            return None
        return int(value)


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
