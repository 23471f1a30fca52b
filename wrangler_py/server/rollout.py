"""How a deploy reaches the processes that run it (`pywrangler serve`).

The registry (`storage.deployments`) is the truth; what is here makes the running processes agree with it. The order of
a deploy is: unpack the version's folder, `prepare` it, record it and make it active in the registry, `activate` it. A
process that dies in between loses nothing: what the registry says is what the next one begins with.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Literal, Protocol

from wrangler_py import config as configuration
from wrangler_py.errors import UserError
from wrangler_py.runtime.channel import Answered, Asked
from wrangler_py.storage.deployments import CONFIG_FILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wrangler_py.runtime.channel import FromWorker, Problem
    from wrangler_py.runtime.host import Host


class Rollout(Protocol):
    """Starts, switches and stops the workers of scripts' versions. The front of a `pywrangler serve` has one."""

    async def prepare(self, script: str, version: str) -> Problem | None:
        """Start the workers of a version from its folder, beside those that serve; return when all are ready.

        They serve nobody and run nothing yet. A problem (a class that is missing, code that cannot be imported, a
        configuration that cannot be read) means that they are stopped again and nothing has changed. A version that
        runs already is ready at once.
        """
        ...

    async def discard(self, script: str, version: str) -> None:
        """Stop a version that was prepared and is not to be activated now."""
        ...

    async def activate(self, script: str, version: str) -> None:
        """Let a prepared version answer its script's requests from now on, and run the instances created from now on.

        The version before goes on with the instances it began, and ends when it has none.

        Raises:
            UserError: the version is not running.
        """
        ...

    async def remove(self, script: str) -> None:
        """Stop everything of a script. Its instances stay in the store, and go on if the script is deployed again."""
        ...


class FleetRollout:
    """The `Rollout` of a front: asks the supervisor, over the wire between the two."""

    def __init__(
        self, send: Callable[[FromWorker], bool], host: Host, folder: Callable[[str, str], Path]
    ) -> None:
        self._send, self._host, self._folder = send, host, folder
        self._numbers = count(1)
        #: The versions whose workflows are known to the store.
        self._announced: dict[str, str] = {}
        self._asked: dict[int, asyncio.Future[Problem | None]] = {}

    async def prepare(self, script: str, version: str) -> Problem | None:
        """See `Rollout`."""
        return await self._ask("prepare", script, version)

    async def discard(self, script: str, version: str) -> None:
        """See `Rollout`."""
        await self._ask("discard", script, version)

    async def activate(self, script: str, version: str) -> None:
        """See `Rollout`. The workflows are made known first: the new code may create instances at once."""
        await self.announce(script, version)
        if (problem := await self._ask("activate", script, version)) is not None:
            raise UserError(problem.message, hint=problem.hint)

    async def remove(self, script: str) -> None:
        """See `Rollout`."""
        await self._ask("remove", script)

    async def announce(self, script: str, version: str) -> None:
        """Let instances created from now on be of this version.

        Raises:
            ConfigError: its configuration cannot be read.
        """
        if self._announced.get(script) == version:
            return
        loaded = configuration.load(self._folder(script, version) / CONFIG_FILE)
        loaded.diagnostics.raise_for_errors()
        assert loaded.config is not None
        await self._host.announce(loaded.config, version)
        self._announced[script] = version

    async def _ask(
        self, what: Literal["prepare", "discard", "activate", "remove"], script: str, version: str = ""
    ) -> Problem | None:
        number = next(self._numbers)
        answer: asyncio.Future[Problem | None] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._send(Asked(number, what, script, version))
            return await answer
        finally:
            del self._asked[number]

    def answered(self, answer: Answered) -> None:
        """Take the supervisor's answer."""
        waiting = self._asked.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.problem)
