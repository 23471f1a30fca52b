"""A Worker's configuration, checked and complete."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

#: From this day on, parameters of a step name the steps it depends on (python-sdk, section 3).
IMPLICIT_DEPENDENCIES_FROM = dt.date(2026, 2, 25)
#: Before this day, module functions such as ``on_fetch`` answer (python-sdk, section 2).
NO_GLOBAL_HANDLERS_FROM = dt.date(2025, 8, 14)
#: From this day on, ``deleteAll`` of a Durable Object removes its alarm as well (changelog of that day).
DELETE_ALL_CLEARS_ALARM_FROM = dt.date(2026, 2, 24)


class WorkflowConfig(msgspec.Struct, frozen=True):
    """One ``[[workflows]]`` entry. ``step_limit`` and ``concurrency``: None, the plan's own."""

    name: str
    binding: str
    class_name: str
    script_name: str | None = None
    step_limit: int | None = None
    concurrency: int | None = None
    schedules: tuple[str, ...] = ()
    #: How long an instance is kept once it has completed, or failed: milliseconds or text such as "3 days".
    success_retention: int | str | None = None
    error_retention: int | str | None = None


class KvConfig(msgspec.Struct, frozen=True):
    """One of ``[[kv_namespaces]]``; ``id`` tells the namespace, whatever it is bound as."""

    binding: str
    id: str


class D1Config(msgspec.Struct, frozen=True):
    """One of ``[[d1_databases]]``; ``id`` tells the database, ``name`` is what commands call it."""

    binding: str
    name: str
    id: str
    migrations_dir: str = "migrations"
    migrations_table: str = "d1_migrations"


class R2Config(msgspec.Struct, frozen=True):
    """One of ``[[r2_buckets]]``."""

    binding: str
    bucket: str


class EmailConfig(msgspec.Struct, frozen=True):
    """One of ``[[send_email]]``; without any receivers, messages to everybody pass."""

    binding: str
    destination: str | None = None
    receivers: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()


class ServiceConfig(msgspec.Struct, frozen=True):
    """One of ``[[services]]``; ``entrypoint`` None: the class ``Default``. ``props``: its ``ctx.props``."""

    binding: str
    service: str
    entrypoint: str | None = None
    props: Mapping[str, Any] = {}


class ProducerConfig(msgspec.Struct, frozen=True):
    """One of ``[[queues.producers]]``; ``delivery_delay`` in seconds."""

    binding: str
    queue: str
    delivery_delay: int = 0


class ConsumerConfig(msgspec.Struct, frozen=True):
    """One of ``[[queues.consumers]]``; times in seconds. The defaults are those of the Queues docs."""

    queue: str
    max_batch_size: int = 10
    max_batch_timeout: int = 5
    max_retries: int = 3
    max_concurrency: int = 1
    dead_letter_queue: str | None = None
    retry_delay: int = 0


class ObjectConfig(msgspec.Struct, frozen=True):
    """One of ``[[durable_objects.bindings]]``; ``script_name`` None: the class is this Worker's own."""

    binding: str
    class_name: str
    script_name: str | None = None


class ResourcesConfig(msgspec.Struct, frozen=True):
    """All bindings but workflows, and the queues that are consumed."""

    kv_namespaces: tuple[KvConfig, ...] = ()
    d1_databases: tuple[D1Config, ...] = ()
    r2_buckets: tuple[R2Config, ...] = ()
    send_email: tuple[EmailConfig, ...] = ()
    services: tuple[ServiceConfig, ...] = ()
    producers: tuple[ProducerConfig, ...] = ()
    consumers: tuple[ConsumerConfig, ...] = ()
    durable_objects: tuple[ObjectConfig, ...] = ()


class PagesConfig(msgspec.Struct, frozen=True):
    """A Pages project: the folder of its static files, and that of its functions, which need not be there."""

    directory: Path
    functions: Path


class LimitsConfig(msgspec.Struct, frozen=True):
    """``[limits]``: ours, beside Cloudflare's ``cpu_ms``."""

    plan: Literal["paid", "free"] = "paid"
    enforce: bool = False


class DevConfig(msgspec.Struct, frozen=True):
    """``[dev]``."""

    ip: str = "127.0.0.1"
    port: int = 8787
    strict: bool = False


class Config(msgspec.Struct, frozen=True):
    """The configuration of one Worker, for one environment.

    ``raw`` is the merged section as written, for what is read elsewhere.
    """

    path: Path
    root: Path
    name: str
    main: Path | None = None
    pages: PagesConfig | None = None
    env_name: str | None = None
    compatibility_date: dt.date | None = None
    compatibility_flags: tuple[str, ...] = ()
    workflows: tuple[WorkflowConfig, ...] = ()
    vars: Mapping[str, Any] = msgspec.field(default_factory=dict)
    secrets: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Names of the secrets there may be; None: whatever stands in the files.
    required_secrets: tuple[str, ...] | None = None
    resources: ResourcesConfig = ResourcesConfig()
    crons: tuple[str, ...] = ()
    limits: LimitsConfig = LimitsConfig()
    dev: DevConfig = DevConfig()
    raw: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def flag(self, name: str) -> bool:
        """Return True if a compatibility flag is set."""
        return name in self.compatibility_flags

    @property
    def implicit_dependencies(self) -> bool:
        """True if parameters of a step name the steps it depends on."""
        if self.flag("no_python_workflows_implicit_dependencies"):
            return False
        return self.flag("python_workflows_implicit_dependencies") or self._since(IMPLICIT_DEPENDENCIES_FROM)

    @property
    def global_handlers(self) -> bool:
        """True if module functions such as ``on_fetch`` answer instead of the class ``Default``."""
        return self.flag("disable_python_no_global_handlers") or not self._since(NO_GLOBAL_HANDLERS_FROM)

    @property
    def clears_alarms(self) -> bool:
        """True if ``deleteAll`` of a Durable Object removes its alarm as well."""
        if self.flag("delete_all_preserves_alarm"):
            return False
        return self.flag("delete_all_deletes_alarm") or self._since(DELETE_ALL_CLEARS_ALARM_FROM)

    def _since(self, day: dt.date) -> bool:
        # Without a date, today's behaviour: who writes none wants what the documents describe.
        return self.compatibility_date is None or self.compatibility_date >= day
