"""Values to bytes and back.

Stored values are JSON. What JSON has no word for is an object with one key that starts with ``$``::

    {"$bytes": "<base64>"}   {"$date": <ms since 1970>}   {"$set": [...]}   {"$float": "nan"}   {"$int": "<digits>"}
    {"$dict": {...}}         a user's own dict of one key that starts with "$"
    {"$stream": {...}}       a step's stream (`engine.instance.streams`), only on its own

`encode` accepts exactly the values of python-sdk.md, section 4, and subclasses of them, of which it stores the plain
value. It names the path of the first one it cannot take. What it accepts can be read and shown: there is one limit for
how deeply values are nested, `MAX_DEPTH`.
"""

from __future__ import annotations

from wrangler_py.serde.decoding import decode, to_json, unpack
from wrangler_py.serde.encoding import encode, pack
from wrangler_py.serde.records import ErrorRecord, Record
from wrangler_py.serde.refusals import MAX_DEPTH, NotSerialisableError, RpcTypeError, type_name
from wrangler_py.serde.texts import show, valid, visible, visible_json

__all__ = [
    "MAX_DEPTH",
    "ErrorRecord",
    "NotSerialisableError",
    "Record",
    "RpcTypeError",
    "decode",
    "encode",
    "pack",
    "show",
    "to_json",
    "type_name",
    "unpack",
    "valid",
    "visible",
    "visible_json",
]
