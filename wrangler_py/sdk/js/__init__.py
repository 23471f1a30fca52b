"""``js``: the few JavaScript names that Python Workers use. Construct with ``.new()``, as in Pyodide."""

from typing import Any

from wrangler_py.sdk.js.console import console
from wrangler_py.sdk.js.dates import Date
from wrangler_py.sdk.js.streams import ReadableStream, TransformStream
from wrangler_py.sdk.js.timers import Promise, clearTimeout, queueMicrotask, setTimeout
from wrangler_py.sdk.js.values import JSON, Array, Math, Object, Uint8Array, crypto
from wrangler_py.sdk.js.web import Blob, File, FormData, Request, Response, fetch
from wrangler_py.sdk.web.headers import Headers
from wrangler_py.sdk.web.urls import URL, URLSearchParams

__all__ = [
    "JSON",
    "URL",
    "Array",
    "Blob",
    "Date",
    "File",
    "FormData",
    "Headers",
    "Math",
    "Object",
    "Promise",
    "ReadableStream",
    "Request",
    "Response",
    "TransformStream",
    "URLSearchParams",
    "Uint8Array",
    "clearTimeout",
    "console",
    "crypto",
    "fetch",
    "queueMicrotask",
    "setTimeout",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(f"js.{name} is not available in ordinary Python; there are: {', '.join(__all__)}")
