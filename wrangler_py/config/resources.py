"""What a Worker may reach beside its workflows: one reader a kind of binding (wrangler's documentation, "Bindings").

Every reader skips, with the error reported, an entry whose required keys are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

from wrangler_py.config.model import (
    ConsumerConfig,
    D1Config,
    EmailConfig,
    KvConfig,
    ObjectConfig,
    ProducerConfig,
    R2Config,
    ResourcesConfig,
    ServiceConfig,
)
from wrangler_py.config.names import Names, identifier_problem, script_name_problem
from wrangler_py.config.table import Table

T = TypeVar("T")
#: A queue's or a bucket's name: what wrangler asks of one, and safe as the name of a file.
_LONGEST = 255
#: Queues docs, "Batching, Retries and Delays" and "Limits".
_MAX_BATCH, _MAX_WAIT_S, _MAX_RETRIES, _MAX_CONCURRENCY, _MAX_DELAY_S = 100, 60, 100, 250, 43_200

_KV = ("binding", "id")
_D1 = ("binding", "database_name", "database_id", "migrations_dir", "migrations_table", "migrations_pattern")
_R2 = ("binding", "bucket_name")
_EMAIL = ("name", "destination_address", "allowed_destination_addresses", "allowed_sender_addresses")
_SERVICE = ("binding", "service", "entrypoint", "environment", "props")
_PRODUCER = ("binding", "queue", "delivery_delay")
_CONSUMER = (
    "queue", "max_batch_size", "max_batch_timeout", "max_retries", "max_concurrency", "dead_letter_queue", "retry_delay"
)  # fmt: skip
_OBJECT = ("name", "class_name", "script_name", "environment")
_UNUSED = ("remote", "preview_id", "preview_bucket_name", "preview_database_id", "jurisdiction", "type",
           "visibility_timeout_ms", "experimental_remote", "database_internal_env", "cross_account_grant")  # fmt: skip


def read_resources(section: Table, script: str, names: Names) -> ResourcesConfig:
    """Return all bindings of a section but its workflows; ``names`` are claimed for them on ``env``."""
    queues, objects = section.table("queues"), section.table("durable_objects")
    queues.warn_unknown(("producers", "consumers"))
    objects.warn_unknown(("bindings",))
    found = ResourcesConfig(
        kv_namespaces=_all(section, "kv_namespaces", _kv, names),
        d1_databases=_all(section, "d1_databases", _d1, names),
        r2_buckets=_all(section, "r2_buckets", _r2, names),
        send_email=_all(section, "send_email", _email, names),
        services=_all(section, "services", _service, names),
        producers=_all(queues, "producers", _producer, names),
        consumers=tuple(_once_each(queues)),
        durable_objects=_all(objects, "bindings", _object, names),
    )
    _warn_without_migrations(section, found.durable_objects, script)
    return found


def _all(section: Table, key: str, read: Callable[[Table], T | None], names: Names) -> tuple[T, ...]:
    found = []
    for table in section.tables(key):
        one = read(table)
        if one is not None:
            names.claim(table, "name" if table.has("name") and not table.has("binding") else "binding")
            found.append(one)
    return tuple(found)


def _kv(table: Table) -> KvConfig | None:
    binding = _binding(table, _KV)
    namespace = table.text("id", _id_problem)
    return None if binding is None else KvConfig(binding, namespace or binding)


def _d1(table: Table) -> D1Config | None:
    binding = _binding(table, _D1)
    name = table.text("database_name", _id_problem)
    database = table.text("database_id", _id_problem)
    folder = table.text("migrations_dir", _not_empty)
    recorded_in = table.text("migrations_table", _not_empty)
    if binding is None:
        return None
    name = name or database or binding
    return D1Config(binding, name, database or name, folder or "migrations", recorded_in or "d1_migrations")


def _r2(table: Table) -> R2Config | None:
    binding = _binding(table, _R2)
    bucket = table.text("bucket_name", _id_problem)
    return None if binding is None else R2Config(binding, bucket or binding.lower())


def _email(table: Table) -> EmailConfig | None:
    name = table.required_text("name", identifier_problem, _EMAIL)
    table.warn_unknown(_EMAIL, _UNUSED)
    destination = table.text("destination_address", _address_problem)
    receivers = table.texts("allowed_destination_addresses", _address_problem)
    senders = table.texts("allowed_sender_addresses", _address_problem)
    if destination is not None and receivers:
        table.error(
            "destination_address", "destination_address and allowed_destination_addresses exclude each other"
        )
    return None if name is None else EmailConfig(name, destination, receivers, senders)


def _service(table: Table) -> ServiceConfig | None:
    binding = _binding(table, _SERVICE)
    service = table.required_text("service", script_name_problem, _SERVICE)
    environment = table.text("environment", script_name_problem)
    entrypoint = table.text("entrypoint", identifier_problem)
    props = dict(table.table("props").data)
    if binding is None or service is None:
        return None
    return ServiceConfig(binding, _deployed(service, environment), entrypoint, props)


def _producer(table: Table) -> ProducerConfig | None:
    binding = _binding(table, _PRODUCER)
    queue = table.required_text("queue", _id_problem, _PRODUCER)
    delay = table.whole("delivery_delay", 0, _MAX_DELAY_S)
    return None if binding is None or queue is None else ProducerConfig(binding, queue, delay or 0)


def _once_each(queues: Table) -> Iterator[ConsumerConfig]:
    seen: set[str] = set()
    for table in queues.tables("consumers"):
        consumer = _consumer(table)
        if consumer is None:
            continue
        if consumer.queue in seen:
            table.error(
                "queue", f'queue "{consumer.queue}" has a consumer already', "a queue has one consumer"
            )
        seen.add(consumer.queue)
        yield consumer


def _consumer(table: Table) -> ConsumerConfig | None:
    queue = table.required_text("queue", _id_problem, _CONSUMER)
    table.warn_unknown(_CONSUMER, _UNUSED)
    given = {
        "max_batch_size": table.whole("max_batch_size", 1, _MAX_BATCH),
        "max_batch_timeout": table.whole("max_batch_timeout", 0, _MAX_WAIT_S),
        "max_retries": table.whole("max_retries", 0, _MAX_RETRIES),
        "max_concurrency": table.whole("max_concurrency", 1, _MAX_CONCURRENCY),
        "retry_delay": table.whole("retry_delay", 0, _MAX_DELAY_S),
    }
    dead = table.text("dead_letter_queue", _id_problem)
    if queue is None:
        return None
    if dead == queue:
        table.error("dead_letter_queue", f'queue "{queue}" is its own dead letter queue', "name another one")
    numbers = {key: value for key, value in given.items() if value is not None}
    return ConsumerConfig(queue, dead_letter_queue=dead, **numbers)


def _object(table: Table) -> ObjectConfig | None:
    name = table.required_text("name", identifier_problem, _OBJECT)
    class_name = table.required_text("class_name", identifier_problem, _OBJECT)
    script = table.text("script_name", script_name_problem)
    environment = table.text("environment", script_name_problem)
    table.warn_unknown(_OBJECT, _UNUSED)
    if name is None or class_name is None:
        return None
    return ObjectConfig(name, class_name, None if script is None else _deployed(script, environment))


def _warn_without_migrations(section: Table, objects: Collection[ObjectConfig], script: str) -> None:
    """Say early what Cloudflare says at deploy time: classes of one's own need a migration."""
    own = sorted({one.class_name for one in objects if one.script_name in (None, script)})
    if own and not section.data.get("migrations"):
        section.source.warn(
            section.path("durable_objects"),
            f"the Durable Objects {', '.join(own)} have no [[migrations]]; Cloudflare wants them to deploy",
            f'add [[migrations]] with tag = "v1" and new_sqlite_classes = ["{own[0]}"]',
        )


def _binding(table: Table, keys: tuple[str, ...]) -> str | None:
    table.warn_unknown(keys, _UNUSED)
    return table.required_text("binding", identifier_problem, keys)


def _deployed(script: str, environment: str | None) -> str:
    """Return the name under which an environment of a Worker is known."""
    return script if environment is None else f"{script}-{environment}"


def _id_problem(text: str) -> str | None:
    if not text or len(text) > _LONGEST:
        return f"must have 1 to {_LONGEST} characters"
    return None if text.isprintable() else "must be printable"


def _not_empty(text: str) -> str | None:
    return None if text else "must not be empty"


def _address_problem(text: str) -> str | None:
    name, at, domain = text.rpartition("@")
    return None if name and at and domain and " " not in text else "is not an email address"
