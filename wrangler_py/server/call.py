"""One API request as its handler sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from wrangler_py.errors import InstanceNotFoundError
from wrangler_py.server.asgi import Receive, Scope, header, read_body, too_large

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrangler_py.bindings.cross_script import Workflows
    from wrangler_py.engine import Engine
    from wrangler_py.runtime.host import Host

#: Parameters may have 1 MiB; as a JSON string inside JSON every byte of them can take six.
BODY_LIMIT = 8 * 1024 * 1024
LATEST = "latest"


@dataclass(slots=True)
class Call:
    """A request to the API: ``parts`` are the variable segments of its path, ``query`` its parameters."""

    host: Host
    scope: Scope
    receive: Receive
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        """The engine behind the host."""
        return self.host.engine

    async def steering(self) -> Workflows:
        """Return what the workflow's instances obey: a session may run it in another Worker.

        Raises:
            WorkflowNotFoundError: nobody knows it.
        """
        return await self.host.engine_of(self.workflow)

    @property
    def workflow(self) -> str:
        """The workflow's name in the path."""
        return self.parts["workflow"]

    async def instance_id(self) -> str:
        """Return the instance id in the path; ``latest`` stands for the instance created last.

        Raises:
            InstanceNotFoundError: ``latest`` of none.
        """
        given = self.parts["instance"]
        if given != LATEST:
            return given
        row = await self.engine.latest(self.workflow)
        if row is None:
            raise InstanceNotFoundError(LATEST)
        return row.id

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of one given twice, the last."""
        pairs = self.scope["query_string"].decode("latin-1")
        return dict(parse_qsl(pairs, keep_blank_values=True))

    async def body(self, limit: int = BODY_LIMIT) -> bytes:
        """Return the request body. Raises RequestError (413) past ``limit`` bytes."""
        length = header(self.scope, b"content-length")
        if length is not None and length.isdigit() and int(length) > limit:
            raise too_large(limit)
        return await read_body(self.receive, limit)
