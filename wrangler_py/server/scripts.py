"""Deploying over REST v4: the calls that Cloudflare has, answered by the front of `pywrangler serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wrangler_py.clock import iso
from wrangler_py.errors import RequestError
from wrangler_py.server.asgi import header
from wrangler_py.server.bundle import MAX_BYTES, Bundle, check_script, read_bundle
from wrangler_py.server.envelope import Success, rest_refusal
from wrangler_py.server.releases import MESSAGE, TAG, Releases, secret_names
from wrangler_py.server.requests import read
from wrangler_py.server.routing import Route, routes
from wrangler_py.storage.deployments import Deployment, Deployments, Version

if TYPE_CHECKING:
    from wrangler_py.server.call import Call

PREFIX = "client/v4/accounts/{account}/workers"
#: Tokens say what may be done, not who does it.
NOBODY = "-"


class Share(msgspec.Struct):
    """How much of a deployment a version gets: here always all of it."""

    version_id: str
    percentage: float = 100


class DeploymentBody(msgspec.Struct):
    """POST ``deployments``."""

    versions: list[Share]
    strategy: str = "percentage"
    annotations: dict[str, str] = {}


class CronBody(msgspec.Struct):
    """One of PUT ``schedules``."""

    cron: str


class SecretBody(msgspec.Struct):
    """PUT ``secrets``."""

    name: str
    text: str


class Scripts:
    """The endpoints."""

    def __init__(self, deployments: Deployments, releases: Releases) -> None:
        self._deployments, self._releases = deployments, releases

    def routes(self) -> list[Route]:
        """Return the routes under ``/client/v4/accounts/{account}/workers``."""
        one = "scripts/{script}"
        table = {
            "GET scripts": self.scripts,
            f"PUT {one}": self.deploy,
            f"DELETE {one}": self.delete,
            "DELETE services/{script}": self.delete,
            f"GET {one}/versions": self.versions,
            f"POST {one}/versions": self.upload,
            f"GET {one}/versions/{{version}}": self.version,
            f"GET {one}/deployments": self.deployments,
            f"POST {one}/deployments": self.activate,
            f"GET {one}/schedules": self.schedules,
            f"PUT {one}/schedules": self.put_schedules,
            f"GET {one}/secrets": self.secrets,
            f"PUT {one}/secrets": self.put_secret,
            f"DELETE {one}/secrets/{{name}}": self.delete_secret,
        }
        return routes(PREFIX, rest_refusal, table)

    # reading

    async def scripts(self, call: Call) -> Success:
        """Return the scripts and their active versions."""
        _ = call
        return Success([_script_view(self._releases.active(script)) for script in self._deployments.active()])

    async def versions(self, call: Call) -> Success:
        """Return the versions of a script, the newest first."""
        script = self._active(call).script
        return Success({"items": [_version_view(version) for version in self._deployments.versions(script)]})

    async def version(self, call: Call) -> Success:
        """Return one version."""
        found = self._releases.version(self._active(call).script, call.parts["version"])
        return Success(_version_view(found) | {"resources": self._resources(found)})

    def _resources(self, version: Version) -> dict[str, Any]:
        shown = self._releases.shown(version)
        return {
            "script": {"etag": version.id, "handlers": [], "last_deployed_from": "wrangler"},
            "script_runtime": {**shown.compatibility, "usage_model": "standard"},
            "bindings": shown.bindings,
        }

    async def deployments(self, call: Call) -> Success:
        """Return what was active when, the newest first."""
        found = self._deployments.history(self._active(call).script)
        return Success({"deployments": [_deployment_view(one) for one in found]})

    async def schedules(self, call: Call) -> Success:
        """Return the cron triggers of the active version."""
        crons = msgspec.json.decode(self._active(call).config).get("triggers", {}).get("crons", [])
        return Success({"schedules": [{"cron": cron} for cron in crons]})

    async def secrets(self, call: Call) -> Success:
        """Return the names of the active version's secrets."""
        return Success([_secret_view(name) for name in secret_names(self._active(call))])

    # changing

    async def deploy(self, call: Call) -> Success:
        """Deploy a script: validated by starting it; content that is deployed already is no new version."""
        script = check_script(call.parts["script"])
        return Success(_script_view(await self._releases.deploy(script, await _bundle(call))))

    async def upload(self, call: Call) -> Success:
        """Record a version, validated by starting it, that serves nobody until it is deployed."""
        script = self._active(call).script
        return Success(_version_view(await self._releases.upload(script, await _bundle(call))))

    async def activate(self, call: Call) -> Success:
        """Make a version that is there the active one."""
        script = self._active(call).script
        body: DeploymentBody = read(await call.body(), DeploymentBody)
        if [share.percentage for share in body.versions] != [100]:
            raise RequestError(
                400, "versions: one version with a percentage of 100; traffic is not split here."
            )
        wanted = body.versions[0].version_id
        return Success(
            _deployment_view(await self._releases.activate(script, wanted, body.annotations.get(MESSAGE)))
        )

    async def delete(self, call: Call) -> Success:
        """Remove a script with its versions; its instances stay in the store."""
        await self._releases.remove(call.parts["script"])
        return Success(None)

    async def put_schedules(self, call: Call) -> Success:
        """Set the cron triggers, of the active version and those after it."""
        body: list[CronBody] = read(await call.body(), list[CronBody])

        def change(config: dict[str, Any], _: set[str]) -> None:
            config["triggers"] = {"crons": [one.cron for one in body]}

        await self._releases.amend(self._active(call).script, change)
        return await self.schedules(call)

    async def put_secret(self, call: Call) -> Success:
        """Set a secret, of the active version and those after it."""
        body: SecretBody = read(await call.body(), SecretBody)

        def change(config: dict[str, Any], secrets: set[str]) -> None:
            config.setdefault("vars", {})[body.name] = body.text
            secrets.add(body.name)

        await self._releases.amend(self._active(call).script, change)
        return Success(_secret_view(body.name))

    async def delete_secret(self, call: Call) -> Success:
        """Remove a secret."""
        name = call.parts["name"]
        if name not in secret_names(self._active(call)):
            raise RequestError(404, f"There is no secret {name}.")

        def change(config: dict[str, Any], secrets: set[str]) -> None:
            config["vars"].pop(name, None)
            secrets.discard(name)

        await self._releases.amend(self._active(call).script, change)
        return Success(None)

    def _active(self, call: Call) -> Version:
        return self._releases.active(call.parts["script"])


async def _bundle(call: Call) -> Bundle:
    return read_bundle(await call.body(MAX_BYTES), header(call.scope, b"content-type") or "")


def _secret_view(name: str) -> dict[str, Any]:
    return {"name": name, "type": "secret_text"}


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
    annotations = {MESSAGE: version.message, TAG: version.tag}
    made = {"created_on": iso(version.created_at), "author_email": NOBODY}
    return {
        "id": version.id,
        "number": version.number,
        "startup_time_ms": 0,
        "resources": {"script": {"etag": version.id}},
        "metadata": {
            **made,
            "source": version.source,
            "size": version.size,
        },
        "annotations": {key: value for key, value in annotations.items() if value is not None},
    }


def _deployment_view(one: Deployment) -> dict[str, Any]:
    return {
        "id": one.id,
        "source": one.source,
        "author_email": NOBODY,
        "strategy": "percentage",
        "created_on": iso(one.at),
        "annotations": {} if one.message is None else {MESSAGE: one.message},
        "versions": [{"version_id": one.version, "percentage": 100}],
    }
