"""Other Workers, wherever they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.failures import PeerUnavailableError
from wrangler_py.bindings.resources import Target

if TYPE_CHECKING:
    from wrangler_py.sdk.workers import Request, Response


class SessionPeers:
    """Finds a Worker among the running sessions, and speaks to it."""

    async def call(
        self, script: str, target: Target, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a method there."""
        raise PeerUnavailableError(f"no session runs {script}")

    async def fetch(self, script: str, target: Target, request: Request) -> Response:
        """Let the script answer a request."""
        raise PeerUnavailableError(f"no session runs {script}")
