"""`FormData`, and how forms are written and read: urlencoded and ``multipart/form-data``."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from wrangler_py.sdk.web.blob import Blob, File
from wrangler_py.sdk.web.pairs import MultiMap

FormDataValue = str | Blob


class FormData(MultiMap[FormDataValue]):
    """The fields of a form: text, or files."""

    def __init__(self, form_data: FormData | Mapping[str, Any] | None = None) -> None:
        if form_data is not None and not isinstance(form_data, Mapping):
            raise TypeError(f"FormData is made of a dict or FormData, not {type(form_data).__name__}")
        super().__init__(form_data.items() if form_data else ())

    def _value(self, value: Any) -> FormDataValue:
        if isinstance(value, list | tuple):
            raise TypeError("a field has one value; use append() for each of several")
        if isinstance(value, Blob):
            return value if isinstance(value, File) else File(value, "blob")
        return str(value)

    def append(self, key: str, value: Any, filename: str | None = None) -> None:
        """Add a value, beside those that ``key`` has. ``filename`` is for a `Blob`."""
        if filename is None:
            super().append(key, value)
        elif isinstance(value, Blob):
            super().append(key, File(value, filename))
        else:
            raise TypeError(f"a filename goes with a Blob, not with {type(value).__name__}")

    @property
    def js_object(self) -> Any:
        """The form itself."""
        return self


def parse(data: bytes, content_type: str) -> FormData:
    """Return the form in ``data``.

    Raises:
        TypeError: ``content_type`` is not one of a form, or ``data`` is not in that format.
    """
    kind = content_type.partition(";")[0].strip().lower()
    form = FormData()
    if kind == "application/x-www-form-urlencoded":
        fields: Iterable[tuple[str, FormDataValue]] = parse_qsl(
            data.decode(errors="replace"), keep_blank_values=True
        )
    elif kind == "multipart/form-data":
        fields = _parts(data, _boundary(content_type))
    else:
        raise TypeError(f"a body of type {content_type or 'unknown'!r} is not a form")
    for name, value in fields:
        form.append(name, value)
    return form


def serialise(form: FormData) -> tuple[bytes, str]:
    """Return ``form`` as multipart bytes, and their content type with its boundary."""
    boundary = f"----pywrangler{secrets.token_hex(16)}"
    parts = [_write_part(boundary, name, value) for name, value in form.items()]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


# writing ----------------------------------------------------------------------------------------------------


def _write_part(boundary: str, name: str, value: FormDataValue) -> bytes:
    disposition = f'form-data; name="{_escape(re.sub(_LINE_END, _CRLF, name))}"'
    if not isinstance(value, Blob):
        return _part(boundary, disposition, "", re.sub(_LINE_END, _CRLF, value).encode())
    disposition += f'; filename="{_escape(getattr(value, "name", "blob"))}"'
    kind = value.content_type or "application/octet-stream"
    return _part(boundary, disposition, f"Content-Type: {kind}\r\n", value.content())


def _part(boundary: str, disposition: str, more: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n{more}\r\n"
    return head.encode() + content + b"\r\n"


_LINE_END = r"\r\n|\r|\n"
_CRLF = "\r\n"
_ESCAPES = {'"': "%22", "\r": "%0D", "\n": "%0A"}


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


# reading ----------------------------------------------------------------------------------------------------


def _boundary(content_type: str) -> bytes:
    found = _parameter(content_type, "boundary")
    if not found:
        raise TypeError("the content type of a multipart body names no boundary")
    return found.encode()


def _parts(data: bytes, boundary: bytes) -> Iterator[tuple[str, FormDataValue]]:
    """Yield each field. A delimiter stands alone at the start of a line; elsewhere it is a file's content."""
    sections = re.split(rb"(?:^|\r\n)--" + re.escape(boundary) + rb"(?=--|[ \t]*\r\n)", data)
    if len(sections) < 2 or not sections[-1].startswith(b"--"):
        raise TypeError("a multipart body ends before its closing boundary")
    for section in sections[1:-1]:
        yield _read_part(section)


def _read_part(section: bytes) -> tuple[str, FormDataValue]:
    head, gap, content = section.partition(b"\r\n\r\n")
    headers = dict(map(_header, head.decode(errors="replace").split("\r\n")[1:]))
    disposition = headers.get("content-disposition", "")
    name = _parameter(disposition, "name")
    if not gap or name is None or not disposition.lower().startswith("form-data"):
        raise TypeError("a part of a multipart body has no form-data name")
    filename = _parameter(disposition, "filename")
    if filename is None:
        return name, content.decode(errors="replace")
    return name, File(content, filename, headers.get("content-type", "text/plain"))


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


_KEY = re.compile(r";\s*([^=;\s]+)=")
_BARE = re.compile(r"[^\s;]*")
#: A quote ends a value only before ``;`` or the end: some programs write a quote inside as ``\"``.
_CLOSING = re.compile(r'"(?=\s*(?:;|$))')


def _parameter(header: str, name: str) -> str | None:
    return next((value for key, value in _parameters(header) if key.lower() == name), None)


def _parameters(header: str) -> Iterator[tuple[str, str]]:
    """Yield names and values; the header is read once, also where quotes are never closed."""
    at, may_close = 0, True
    while found := _KEY.search(header, at):
        at = found.end()
        closing = _CLOSING.search(header, at + 1) if may_close and header.startswith('"', at) else None
        if closing is not None:
            yield found[1], _unescape(header[at + 1 : closing.start()].replace('\\"', '"'))
            at = closing.end()
            continue
        # Where no quote closes from here on, none does from a later place on.
        may_close = may_close and not header.startswith('"', at)
        bare = _BARE.match(header, at)
        assert bare is not None
        yield found[1], bare[0]
        at = bare.end()


def _unescape(text: str) -> str:
    for plain, escaped in _ESCAPES.items():
        text = text.replace(escaped, plain)
    return text
