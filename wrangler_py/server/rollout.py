"""How a deploy reaches the processes that run it (`pywrangler serve`).

The registry (`storage.deployments`) is the truth; what is here makes the running processes agree with it. The order of a
deploy is: unpack the version's folder, `prepare` it, record it and make it active in the registry, `activate` it. Whoever
dies in between changes nothing but what the registry says, and what it says is what a start begins with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wrangler_py.runtime.channel import Problem


class Rollout(Protocol):
    """Starts, switches and stops the workers of scripts' versions. The front of a `pywrangler serve` has one."""

    async def prepare(self, script: str, version: str) -> Problem | None:
        """Start the workers of a version from its folder, beside those that serve; return when all are ready.

        They serve nobody and run nothing yet. A problem (a class that is missing, code that cannot be imported, a
        configuration that cannot be read) means that they are stopped again and nothing has changed. A version that
        runs already is ready at once.
        """
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
