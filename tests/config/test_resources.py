"""Bindings beside workflows: each entry is read, or every problem in it has its place."""

import pytest

from tests.config.samples import HEAD, WORKFLOW, found, only
from wrangler_py.config.model import (
    ConsumerConfig,
    D1Config,
    EmailConfig,
    KvConfig,
    ObjectConfig,
    ProducerConfig,
    R2Config,
    ServiceConfig,
)

ALL = """\
[[kv_namespaces]]
binding = "KV"
id = "abc"

[[d1_databases]]
binding = "DB"
database_name = "shop"
database_id = "1-2-3"
migrations_dir = "sql"
migrations_table = "applied"

[[r2_buckets]]
binding = "BUCKET"
bucket_name = "files"

[[send_email]]
name = "MAIL"
allowed_destination_addresses = ["a@b.c"]

[[services]]
binding = "OTHER"
service = "other"
environment = "prod"
entrypoint = "Admin"
props = { level = 3 }

[[queues.producers]]
binding = "Q"
queue = "jobs"
delivery_delay = 5

[[queues.consumers]]
queue = "jobs"
max_batch_size = 100
max_batch_timeout = 0
max_retries = 0
max_concurrency = 2
retry_delay = 60
dead_letter_queue = "dead"

[[durable_objects.bindings]]
name = "COUNTER"
class_name = "Counter"

[[durable_objects.bindings]]
name = "THEIRS"
class_name = "Theirs"
script_name = "other"
environment = "prod"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]
"""


def test_every_kind_is_read(project):
    loaded = project(HEAD + ALL)
    assert found(loaded) == []
    resources = loaded.config.resources
    assert resources.kv_namespaces == (KvConfig("KV", "abc"),)
    assert resources.d1_databases == (D1Config("DB", "shop", "1-2-3", "sql", "applied"),)
    assert resources.r2_buckets == (R2Config("BUCKET", "files"),)
    assert resources.send_email == (EmailConfig("MAIL", None, ("a@b.c",)),)
    assert resources.services == (ServiceConfig("OTHER", "other-prod", "Admin", {"level": 3}),)
    assert resources.producers == (ProducerConfig("Q", "jobs", 5),)
    assert resources.consumers == (ConsumerConfig("jobs", 100, 0, 0, 2, "dead", 60),)
    assert resources.durable_objects == (
        ObjectConfig("COUNTER", "Counter"),
        ObjectConfig("THEIRS", "Theirs", "other-prod"),
    )


def test_what_is_left_out_has_wranglers_defaults(project):
    text = (
        '[[kv_namespaces]]\nbinding = "KV"\n[[d1_databases]]\nbinding = "DB"\n'
        '[[r2_buckets]]\nbinding = "FILES"\n[[queues.consumers]]\nqueue = "jobs"\n'
    )
    resources = project(HEAD + text).config.resources
    assert resources.kv_namespaces == (KvConfig("KV", "KV"),)
    assert resources.d1_databases == (D1Config("DB", "DB", "DB", "migrations", "d1_migrations"),)
    assert resources.r2_buckets == (R2Config("FILES", "files"),)
    assert resources.consumers == (ConsumerConfig("jobs", 10, 5, 3, 1, None, 0),)


@pytest.mark.parametrize(
    ("section", "entry"),
    [
        ("kv_namespaces", 'binding = "a-b"'),
        ("kv_namespaces", 'binding = "class"'),
        ("kv_namespaces", "id = 3"),
        ("d1_databases", 'migrations_dir = ""'),
        ("d1_databases", "database_id = true"),
        ("r2_buckets", 'bucket_name = ""'),
        ("services", 'service = "a b"'),
        ("services", 'entrypoint = "no name"'),
        ("services", "props = 5"),
        ("send_email", 'destination_address = "nobody"'),
        ("send_email", 'allowed_sender_addresses = ["x"]'),
        ("queues.producers", "delivery_delay = 43201"),
        ("queues.consumers", "max_batch_size = 101"),
        ("queues.consumers", "max_batch_timeout = 61"),
        ("queues.consumers", "max_retries = -1"),
        ("queues.consumers", 'dead_letter_queue = "jobs"'),
        ("durable_objects.bindings", 'class_name = "1"'),
    ],
)
def test_a_wrong_value_is_one_error_at_its_line(project, section, entry):
    required = {
        "kv_namespaces": 'binding = "B"', "d1_databases": 'binding = "B"', "r2_buckets": 'binding = "B"',
        "services": 'binding = "B"\nservice = "s"', "send_email": 'name = "B"',
        "queues.producers": 'binding = "B"\nqueue = "jobs"', "queues.consumers": 'queue = "jobs"',
        "durable_objects.bindings": 'name = "B"\nclass_name = "C"',
    }[section]  # fmt: skip
    kept = [line for line in required.split("\n") if line.split()[0] != entry.split()[0]]
    text = "\n".join([HEAD, f"[[{section}]]", *kept, entry])
    loaded = project(text)
    assert loaded.config is None
    assert only(loaded, "error").line == len(text.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        WORKFLOW + '[[kv_namespaces]]\nbinding = "W"\n',
        '[[kv_namespaces]]\nbinding = "A"\n[[r2_buckets]]\nbinding = "A"\n',
        '[[send_email]]\nname = "A"\n[[queues.producers]]\nbinding = "A"\nqueue = "jobs"\n',
        '[vars]\nA = "x"\n[[services]]\nbinding = "A"\nservice = "s"\n',
    ],
)
def test_a_name_on_env_is_taken_once(project, text):
    assert "is also the name of a" in only(project(HEAD + text), "error").message


def test_a_queue_has_one_consumer(project):
    text = '[[queues.consumers]]\nqueue = "jobs"\n' * 2
    assert only(project(HEAD + text), "error").message == 'queue "jobs" has a consumer already'


def test_an_unknown_key_is_a_warning(project):
    loaded = project(HEAD + '[[kv_namespaces]]\nbinding = "KV"\nidd = "x"\nremote = true\n')
    assert loaded.config is not None
    assert "unknown key" in only(loaded, "warning").message


def test_objects_without_migrations_are_warned_about(project):
    loaded = project(HEAD + '[[durable_objects.bindings]]\nname = "C"\nclass_name = "Counter"\n')
    assert "have no [[migrations]]" in only(loaded, "warning").message


def test_environments_do_not_inherit_bindings(project):
    loaded = project(HEAD + ALL + "[env.prod]\n", env="prod")
    assert loaded.config.resources.kv_namespaces == ()
    assert sum(item.severity == "warning" for item in loaded.diagnostics.items) == 7
