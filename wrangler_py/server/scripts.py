"""Deploying over REST v4: the calls that Cloudflare has, answered by the front of `pywrangler serve`.

A deploy is, in this order: unpacked into a folder of its own, put in place, tried by real workers, recorded and made
active in one transaction, switched to. Whatever fails before the record, or dies, leaves what serves as it was.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING, Any

import msgspec

from wrangler_py.clock import iso
from wrangler_py.config.upload import SECRET, secrets_of, to_config
from wrangler_py.errors import RequestError
from wrangler_py.server.asgi import header
from wrangler_py.server.bundle import MAX_BYTES, Bundle, check_script, read_bundle, sync_folder, write_bundle
from wrangler_py.server.envelope import Success, rest_refusal
from wrangler_py.server.requests import read
from wrangler_py.server.routing import Route, routes
from wrangler_py.storage.deployments import CONFIG_FILE, Deployment, Deployments, Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrangler_py.runtime.channel import Problem
    from wrangler_py.server.call import Call
    from wrangler_py.server.rollout import Rollout

PREFIX = "client/v4/accounts/{account}/workers"
SECRETS = "secrets"
_MESSAGE, _TAG = "workers/message", "workers/tag"


class Share(msgspec.Struct):
    """How much of a deployment a version gets: here always all of it."""

    version_id: str
    percentage: float = 100


class DeploymentBody(msgspec.Struct):
    """POST ``deployments``."""

    versions: list[Share]
    strategy: str = "percentage"
    annotations: dict[str, str] = {}


class Scripts:
    """The endpoints; deploys come one after another, so that each is tried against what the one before has left."""

    def __init__(self, deployments: Deployments, rollout: Rollout) -> None:
        self._deployments, self._rollout = deployments, rollout
        self._turn = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Return the routes under ``/client/v4/accounts/{account}/workers``."""
        one = "scripts/{script}"
        table = {
            "GET scripts": self.scripts,
            f"PUT {one}": self.upload,
            f"DELETE {one}": self.delete,
            f"GET {one}/versions": self.versions,
            f"GET {one}/versions/{{version}}": self.version,
            f"GET {one}/deployments": self.deployments,
            f"POST {one}/deployments": self.deploy,
            f"GET {one}/schedules": self.schedules,
        }
        return routes(PREFIX, rest_refusal, table)

    # reading

    async def scripts(self, call: Call) -> Success:
        """Return the scripts and their active versions."""
        _ = call
        found = [self._version(script, version) for script, version in self._deployments.active().items()]
        return Success([_script_view(version) for version in found])

    async def versions(self, call: Call) -> Success:
        """Return the versions of a script, the newest first."""
        script = self._known(call)
        return Success({"items": [_version_view(version) for version in self._deployments.versions(script)]})

    async def version(self, call: Call) -> Success:
        """Return one version."""
        return Success(_version_view(self._version(self._known(call), call.parts["version"])))

    async def deployments(self, call: Call) -> Success:
        """Return what was active when, the newest first."""
        found = self._deployments.history(self._known(call))
        return Success({"deployments": [_deployment_view(one) for one in found]})

    async def schedules(self, call: Call) -> Success:
        """Return the cron triggers of the active version."""
        script = self._known(call)
        version = self._version(script, self._deployments.active()[script])
        crons = msgspec.json.decode(version.config).get("triggers", {}).get("crons", [])
        return Success({"schedules": [{"cron": cron} for cron in crons]})

    # changing

    async def upload(self, call: Call) -> Success:
        """Deploy a script: validated by starting it; content that is deployed already is no new version."""
        script = check_script(call.parts["script"])
        bundle = read_bundle(await call.body(MAX_BYTES), header(call.scope, b"content-type") or "")
        config = to_config(script, bundle.metadata)
        async with self._turn:
            secrets = sorted({*secrets_of(bundle.metadata), *self._keep_secrets(script, bundle, config)})
            version = _new_version(script, bundle, config, secrets)
            await self._release(version, bundle, config)
        return Success(_script_view(self._version(script, version.id)))

    def _keep_secrets(self, script: str, bundle: Bundle, config: dict[str, Any]) -> list[str]:
        """Give ``config`` the secrets of the active version that are to be kept; return their names."""
        active = self._deployments.active_version(script)
        if active is None or SECRET not in (bundle.metadata.get("keep_bindings") or []):
            return []
        known = msgspec.json.decode(self._version(script, active).config).get(SECRETS, [])
        stored = msgspec.json.decode((self._deployments.folder(script, active) / CONFIG_FILE).read_bytes())
        taken = {binding["name"] for binding in bundle.metadata.get("bindings") or []}
        kept = [name for name in known if name not in taken]
        config.setdefault("vars", {}).update({name: stored["vars"][name] for name in kept})
        return kept

    async def _release(self, version: Version, bundle: Bundle, config: Mapping[str, Any]) -> None:
        is_new = self._deployments.version(version.script, version.id) is None
        if is_new:
            await asyncio.to_thread(self._put_in_place, version, bundle, config)
        try:
            await self._try(version)
        except BaseException:
            if is_new:
                shutil.rmtree(self._deployments.folder(version.script, version.id), ignore_errors=True)
            raise
        if self._deployments.active_version(version.script) != version.id:
            self._deployments.release(version)
        await self._rollout.activate(version.script, version.id)

    def _put_in_place(self, version: Version, bundle: Bundle, config: Mapping[str, Any]) -> None:
        place = self._deployments.folder(version.script, version.id)
        # Of a deploy that was interrupted between its folder and its record.
        shutil.rmtree(place, ignore_errors=True)
        with self._deployments.staging() as staging:
            write_bundle(bundle, config, staging)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(staging, place)
            sync_folder(place.parent)

    async def _try(self, version: Version) -> None:
        problem = await self._rollout.prepare(version.script, version.id)
        if problem is not None:
            raise RequestError(400, _told(problem))

    async def deploy(self, call: Call) -> Success:
        """Make a version that is there the active one again."""
        script = self._known(call)
        body: DeploymentBody = read(await call.body(), DeploymentBody)
        if [share.percentage for share in body.versions] != [100]:
            raise RequestError(
                400, "versions: one version with a percentage of 100; traffic is not split here."
            )
        version = self._version(script, body.versions[0].version_id)
        async with self._turn:
            await self._try(version)
            made = self._deployments.activate(script, version.id, message=body.annotations.get(_MESSAGE))
            await self._rollout.activate(script, version.id)
        return Success(_deployment_view(made))

    async def delete(self, call: Call) -> Success:
        """Remove a script with its versions; its instances stay in the store."""
        script = self._known(call)
        async with self._turn:
            await self._rollout.remove(script)
            self._deployments.remove(script)
        return Success(None)

    # the pieces

    def _known(self, call: Call) -> str:
        script = check_script(call.parts["script"])
        if self._deployments.active_version(script) is None:
            raise RequestError(404, f"This Worker does not exist on your account: {script}")
        return script

    def _version(self, script: str, version_id: str) -> Version:
        found = self._deployments.version(script, version_id)
        if found is None:
            raise RequestError(404, f"{script} has no version {version_id}.")
        return found


