"""``workers``: what the code of a Worker imports. The names are Cloudflare's, no more and no fewer."""

from wrangler_py.sdk.context import Context, wait_until
from wrangler_py.sdk.entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint, handler
from wrangler_py.sdk.environment import env, patch_env
from wrangler_py.sdk.rpc import python_from_rpc, python_to_rpc
from wrangler_py.sdk.web.blob import Blob, BlobEnding, BlobValue, File
from wrangler_py.sdk.web.body import Body, JSBody
from wrangler_py.sdk.web.fetch import fetch
from wrangler_py.sdk.web.forms import FormData, FormDataValue
from wrangler_py.sdk.web.headers import Headers
from wrangler_py.sdk.web.request import Request
from wrangler_py.sdk.web.response import FetchResponse, Response
from wrangler_py.sdk.web.types import FetchKwargs, RequestInitCfProperties
from wrangler_py.sdk.workers.javascript import import_from_javascript

waitUntil = wait_until

__all__ = [
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
