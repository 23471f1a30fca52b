"""What npm `wrangler` asks beside deploying, answered so that it does deploy.

Much of it is about what is not here: subdomains of workers.dev, tags, Workers edited in a browser. A script is always
reachable under its own name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrangler_py.clock import iso
from wrangler_py.server.asgi import header
from wrangler_py.server.envelope import Success, rest_refusal
from wrangler_py.server.guard import is_loopback, split_host
from wrangler_py.server.routing import Route, routes

if TYPE_CHECKING:
    from wrangler_py.server.call import Call
    from wrangler_py.server.releases import Releases
    from wrangler_py.storage.deployments import Version

PREFIX = "client/v4/accounts/{account}"
#: What a server that many names reach says where Cloudflare has one domain for all.
DOMAIN = "localhost"
SUBDOMAIN = {"enabled": True, "previews_enabled": False}
#: Settings of a script that mean nothing here.
SETTINGS = {"logpush": False, "tags": [], "tail_consumers": None, "observability": None}


class WranglerCalls:
    """The endpoints."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases

    def routes(self) -> list[Route]:
        """Return the routes under ``/client/v4/accounts/{account}``."""
        script = "workers/scripts/{script}"
        table = {
            "GET workers/services/{script}": self.service,
            "GET workers/workers/{script}": self.worker,
            f"GET {script}/references": self.references,
            "GET workers/tails/by-consumer/{script}": self.tails,
            "GET workers/subdomain": self.subdomain,
            f"GET {script}/subdomain": self.script_subdomain,
            f"POST {script}/subdomain": self.script_subdomain,
            f"GET {script}/settings": self.settings,
            f"GET {script}/script-settings": self.script_settings,
            f"PATCH {script}/script-settings": self.script_settings,
        }
        return routes(PREFIX, rest_refusal, table)

    async def service(self, call: Call) -> Success:
        """Return who deployed a script last: never a person in a browser."""
        found = self._active(call)
        script = {"id": found.script, "tag": None, "tags": None, "last_deployed_from": "wrangler"}
        environment = {"environment": "production", "script": script | _dates(found)}
        return Success({"id": found.script, "default_environment": environment, **_dates(found)})

    async def references(self, call: Call) -> Success:
        """Return which other scripts use one, as a service or for its Durable Objects."""
        name = self._active(call).script
        services, objects = [], []
        for other in self._releases.scripts():
            if other == name:
                continue
            resources = self._releases.configuration(self._releases.active(other)).resources
            services += [_user(other, "name") for one in resources.services if one.service == name]
            objects += [
                _user(other, "service") | {"durable_object_namespace_name": one.class_name}
                for one in resources.durable_objects
                if one.script_name == name
            ]
        return Success({"services": {"incoming": services, "outgoing": []}, "durable_objects": objects})

    async def tails(self, call: Call) -> Success:
        """Return none: nothing is tailed here."""
        _ = call
        return Success([])

    async def worker(self, call: Call) -> Success:
        """Return where a script is reached."""
        found = self._active(call)
        name, port = split_host(header(call.scope, b"host") or DOMAIN)
        at = f"{found.script}.{DOMAIN if is_loopback(name) else name}{f':{port}' if port else ''}"
        subdomain = SUBDOMAIN | {"url": f"{call.scope['scheme']}://{at}/"}
        return Success({"id": found.script, "name": found.script, "subdomain": subdomain, **_dates(found)})

    async def subdomain(self, call: Call) -> Success:
        """Return the account's domain."""
        _ = call
        return Success({"subdomain": DOMAIN})

    async def script_subdomain(self, call: Call) -> Success:
        """Return that a script is reachable, which cannot be changed."""
        self._active(call)
        return Success(SUBDOMAIN)

    async def settings(self, call: Call) -> Success:
        """Return the bindings of the active version; of secrets the names."""
        found = self._active(call)
        shown = self._releases.shown(found)
        return Success({**SETTINGS, "bindings": shown.bindings, **shown.compatibility})

    async def script_settings(self, call: Call) -> Success:
        """Return the settings that are of no version."""
        self._active(call)
        return Success(SETTINGS)

    def _active(self, call: Call) -> Version:
        return self._releases.active(call.parts["script"])


def _user(script: str, key: str) -> dict[str, str]:
    return {key: script, "environment": "production"}


def _dates(version: Version) -> dict[str, str]:
    at = iso(version.created_at)
    return {"created_on": at, "modified_on": at}