def _new_version(script: str, bundle: Bundle, config: Mapping[str, Any], secrets: list[str]) -> Version:
    """Return the record of an upload. It names the secrets; their values are only where the version's files are."""
    shown = {key: value for key, value in config.items() if key != "vars"} | {SECRETS: secrets}
    annotations = bundle.metadata.get("annotations") or {}
    return Version(
        script,
        bundle.version_id(config),
        source="upload",
        message=annotations.get(_MESSAGE),
        tag=annotations.get(_TAG),
        size=bundle.size,
        config=msgspec.json.encode(shown).decode(),
    )


def _told(problem: Problem) -> str:
    return "\n".join(part for part in (problem.message, problem.hint, problem.traceback) if part)


def _script_view(version: Version) -> dict[str, Any]:
    at = iso(version.created_at)
    return {
        "id": version.script,
        "deployment_id": version.id,
        "etag": version.id,
        "created_on": at,
        "modified_on": at,
        "startup_time_ms": 0,
        "usage_model": "standard",
        "handlers": [],
    }


def _version_view(version: Version) -> dict[str, Any]:
    annotations = {_MESSAGE: version.message, _TAG: version.tag}
    return {
        "id": version.id,
        "number": version.number,
        "metadata": {"created_on": iso(version.created_at), "source": version.source, "size": version.size},
        "annotations": {key: value for key, value in annotations.items() if value is not None},
    }


def _deployment_view(one: Deployment) -> dict[str, Any]:
    return {
        "id": one.id,
        "source": one.source,
        "strategy": "percentage",
        "created_on": iso(one.at),
        "annotations": {} if one.message is None else {_MESSAGE: one.message},
        "versions": [{"version_id": one.version, "percentage": 100}],
    }
