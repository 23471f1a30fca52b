"""What is stored beside an object's bytes: HTTP metadata, custom metadata, storage class."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from wrangler_py.bindings.r2.options import read_instant, read_options
from wrangler_py.bindings.r2.refusals import METADATA_TOO_LARGE, invalid, wrong_type
from wrangler_py.sdk.web.headers import Headers

#: R2 docs, "Workers API reference", R2HTTPMetadata: the name there and the header.
_HEADERS = {
    "contentType": "content-type",
    "contentLanguage": "content-language",
    "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding",
    "cacheControl": "cache-control",
    "cacheExpiry": "expires",
}
_EXPIRY = "cacheExpiry"
#: R2 docs, "Limits": bytes of all custom metadata of an object.
_LARGEST = 8192
STANDARD = "Standard"
_STORAGE_CLASSES = (STANDARD, "InfrequentAccess")


def read_http(method: str, given: Any) -> dict[str, str | int]:
    """Return HTTP metadata from a mapping, or from the `Headers` of a request; ``cacheExpiry`` in milliseconds."""
    if given is None:
        return {}
    if isinstance(given, Headers):
        found = {name: given[header] for name, header in _HEADERS.items() if header in given}
        if _EXPIRY in found:
            found[_EXPIRY] = read_http_date(found[_EXPIRY])
    else:
        found = read_options(f"{method}: httpMetadata", given, {}, _HEADERS)
    return {
        name: read_instant(name, value) if name == _EXPIRY else _text(name, value)
        for name, value in found.items()
    }


def write_headers(metadata: Mapping[str, str | int], headers: MutableMapping[str, str]) -> None:
    """Set the headers that HTTP metadata stands for."""
    for name, header in _HEADERS.items():
        if name in metadata:
            value = metadata[name]
            headers[header] = _http_date(value) if isinstance(value, int) else value


def read_http_date(text: str) -> datetime:
    """Return the moment of a header such as ``Expires``; raise R2Error if it is none."""
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        raise wrong_type(f"{text!r} is not a date of HTTP, as: Fri, 24 Feb 2023 00:00:00 GMT") from None


def _http_date(milliseconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(milliseconds // 1000, UTC), usegmt=True)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type(f"{name} is text, not {type(value).__name__}")
    return value


def read_custom(method: str, given: Any) -> dict[str, str]:
    """Return custom metadata: text by name; numbers become text, as in JavaScript.

    Raises:
        R2Error: a value of another type, or more than 8192 bytes in all.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise wrong_type(f"{method}: customMetadata is an object of text, not {type(given).__name__}")
    found = {str(name): _as_text(str(name), value) for name, value in given.items()}
    if sum(_stored_size(name) + _stored_size(value) for name, value in found.items()) > _LARGEST:
        raise METADATA_TOO_LARGE.of(method)
    return found


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else _text(f"customMetadata[{name!r}]", value)


def _stored_size(text: str) -> int:
    """R2 counts a byte a character as long as all have one, else two for each unit of UTF-16."""
    if all(ord(character) < 256 for character in text):
        return len(text)
    return len(text.encode("utf-16-le", errors="surrogatepass"))


def read_storage_class(method: str, given: Any) -> str:
    """Return ``Standard`` or ``InfrequentAccess``."""
    if given is None:
        return STANDARD
    if given not in _STORAGE_CLASSES:
        raise invalid(method, f"storageClass is {' or '.join(_STORAGE_CLASSES)}, not {given!r}")
    return str(given)
