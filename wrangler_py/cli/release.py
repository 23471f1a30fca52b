"""The calls of a deploy, in their order: the script, its workflows, and on Cloudflare what hangs on other calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wrangler_py.cli.bundling import Files, type_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wrangler_py.cli.remote import Remote
    from wrangler_py.config import Config
    from wrangler_py.config.model import WorkflowConfig


def own_workflows(config: Config) -> list[WorkflowConfig]:
    """Return the workflows whose class is in this Worker."""
    return [one for one in config.workflows if one.script_name in {None, config.name}]


def upload(remote: Remote, config: Config, metadata: Mapping[str, Any], files: Files) -> str:
    """Upload the script; return the id of its version."""
    if remote.is_cloudflare:
        metadata = _for_cloudflare(remote, config, metadata)
    parts = [("metadata", ("metadata.json", json.dumps(metadata), "application/json"))]
    contents = [(name, (name, content, type_of(name))) for name, content in files.items()]
    result = remote.call("PUT", f"workers/scripts/{config.name}", files=[*parts, *contents])
    return str(result.get("deployment_id") or result.get("id"))


def put_triggers(remote: Remote, config: Config) -> Iterator[str]:
    """Bind workflows and triggers to what was uploaded; yield a line for each."""
    for workflow in own_workflows(config):
        body = {"script_name": config.name, "class_name": workflow.class_name}
        remote.call("PUT", f"workflows/{workflow.name}", json=body)
        yield f"workflow: {workflow.name}"
    if remote.is_cloudflare:
        yield from _put_cloudflares(remote, config)
    else:
        yield f"host: {config.name}.localhost ({remote.address})"
        yield from (f"schedule: {cron}" for cron in config.crons)


def _put_cloudflares(remote: Remote, config: Config) -> Iterator[str]:
    script = f"workers/scripts/{config.name}"
    if "triggers" in config.raw:
        remote.call("PUT", f"{script}/schedules", json=[{"cron": cron} for cron in config.crons])
        yield from (f"schedule: {cron}" for cron in config.crons)
    if config.raw.get("workers_dev", True):
        remote.call("POST", f"{script}/subdomain", json={"enabled": True})
        subdomain = remote.call("GET", "workers/subdomain")["subdomain"]
        yield f"https://{config.name}.{subdomain}.workers.dev"


def _for_cloudflare(remote: Remote, config: Config, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata as Cloudflare takes it: without what is ours, with the migrations it has not seen."""
    from wrangler_py.config.upload import OWN

    found = {key: value for key, value in metadata.items() if key != OWN}
    migrations = config.raw.get("migrations")
    if migrations and (steps := _migrations(migrations, _migration_tag(remote, config.name))):
        found["migrations"] = steps
    return found


def _migration_tag(remote: Remote, script: str) -> str | None:
    """Return the last migration of Durable Objects that the deployed script has had."""
    for one in remote.call("GET", "workers/scripts"):
        if one.get("id") == script:
            tag: str | None = one.get("migration_tag")
            return tag
    return None


def _migrations(migrations: Sequence[Mapping[str, Any]], old: str | None) -> dict[str, Any] | None:
    tags = [one["tag"] for one in migrations]
    new = migrations[tags.index(old) + 1 :] if old in tags else migrations
    if not new:
        return None
    steps = [{key: value for key, value in one.items() if key != "tag"} for one in new]
    found = {"new_tag": new[-1]["tag"], "steps": steps}
    return found if old is None else {**found, "old_tag": old}
