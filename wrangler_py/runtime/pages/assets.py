"""Static files of a Pages project (Pages docs, "Serving Pages")."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import os
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from wrangler_py.runtime.pages.rules import (
    HEADERS,
    REDIRECTS,
    ROUTES,
    HeaderRule,
    Redirect,
    fill,
    read_headers,
    read_redirects,
)
from wrangler_py.sdk.web.request import Request
from wrangler_py.sdk.web.response import Response
from wrangler_py.sdk.web.streams import ReadableStream

#: Not files of the site, wherever the served folder is.
HIDDEN = frozenset(
    {REDIRECTS, HEADERS, ROUTES, "_worker.js", "_worker.py", "functions", "node_modules", "__pycache__", ".git",
     ".wrangler", ".DS_Store", "wrangler.toml", "wrangler.json", "wrangler.jsonc"}
)  # fmt: skip
SECRETS = (".dev.vars", ".env")
#: Bytes read at a time.
CHUNK = 256 * 1024
#: Pages docs, "Serving Pages", "Caching and performance".
CACHE = "public, max-age=0, must-revalidate"


class Found(NamedTuple):
    """What a path leads to: a file to serve with ``status``, or another path to go to."""

    file: Path | None = None
    location: str = ""
    status: int = 200


class Assets:
    """Serves the files under ``folder``. Its rules are read once: code and rules are loaded anew when saved."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._redirects: list[Redirect] = read_redirects(folder)
        self._headers: list[HeaderRule] = read_headers(folder)

    async def fetch(self, given: Request | str, **options: object) -> Response:
        """Answer a request, or a URL, as Pages does when no function does; also ``env.ASSETS.fetch``."""
        request = Request(given, **options) if options or not isinstance(given, Request) else given
        if request.method not in ("GET", "HEAD"):
            return Response("Method Not Allowed", status=405, headers={"allow": "GET, HEAD"})
        url = urlsplit(request.url)
        found = await asyncio.to_thread(self._find, url.path or "/")
        if found.location:
            query = f"?{url.query}" if url.query and "?" not in found.location else ""
            return Response(None, status=found.status, headers={"location": found.location + query})
        if found.file is None:
            return Response("Not Found", status=404)
        return await self._serve(request, url.path, found)

    def _find(self, path: str) -> Found:
        for redirect in self._redirects:
            target = redirect.resolve(path)
            if target is not None and redirect.status != 200:
                return Found(location=target, status=redirect.status)
            if target is not None:
                return self._find_file(target)
        return self._find_file(path)

    def _find_file(self, path: str) -> Found:
        parts = [unquote(part) for part in path.split("/")[1:]]
        if not all(map(_is_plain, parts)):
            return self._not_found([])
        *above, name = parts
        if not name:
            return self._find_folder(above)
        return self._redirect_to_short(above, name) or self._find_named(above, name)

    def _redirect_to_short(self, above: list[str], name: str) -> Found | None:
        """Lead ``/about.html`` to ``/about`` and ``/blog/index.html`` to ``/blog/``."""
        if name in ("index", "index.html") and self._file(*above, "index.html"):
            return _elsewhere(*above, "")
        if name.endswith(".html") and self._file(*above, name):
            return _elsewhere(*above, name.removesuffix(".html"))
        return None

    def _find_named(self, above: list[str], name: str) -> Found:
        parts = [*above, name]
        if file := self._file(*parts) or self._file(*above, f"{name}.html"):
            return Found(file)
        if self._file(*parts, "index.html"):
            return _elsewhere(*parts, "")
        return self._not_found(above)

    def _find_folder(self, parts: list[str]) -> Found:
        if file := self._file(*parts, "index.html"):
            return Found(file)
        if parts and self._file(*parts[:-1], f"{parts[-1]}.html"):
            return _elsewhere(*parts)
        return self._not_found(parts)

    def _not_found(self, parts: list[str]) -> Found:
        """Return the nearest 404.html; without one at the top the site is a single page that answers every path."""
        if not self._file("404.html"):
            return Found(self._file("index.html"))
        for count in range(len(parts), -1, -1):
            if file := self._file(*parts[:count], "404.html"):
                return Found(file, status=404)
        return Found()

    def _file(self, *parts: str) -> Path | None:
        """Return the file if there is one that may be served; a link out of the folder leads nowhere."""
        if any(part in HIDDEN or part.startswith(SECRETS) for part in parts):
            return None
        path = self._folder.joinpath(*parts)
        try:
            served = path.is_file() and path.resolve().is_relative_to(self._folder)
        except (OSError, ValueError):
            return None
        return path if served else None

    async def _serve(self, request: Request, path: str, found: Found) -> Response:
        assert found.file is not None
        file = await asyncio.to_thread(found.file.open, "rb")
        stat = os.fstat(file.fileno())
        headers = _headers_of(found.file, stat)
        self._apply_rules(path, headers)
        # A rule may take the ETag away, or give another one.
        etag = headers.get("etag")
        is_known = (
            found.status == 200 and etag is not None and etag in request.headers.get("if-none-match", "")
        )
        if is_known or request.method == "HEAD":
            file.close()
            if is_known:
                return Response(None, status=304, headers=headers)
            return Response(
                None, status=found.status, headers=headers | {"content-length": str(stat.st_size)}
            )
        body = ReadableStream(_chunks(file))
        return Response(body, status=found.status, headers=headers | {"content-length": str(stat.st_size)})

    def _apply_rules(self, path: str, headers: dict[str, str]) -> None:
        given: set[str] = set()
        for rule in self._headers:
            if (found := rule.source.match(path)) is None:
                continue
            for name in rule.removed:
                headers.pop(name, None)
            for name, text in rule.values.items():
                value = fill(text, found)
                headers[name] = f"{headers[name]}, {value}" if name in given and name in headers else value
                given.add(name)


def _headers_of(file: Path, stat: os.stat_result) -> dict[str, str]:
    kind, encoding = mimetypes.guess_type(file.name)
    if kind is None or encoding is not None:
        kind = "application/octet-stream"
    is_text = kind.startswith("text/") or kind in ("application/javascript", "application/json")
    mark = hashlib.sha256(f"{file}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:32]
    return {
        "content-type": f"{kind}; charset=utf-8" if is_text else kind,
        "etag": f'"{mark}"',
        "cache-control": CACHE,
        "last-modified": formatdate(stat.st_mtime, usegmt=True),
        "x-content-type-options": "nosniff",
        "referrer-policy": "strict-origin-when-cross-origin",
    }


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


def _elsewhere(*parts: str) -> Found:
    return Found(location="/" + "/".join(quote(part) for part in parts), status=308)


def _is_plain(part: str) -> bool:
    """Return True if a decoded segment can name a file inside the folder."""
    return part not in (".", "..") and not any(one in part for one in "/\\\0")
