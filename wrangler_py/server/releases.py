"""How an upload becomes what serves.

A deploy is, in this order: unpacked into a folder of its own, put in place, tried by real workers, recorded and made
active in one transaction, switched to. Whatever fails before the record, or dies, leaves what serves as it was.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from wrangler_py.config import load
from wrangler_py.config.inherit import inherit, keep_settings
from wrangler_py.config.upload import SECRET, Binding, bindings_of, secrets_of, to_config
from wrangler_py.errors import RequestError
from wrangler_py.server.bundle import Bundle, read_folder, sync_folder, write_bundle
from wrangler_py.storage.deployments import CONFIG_FILE, Deployment, Deployments, Version
from wrangler_py.storage.private import make_folder
from wrangler_py.storage.waiting import waited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wrangler_py.config import Config
    from wrangler_py.runtime.channel import Problem
    from wrangler_py.server.rollout import Rollout

SECRETS = "secrets"
MESSAGE, TAG = "workers/message", "workers/tag"
#: Cloudflare's number for a script there is none of: its own clients look at it.
NO_SCRIPT = 10007


class Shown(NamedTuple):
    """A version's bindings, of secrets the names, and what it is compatible with, as Cloudflare calls it."""

    bindings: list[Binding]
    compatibility: dict[str, Any]


