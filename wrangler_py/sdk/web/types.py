"""The shapes of the options that `Request` and ``fetch`` take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable
    from http import HTTPMethod

    from wrangler_py.sdk.web.body import Body
    from wrangler_py.sdk.web.headers import HeadersInit


class RequestInitCfProperties(TypedDict, total=False):
    """Cloudflare's own options of a request (``cf``). They steer its network and have no effect here."""

    apps: bool | None
    cacheEverything: bool | None
    cacheKey: str | None
    cacheTags: list[str] | None
    cacheTtl: int
    cacheTtlByStatus: dict[str, int]
    image: Any | None
    mirage: bool | None
    polish: str | None
    resolveOverride: str | None
    scrapeShield: bool | None
    webp: bool | None


class FetchKwargs(TypedDict, total=False):
    """The options of a request."""

    headers: HeadersInit | None
    body: Body | None
    method: HTTPMethod | str | None
    redirect: str | None
    cf: RequestInitCfProperties | None
    fetcher: Callable[..., Any] | None
