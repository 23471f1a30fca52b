"""`pyodide.http`: Pyodide's names for what `workers` calls `fetch` and `FetchResponse`."""

from __future__ import annotations

from wrangler_py.sdk.web.fetch import fetch as pyfetch
from wrangler_py.sdk.web.response import FetchResponse

__all__ = ["FetchResponse", "pyfetch"]
