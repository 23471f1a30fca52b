"""The dict form of ``send()``, read and checked (Email Service docs, "Workers API")."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from wrangler_py.bindings.email.addresses import Address, read_address, read_addresses
from wrangler_py.bindings.email.headers import read_headers
from wrangler_py.bindings.email.refusals import invalid, missing, one_line, required
from wrangler_py.bindings.failures import EmailError

_log = logging.getLogger(__name__)
FIELDS = ("from", "to", "cc", "bcc", "replyTo", "subject", "text", "html", "headers", "attachments")
MAX_RECIPIENTS, MAX_ATTACHMENTS, MAX_SUBJECT = 50, 32, 998
_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)


class Attachment(msgspec.Struct, frozen=True):
    """A file that goes with a message; ``content_id`` is there if it is shown inside its HTML."""

    filename: str
    type: str
    content: bytes
    content_id: str | None = None


class Draft(msgspec.Struct, frozen=True):
    """A message in its parts."""

    sender: Address
    to: tuple[Address, ...]
    subject: str
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: Address | None = None
    text: str | None = None
    html: str | None = None
    headers: Mapping[str, str] = {}
    attachments: tuple[Attachment, ...] = ()

    @property
    def recipients(self) -> tuple[Address, ...]:
        """All it goes to."""
        return (*self.to, *self.cc, *self.bcc)


def read_draft(fields: Mapping[str, Any], destination: str | None) -> Draft:
    """Return what ``fields`` say; ``destination`` is whom a message without ``to`` is for.

    Raises:
        EmailError: a field is missing or is not what it has to be; ``code`` is Cloudflare's.
    """
    if unknown := [name for name in fields if name not in FIELDS]:
        _log.warning("send() ignores %r: there are %s", unknown[0], ", ".join(FIELDS))
    given = {name: fields.get(name) or None for name in FIELDS}
    reply_to = given["replyTo"]
    draft = Draft(
        sender=read_address(required(given, "from"), "from"),
        to=read_addresses(given["to"] or destination, "to"),
        subject=_read_subject(required(given, "subject")),
        cc=read_addresses(given["cc"], "cc"),
        bcc=read_addresses(given["bcc"], "bcc"),
        reply_to=None if reply_to is None else read_address(reply_to, "replyTo"),
        text=_read_body(given["text"], "text"),
        html=_read_body(given["html"], "html"),
        headers=read_headers(given["headers"]),
        attachments=_read_attachments(given["attachments"]),
    )
    _check_recipients(draft)
    return draft


def _check_recipients(draft: Draft) -> None:
    if not draft.to:
        raise missing("to")
    if (many := len(draft.recipients)) > MAX_RECIPIENTS:
        raise EmailError(
            f"too many recipients: {many}, at most {MAX_RECIPIENTS}", code="E_TOO_MANY_RECIPIENTS"
        )


def _read_subject(value: Any) -> str:
    subject = one_line(value, "'subject'")
    if len(subject) > MAX_SUBJECT:
        raise invalid(f"'subject' has {len(subject)} characters, at most {MAX_SUBJECT} are allowed")
    return subject


def _read_body(value: Any, field: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise invalid(f"'{field}' is a string, not {type(value).__name__}")


def _read_attachments(value: Any) -> tuple[Attachment, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise invalid(f"'attachments' is a list, not {type(value).__name__}")
    if len(value) > MAX_ATTACHMENTS:
        many = f"too many attachments: {len(value)}, at most {MAX_ATTACHMENTS}"
        raise EmailError(many, code="E_TOO_MANY_ATTACHMENTS")
    return tuple(_read_attachment(one, f"attachments[{index}].") for index, one in enumerate(value))


def _read_attachment(value: Any, where: str) -> Attachment:
    if not isinstance(value, Mapping):
        raise invalid(f"'{where[:-1]}' is an object, not {type(value).__name__}")
    kind = one_line(required(value, "type", where), f"'{where}type'")
    if not _TYPE.fullmatch(kind):
        raise invalid(f"'{where}type' is not a MIME type such as text/plain: {kind!r}")
    return Attachment(
        filename=one_line(required(value, "filename", where), f"'{where}filename'"),
        type=kind,
        content=_read_content(value.get("content"), where),
        content_id=_read_content_id(value, where),
    )


def _read_content_id(attachment: Mapping[str, Any], where: str) -> str | None:
    disposition = required(attachment, "disposition", where)
    if disposition not in {"attachment", "inline"}:
        raise invalid(f'\'{where}disposition\' is "attachment" or "inline", not {disposition!r}')
    if disposition == "attachment":
        return None
    return one_line(required(attachment, "contentId", where), f"'{where}contentId'").strip("<>")


def _read_content(value: Any, where: str) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if value is None:
        raise missing(f"{where}content")
    if not isinstance(value, str):
        raise invalid(f"'{where}content' is Base64 text or bytes, not {type(value).__name__}")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"'{where}content' is not Base64; give bytes for a content as it is") from None
