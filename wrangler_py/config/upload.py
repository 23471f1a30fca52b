"""What a Worker is uploaded as: Cloudflare's ``metadata`` of a script, made of a configuration and read back into one.

Both directions are here, so that a version on a server is started from a configuration like any project on disk.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from wrangler_py.errors import RequestError

if TYPE_CHECKING:
    from wrangler_py.config.model import Config

Binding = dict[str, Any]
#: The type of a binding that is a secret, and what ``keep_bindings`` calls them.
SECRET = "secret_text"  # noqa: S105 - the name of a kind
#: Keys of a configuration that Cloudflare sets by other calls than the upload: ours takes them along with it.
OWN = "pywrangler"


class _Own(msgspec.Struct):
    """What is under `OWN`: in these shapes, their contents are looked at when the configuration is loaded."""

    triggers: Binding = {}
    limits: Binding = {}
    workflows: list[Binding] = []
    queues: dict[str, list[Binding]] = {}


class Metadata(msgspec.Struct):
    """What is read of the metadata. What else Cloudflare's own tool sends means nothing here."""

    main_module: str
    bindings: list[Binding] = []
    compatibility_date: str | None = None
    compatibility_flags: list[str] = []
    annotations: dict[str, str] = {}
    keep_bindings: list[str] = []
    pywrangler: _Own = msgspec.field(default_factory=_Own)


def to_metadata(config: Config, main_module: str, *, message: str | None, tag: str | None) -> dict[str, Any]:
    """Return the ``metadata`` part of an upload."""
    annotations = {"workers/message": message, "workers/tag": tag}
    metadata: dict[str, Any] = {
        "main_module": main_module,
        "bindings": bindings_of(config),
        "compatibility_flags": list(config.compatibility_flags),
        "annotations": {key: value for key, value in annotations.items() if value is not None},
        # What was set once stays set, as on Cloudflare, until another value is given.
        "keep_bindings": [SECRET],
        OWN: {key: config.raw[key] for key in _Own.__struct_fields__ if key in config.raw},
    }
    if config.compatibility_date is not None:
        metadata["compatibility_date"] = config.compatibility_date.isoformat()
    return metadata


def bindings_of(config: Config, secrets: Collection[str] = ()) -> list[Binding]:
    """Return the bindings of a configuration, of whose variables some are ``secrets``."""
    return [*(_variable_of(name, value, secrets) for name, value in config.vars.items()), *_bindings(config)]


def _variable_of(name: str, value: Any, secrets: Collection[str]) -> Binding:
    if not isinstance(value, str):
        return {"name": name, "type": "json", "json": value}
    return {"name": name, "type": SECRET if name in secrets else "plain_text", "text": value}


def _bindings(config: Config) -> Iterator[Binding]:
    for workflow in config.workflows:
        script = {} if workflow.script_name is None else {"script_name": workflow.script_name}
        yield {
            "name": workflow.binding,
            "type": "workflow",
            "workflow_name": workflow.name,
            "class_name": workflow.class_name,
            **script,
        }
    yield from _resources(config)


def _resources(config: Config) -> Iterator[Binding]:
    found = config.resources
    for kv in found.kv_namespaces:
        yield {"name": kv.binding, "type": "kv_namespace", "namespace_id": kv.id}
    for d1 in found.d1_databases:
        yield {"name": d1.binding, "type": "d1", "id": d1.id, "database_name": d1.name}
    for r2 in found.r2_buckets:
        yield {"name": r2.binding, "type": "r2_bucket", "bucket_name": r2.bucket}
    for queue in found.producers:
        yield {"name": queue.binding, "type": "queue", "queue_name": queue.queue}
    for service in found.services:
        entrypoint = {} if service.entrypoint is None else {"entrypoint": service.entrypoint}
        yield {"name": service.binding, "type": "service", "service": service.service, **entrypoint}
    for one in found.durable_objects:
        script = {} if one.script_name is None else {"script_name": one.script_name}
        yield {
            "name": one.binding,
            "type": "durable_object_namespace",
            "class_name": one.class_name,
            **script,
        }
    for email in found.send_email:
        yield {"name": email.binding, "type": "send_email"}