class Releases:
    """One deploy comes after another, so that each is tried against what the one before has left."""

    def __init__(self, deployments: Deployments, rollout: Rollout) -> None:
        self._deployments, self._rollout = deployments, rollout
        self._turn = asyncio.Lock()

    async def deploy(self, script: str, bundle: Bundle) -> Version:
        """Make an upload the active version; content that is there already is no new version."""
        async with self._turn:
            return await self._deploy(script, bundle, *self._read(script, bundle))

    async def upload(self, script: str, bundle: Bundle) -> Version:
        """Record an upload as a version that serves nobody yet."""
        self.active(script)
        async with self._turn:
            config, secrets = self._read(script, bundle)
            version = _new_version(script, bundle, config, secrets)
            await self._settle(version, bundle, config)
            found = await waited(self._deployments.add, version)
            if self._deployments.active_version(script) != version.id:
                await self._rollout.discard(script, version.id)
        return found

    async def activate(self, script: str, version_id: str, message: str | None) -> Deployment:
        """Make a version that is there the active one."""
        version = self.version(script, version_id)
        async with self._turn:
            await self._try(version)
            made = await waited(self._deployments.activate, script, version.id, message=message)
            await self._rollout.activate(script, version.id)
        return made

    async def amend(self, script: str, change: Callable[[dict[str, Any], set[str]], None]) -> Version:
        """Deploy the active version's files with another configuration.

        ``change`` gets the configuration and the names of the variables that are secrets, and changes both in place.
        """
        async with self._turn:
            active = self.active(script)
            folder = self._deployments.folder(script, active.id)
            config, secrets = self.stored(script), set(secret_names(active))
            change(config, secrets)
            bundle = Bundle({}, await asyncio.to_thread(read_folder, folder))
            return await self._deploy(script, bundle, config, sorted(secrets))

    async def remove(self, script: str) -> None:
        """Remove a script with its versions; its instances stay in the store."""
        self.active(script)
        async with self._turn:
            await self._rollout.remove(script)
            await waited(self._deployments.remove, script)

    def scripts(self) -> list[str]:
        """Return the names of what is deployed."""
        return list(self._deployments.active())

    def active(self, script: str) -> Version:
        """Return the active version; raise RequestError (404) if nothing is deployed under that name."""
        active = self._deployments.active_version(script)
        if active is None:
            raise RequestError(404, f"This Worker does not exist on your account: {script}", number=NO_SCRIPT)
        return self.version(script, active)

    def version(self, script: str, version_id: str) -> Version:
        """Return a version; raise RequestError (404) if there is none of this id."""
        found = self._deployments.version(script, version_id)
        if found is None:
            raise RequestError(404, f"{script} has no version {version_id}.")
        return found

    # the pieces

    def _read(self, script: str, bundle: Bundle) -> tuple[dict[str, Any], list[str]]:
        """Return the configuration of an upload, with what it keeps of the active version, and its secrets."""
        active = self._deployments.active_version(script)
        before = None if active is None else self.version(script, active)
        metadata = inherit(bundle.metadata, [] if before is None else self.bindings(before))
        config = to_config(script, metadata)
        if before is not None:
            keep_settings(metadata, config, self.stored(script))
        return config, secrets_of(metadata)

    def bindings(self, version: Version) -> list[Binding]:
        """Return the bindings of a version, with the values of its secrets."""
        return bindings_of(self.configuration(version), secret_names(version))

    def shown(self, version: Version) -> Shown:
        """Return what may be shown of a version."""
        config = self.configuration(version)
        date = None if config.compatibility_date is None else config.compatibility_date.isoformat()
        return Shown(
            [_without_secret(one) for one in bindings_of(config, secret_names(version))],
            {"compatibility_date": date, "compatibility_flags": list(config.compatibility_flags)},
        )

    def configuration(self, version: Version) -> Config:
        """Return the configuration a version is started with."""
        loaded = load(self._deployments.folder(version.script, version.id) / CONFIG_FILE)
        loaded.diagnostics.raise_for_errors()
        assert loaded.config is not None
        return loaded.config

    def stored(self, script: str) -> dict[str, Any]:
        """Return the active version's configuration as it is in its file, secrets included."""
        path = self._deployments.folder(script, self.active(script).id) / CONFIG_FILE
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        return found

    async def _deploy(
        self, script: str, bundle: Bundle, config: dict[str, Any], secrets: list[str]
    ) -> Version:
        version = _new_version(script, bundle, config, secrets)
        await self._settle(version, bundle, config)
        if self._deployments.active_version(script) != version.id:
            await waited(self._deployments.release, version)
        await self._rollout.activate(script, version.id)
        return self.version(script, version.id)

    async def _settle(self, version: Version, bundle: Bundle, config: Mapping[str, Any]) -> None:
        """Put the files in place and try them; leave nothing of what does not load."""
        is_new = self._deployments.version(version.script, version.id) is None
        if is_new:
            await asyncio.to_thread(self._put_in_place, version, bundle, config)
        try:
            await self._try(version)
        except BaseException:
            if is_new:
                shutil.rmtree(self._deployments.folder(version.script, version.id), ignore_errors=True)
            raise

    def _put_in_place(self, version: Version, bundle: Bundle, config: Mapping[str, Any]) -> None:
        place = self._deployments.folder(version.script, version.id)
        # Of a deploy that was interrupted between its folder and its record.
        shutil.rmtree(place, ignore_errors=True)
        with self._deployments.staging() as staging:
            write_bundle(bundle, config, staging)
            make_folder(place.parent)
            os.rename(staging, place)
            sync_folder(place.parent)

    async def _try(self, version: Version) -> None:
        problem = await self._rollout.prepare(version.script, version.id)
        if problem is not None:
            raise RequestError(400, _told(problem))


def secret_names(version: Version) -> list[str]:
    """Return which variables of a version are secrets."""
    found: list[str] = msgspec.json.decode(version.config).get(SECRETS, [])
    return found


def _without_secret(binding: Binding) -> Binding:
    return {key: value for key, value in binding.items() if binding["type"] != SECRET or key != "text"}


def _new_version(script: str, bundle: Bundle, config: Mapping[str, Any], secrets: list[str]) -> Version:
    """Return the record of an upload. It names the secrets; their values are only where the version's files are."""
    shown = {key: value for key, value in config.items() if key != "vars"} | {SECRETS: secrets}
    annotations = bundle.metadata.get("annotations") or {}
    return Version(
        script,
        bundle.version_id(config),
        source="upload",
        message=annotations.get(MESSAGE),
        tag=annotations.get(TAG),
        size=bundle.size,
        config=msgspec.json.encode(shown).decode(),
    )


def _told(problem: Problem) -> str:
    return "\n".join(part for part in (problem.message, problem.hint, problem.traceback) if part)
