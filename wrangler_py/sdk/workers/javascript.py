"""Modules that are JavaScript's on Cloudflare, ``cloudflare:workers`` for one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from wrangler_py.sdk.context import wait_until
from wrangler_py.sdk.email import EmailMessage
from wrangler_py.sdk.entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint
from wrangler_py.sdk.environment import env
from wrangler_py.sdk.workers.workflows import NonRetryableError


def import_from_javascript(module_name: str) -> Any:
    """Return what JavaScript knows as ``module_name``: ``cloudflare:workers``, ``:workflows`` or ``:email``.

    Raises:
        ImportError: any other; there is no JavaScript here.
    """
    members = _modules().get(module_name)
    if members is None:
        raise ImportError(
            f"Failed to import {module_name!r}: no JavaScript here; there are {', '.join(_modules())}",
            name=module_name,
        )
    return SimpleNamespace(**members)


def _modules() -> dict[str, dict[str, Any]]:
    return {
        "cloudflare:workers": {
            "env": env,
            "waitUntil": wait_until,
            "WorkerEntrypoint": WorkerEntrypoint,
            "WorkflowEntrypoint": WorkflowEntrypoint,
            "DurableObject": DurableObject,
        },
        "cloudflare:workflows": {"NonRetryableError": NonRetryableError},
        "cloudflare:email": {"EmailMessage": EmailMessage},
    }