def read_metadata(metadata: Mapping[str, Any]) -> Metadata:
    """Return what is looked at of an upload's metadata. Raises RequestError (400) if it is not of these shapes."""
    try:
        return msgspec.convert(metadata, Metadata)
    except msgspec.ValidationError as error:
        raise RequestError(400, f"metadata: {error}") from None


def to_config(script: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``wrangler.json`` of an uploaded script.

    Raises:
        RequestError: 400, the metadata lacks something or has a binding of a kind there is not.
    """
    read = read_metadata(metadata)
    if not read.main_module.endswith(".py"):
        raise RequestError(400, "metadata.main_module: a Python module is needed, as in src/entry.py")
    config: dict[str, Any] = {"name": script, "main": read.main_module}
    if read.compatibility_date:
        config["compatibility_date"] = read.compatibility_date
    if read.compatibility_flags:
        config["compatibility_flags"] = read.compatibility_flags
    config |= {key: value for key, value in msgspec.structs.asdict(read.pywrangler).items() if value}
    for binding in read.bindings:
        _add(config, binding)
    return config


def secrets_of(metadata: Mapping[str, Any]) -> list[str]:
    """Return the names of the variables that are secrets: of a metadata that `to_config` has read."""
    return [one["name"] for one in metadata.get("bindings") or [] if one["type"] == SECRET]


def _add(config: dict[str, Any], binding: Binding) -> None:
    reader = _READERS.get(str(binding.get("type")))
    if reader is None or not isinstance(binding.get("name"), str):
        raise RequestError(400, f"metadata.bindings: {binding!r} is not a binding that can be had here")
    try:
        reader(config, binding)
    except KeyError as error:
        raise RequestError(400, f"metadata.bindings: {binding['name']} lacks {error}") from None


def _variable(config: dict[str, Any], binding: Binding) -> None:
    value = binding["json"] if binding["type"] == "json" else binding["text"]
    config.setdefault("vars", {})[binding["name"]] = value


def _workflow(config: dict[str, Any], binding: Binding) -> None:
    """Add a workflow, unless it came along whole."""
    known = config.setdefault("workflows", [])
    if not any(one.get("binding") == binding["name"] for one in known):
        entry = {
            "binding": binding["name"],
            "name": binding["workflow_name"],
            "class_name": binding["class_name"],
        }
        known.append(entry | _given(binding, script_name="script_name"))


def _producer(config: dict[str, Any], binding: Binding) -> None:
    producers = config.setdefault("queues", {}).setdefault("producers", [])
    if not any(one.get("binding") == binding["name"] for one in producers):
        producers.append({"binding": binding["name"], "queue": binding["queue_name"]})


def _object(config: dict[str, Any], binding: Binding) -> None:
    bindings = config.setdefault("durable_objects", {}).setdefault("bindings", [])
    entry = {"name": binding["name"], "class_name": binding["class_name"]}
    bindings.append(entry | _given(binding, script_name="script_name"))


def _listed(key: str, **fields: str) -> Any:
    """Return a reader that adds an entry to the list ``key``: ``its key="the binding's key"``, those that are there."""

    def read(config: dict[str, Any], binding: Binding) -> None:
        config.setdefault(key, []).append({"binding": binding["name"]} | _given(binding, **fields))

    return read


def _given(binding: Binding, **fields: str) -> Binding:
    return {ours: binding[theirs] for ours, theirs in fields.items() if binding.get(theirs) is not None}


def _email(config: dict[str, Any], binding: Binding) -> None:
    config.setdefault("send_email", []).append({"name": binding["name"]})


_READERS = {
    "plain_text": _variable,
    "json": _variable,
    SECRET: _variable,
    "workflow": _workflow,
    "queue": _producer,
    "durable_object_namespace": _object,
    "kv_namespace": _listed("kv_namespaces", id="namespace_id"),
    "d1": _listed("d1_databases", database_id="id", database_name="database_name"),
    "r2_bucket": _listed("r2_buckets", bucket_name="bucket_name"),
    "service": _listed("services", service="service", entrypoint="entrypoint"),
    "send_email": _email,
}
