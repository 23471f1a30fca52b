"""Analytics in GraphQL, as Cloudflare's Analytics API answers it (docs, "Metrics and analytics").

scalars    the scalars of that API
schema     the types: what can be asked, by what it is filtered, ordered and grouped
questions  arguments and selections -> `engine.analytics.Analysis`
serving    a request -> an answer
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrangler_py.server.envelope import rest_refusal
from wrangler_py.server.routing import Route, routes

if TYPE_CHECKING:
    from wrangler_py.server.answer import Answer
    from wrangler_py.server.call import Call


def graphql_routes() -> list[Route]:
    """Return the route of GraphQL."""
    return routes("client/v4", rest_refusal, {"POST graphql": _answer})


async def _answer(call: Call) -> Answer:
    # What understands GraphQL takes a tenth of a second to import, and few ask.
    from wrangler_py.server.graphql.serving import answer_query

    return await answer_query(call)
