"""Messages as bytes (RFC 5322), by the standard library: a draft written, a raw one looked at."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser
from email.utils import format_datetime, getaddresses
from typing import TYPE_CHECKING, NamedTuple

from wrangler_py.bindings.email.refusals import invalid

if TYPE_CHECKING:
    from wrangler_py.bindings.email.draft import Attachment, Draft

#: Long lines as far as RFC 5322 lets them be: folding would encode what cannot be broken, as a long URL.
_POLICY = policy.SMTP.clone(max_line_length=998)
_BREAK = re.compile(rb"\r\n|\r|\n")


class Head(NamedTuple):
    """What is looked at of a raw message."""

    sender: str
    subject: str
    message_id: str | None
    was_received: bool


def write_message(draft: Draft, message_id: str, at: int) -> bytes:
    """Return a draft as a message of the time ``at`` (ms since 1970), ``Bcc`` included: nobody else sees it.

    Raises:
        EmailError: it holds text that no message can.
    """
    try:
        return _compose(draft, message_id, at).as_bytes()
    except (UnicodeError, ValueError, MessageError) as error:
        raise invalid(f"the message cannot be written: {error}") from None


def _compose(draft: Draft, message_id: str, at: int) -> EmailMessage:
    message = EmailMessage(_POLICY)
    _set_head(message, draft)
    message["Date"] = format_datetime(datetime.fromtimestamp(at / 1000, UTC))
    message["Message-ID"] = message_id
    for name, value in draft.headers.items():
        message[name] = value
    _set_body(message, draft)
    for attachment in draft.attachments:
        if attachment.content_id is None or draft.html is None:
            _attach(message, attachment)
    return message


def _set_head(message: EmailMessage, draft: Draft) -> None:
    message["From"] = draft.sender.for_header()
    for name, addresses in (("To", draft.to), ("Cc", draft.cc), ("Bcc", draft.bcc)):
        if addresses:
            message[name] = [one.for_header() for one in addresses]
    if draft.reply_to is not None:
        message["Reply-To"] = draft.reply_to.for_header()
    message["Subject"] = draft.subject


def _set_body(message: EmailMessage, draft: Draft) -> None:
    if draft.html is None:
        message.set_content(draft.text or "")
        return
    if draft.text is None:
        message.set_content(draft.html, subtype="html")
        html = message
    else:
        message.set_content(draft.text)
        message.add_alternative(draft.html, subtype="html")
        html = message.get_payload()[-1]  # type: ignore[index, assignment]
    for attachment in draft.attachments:
        if attachment.content_id is not None:
            _relate(html, attachment)


def _relate(html: EmailMessage, attachment: Attachment) -> None:
    main, _, sub = attachment.type.partition("/")
    html.add_related(
        attachment.content,
        maintype=main,
        subtype=sub,
        cid=f"<{attachment.content_id}>",
        filename=attachment.filename,
        disposition="inline",
    )


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    main, _, sub = attachment.type.partition("/")
    message.add_attachment(attachment.content, maintype=main, subtype=sub, filename=attachment.filename)


def read_head(raw: bytes) -> Head:
    """Return what is looked at of a raw message.

    Raises:
        EmailError: it has no header at all.
    """
    message = BytesHeaderParser(policy=policy.compat32).parsebytes(raw)
    if not message.keys():
        raise invalid("could not parse email: there is no header")
    senders = getaddresses([str(one) for one in message.get_all("From", [])])
    return Head(
        sender=senders[0][1] if len(senders) == 1 else "",
        subject=_subject(message),
        message_id=_text(message, "Message-ID"),
        was_received="Received" in message,
    )


def _text(message: Message, name: str) -> str | None:
    value = message.get(name)
    return None if value is None else " ".join(str(value).split()) or None


def _subject(message: Message) -> str:
    written = _text(message, "Subject") or "(no subject)"
    try:
        return str(make_header(decode_header(written)))
    except (LookupError, ValueError, MessageError):
        return written


def with_line_breaks(raw: bytes) -> bytes:
    """Return a message with the line breaks of RFC 5322, whichever it was written with."""
    return _BREAK.sub(b"\r\n", raw)
