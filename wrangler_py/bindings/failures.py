"""What bindings raise: errors that Cloudflare's own code would have thrown, and so `JsException` as well.

User code written for Cloudflare catches them as ``Exception`` or ``pyodide.ffi.JsException``; ``str(e)``
reads as there: ``Error: D1_ERROR: no such table: t``.

::

    BindingError, JsException
    └── JsBindingError
        ├── D1Error                 SQLite's message, and the statement
        ├── KvError
        ├── R2Error
        ├── QueueError
        ├── EmailError
        ├── ObjectError             Durable Objects
        ├── RpcError                a call of another Worker cannot be made
        ├── PeerUnavailableError    no running session has the Worker that was called
        └── PeerLostError           the connection to another Worker broke during a call
"""

from __future__ import annotations

from wrangler_py.errors import BindingError
from wrangler_py.sdk.pyodide.ffi import JsException


class JsBindingError(BindingError, JsException):
    """A call of a binding failed; ``message`` is the text without the leading ``Error: ``."""


class D1Error(JsBindingError):
    """A statement failed. ``sql`` is the statement."""

    def __init__(self, message: str, *, sql: str = "") -> None:
        super().__init__(message)
        self.sql = sql


class KvError(JsBindingError):
    """KV refused a key, a value or an option."""


class R2Error(JsBindingError):
    """R2 refused a key, a value or an option, or a multipart upload is not there.

    ``code`` is Cloudflare's number (R2 docs, "Error codes"), 0 for an argument that is wrong in itself.
    """

    def __init__(self, message: str, *, name: str = "Error", code: int = 0) -> None:
        super().__init__(message, name=name)
        self.code = code


class QueueError(JsBindingError):
    """A queue refused a message."""


class EmailError(JsBindingError):
    """An address is not allowed, or a message is not one.

    ``code`` is Cloudflare's, as ``E_RECIPIENT_NOT_ALLOWED`` (Email Service docs, "Error codes").
    """

    def __init__(self, message: str, *, name: str = "Error", code: str = "") -> None:
        super().__init__(message, name=name)
        self.code = code


class ObjectError(JsBindingError):
    """A Durable Object could not be called, or its storage refused something."""


class PeerUnavailableError(JsBindingError):
    """No running session has the Worker that was called; it works as soon as one starts."""


class RpcError(JsBindingError):
    """A call of another Worker cannot be made: it is too large, or too many calls led to it."""


class PeerLostError(JsBindingError):
    """The connection to another Worker broke during a call, which may have been executed, or not, or in part."""
