from __future__ import annotations

from wrangler_py.sdk import http as pyodide_http
from wrangler_py.sdk import workers

NAMES = [
    "Blob",
    "BlobEnding",
    "BlobValue",
    "Body",
    "Context",
    "DurableObject",
    "FetchKwargs",
    "FetchResponse",
    "File",
    "FormData",
    "FormDataValue",
    "Headers",
    "JSBody",
    "Request",
    "RequestInitCfProperties",
    "Response",
    "WorkerEntrypoint",
    "WorkflowEntrypoint",
    "env",
    "fetch",
    "handler",
    "import_from_javascript",
    "patch_env",
    "python_from_rpc",
    "python_to_rpc",
    "waitUntil",
    "wait_until",
]


def test_workers_has_cloudflares_names_no_more_and_no_fewer() -> None:
    """More would be names that a Worker could use here and miss there."""
    assert sorted(workers.__all__) == sorted(NAMES)
    assert all(hasattr(workers, name) for name in NAMES)
    public = {
        name for name, value in vars(workers).items() if not name.startswith("_") and not _is_module(value)
    }
    assert public == set(NAMES)


def _is_module(value: object) -> bool:
    return type(value).__name__ == "module"


def test_both_spellings_are_one_function() -> None:
    assert workers.waitUntil is workers.wait_until


def test_pyodides_names_for_fetch() -> None:
    assert pyodide_http.pyfetch is workers.fetch
    assert pyodide_http.FetchResponse is workers.FetchResponse
