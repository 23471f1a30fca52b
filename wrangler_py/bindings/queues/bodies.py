"""What a message may carry: content types, sizes and delays (Queues docs, "JavaScript APIs" and "Limits")."""

from __future__ import annotations

from typing import Any

from wrangler_py.bindings.failures import QueueError
from wrangler_py.sdk.pyodide.ffi import to_js
from wrangler_py.serde import decode, encode

#: A kilobyte is 1000 bytes here, the docs say.
MAX_MESSAGE_BYTES, MAX_BATCH_BYTES, MAX_BATCH_MESSAGES = 128_000, 256_000, 100
#: Seconds.
MAX_DELAY_S = 43_200
CONTENT_TYPES = ("text", "bytes", "json", "v8")
DEFAULT_CONTENT_TYPE = "json"
_BYTES = (bytes, bytearray, memoryview)


def read_content_type(given: Any) -> str:
    """Return the content type that was asked for, None being ``json``; raise TypeError in workerd's words."""
    if given is None:
        return DEFAULT_CONTENT_TYPE
    wanted = str(given).lower()
    if wanted not in CONTENT_TYPES:
        raise TypeError(f"Unsupported queue message content type: {given}")
    return wanted


def pack(body: Any, content_type: str) -> bytes:
    """Return a body as it is stored.

    ``json`` and ``v8`` take the values of python-sdk, section 4, and give them back as they were; ``text`` takes a str,
    ``bytes`` a bytes-like object.

    Raises:
        TypeError: the body is of another kind; in workerd's words.
    """
    if content_type == "text":
        if not isinstance(body, str):
            raise _mismatch(body, content_type, "string")
        return body.encode("utf-8", "replace")
    if content_type == "bytes":
        if not isinstance(body, _BYTES):
            raise _mismatch(body, content_type, "ArrayBufferView")
        return bytes(body)
    return encode(body)


def unpack(stored: bytes, content_type: str) -> Any:
    """Return the body of a message as handlers see it: dicts, lists and bytes also answer to ``to_py()``."""
    if content_type == "text":
        return stored.decode()
    return to_js(stored if content_type == "bytes" else decode(stored))


def _mismatch(body: Any, content_type: str, wanted: str) -> TypeError:
    return TypeError(
        f'Content Type "{content_type}" requires a value of type {wanted}, but received: {_type_of(body)}'
    )


def _type_of(value: Any) -> str:
    """Return JavaScript's ``typeof``."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "function" if callable(value) else "object"


def read_delay(given: Any, call: str) -> int | None:
    """Return a delay in seconds, or None if none was given; ``call`` names what failed, for the message.

    Raises:
        QueueError: it is no whole number from 0 to 43200.
    """
    if given is None:
        return None
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or given != given // 1 or not 0 <= given <= MAX_DELAY_S:
        raise QueueError(
            f"{call} failed: message delay {given!r} is invalid: it is a whole number of seconds "
            f"from 0 to {MAX_DELAY_S} (12 hours)"
        )
    return int(given)
