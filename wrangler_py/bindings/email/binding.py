"""``env.SEND_EMAIL`` (Email Service docs, "Workers API" and "Send bindings")."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.email.draft import Draft, read_draft
from wrangler_py.bindings.email.mime import read_head, with_line_breaks, write_message
from wrangler_py.bindings.email.refusals import invalid, missing, one_line
from wrangler_py.bindings.failures import EmailError
from wrangler_py.bindings.started import starts
from wrangler_py.sdk.email import EmailMessage
from wrangler_py.sdk.web.streams import ReadableStream, chunks_of
from wrangler_py.serde import Record

if TYPE_CHECKING:
    from wrangler_py.bindings.email.outbox import Outbox
    from wrangler_py.clock import Clock
    from wrangler_py.config.model import EmailConfig

#: Shown by a session as a line of its own.
_log = logging.getLogger(__name__)
#: Bytes of a message with all that is in it (docs, "Limits").
MAX_SIZE = 25 << 20


class SendEmail:
    """Takes messages for the addresses its configuration allows, and keeps them in an `Outbox`."""

    def __init__(self, config: EmailConfig, outbox: Outbox, clock: Clock) -> None:
        self._config, self._outbox, self._clock = config, outbox, clock

    def __repr__(self) -> str:
        return f"<send_email {self._config.binding}>"

    @starts
    async def send(self, message: Any = None, /, **fields: Any) -> Record:
        """Write a message as a file; return ``{"messageId"}``.

        ``message`` is an `EmailMessage`, or an object of ``from``, ``to``, ``subject`` and, as wanted, ``text``,
        ``html``, ``cc``, ``bcc``, ``replyTo``, ``headers``, ``attachments``, which may be keywords too (``from_``).

        Raises:
            EmailError: it is not a message, or its addresses are not allowed; ``code`` is Cloudflare's.
            StoreUnavailableError: it cannot be written.
        """
        if isinstance(message, EmailMessage):
            return await self._send_raw(message)
        if message is not None and not isinstance(message, Mapping):
            raise invalid(f"send() takes an EmailMessage or an object, not {type(message).__name__}")
        if "from_" in fields:
            fields["from"] = fields.pop("from_")
        return await self._send_draft(read_draft({**(message or {}), **fields}, self._config.destination))

    async def _send_draft(self, draft: Draft) -> Record:
        self._check_sender(draft.sender.email)
        self._check_recipients(one.email for one in draft.recipients)
        id, at = self._clock.new_id(), self._clock.now()
        message_id = f"<{id.replace('-', '')}@{draft.sender.email.rpartition('@')[2]}>"
        path = await self._keep(lambda: write_message(draft, message_id, at), id, at)
        to = ", ".join(one.shown for one in draft.recipients)
        return _sent(draft.sender.shown, to, draft.subject, path, message_id)

    async def _send_raw(self, message: EmailMessage) -> Record:
        sender = one_line(message.from_, "'from'")
        receiver = one_line(message.to or self._config.destination or "", "'to'")
        if not receiver:
            raise missing("to")
        self._check_sender(sender)
        self._check_recipients([receiver])
        raw = await _read_raw(message.raw)
        head = read_head(raw[: _head_size(raw)])
        if head.message_id is None:
            raise invalid(
                "invalid message-id: the message needs a header Message-ID, as <unique@your-domain>"
            )
        if head.sender != sender:
            raise invalid("From: header does not match mail from")
        if head.was_received:
            raise invalid("invalid headers set: Received is not yours to set")
        path = await self._keep(lambda: with_line_breaks(raw), self._clock.new_id(), self._clock.now())
        return _sent(sender, receiver, head.subject, path, head.message_id)

    async def _keep(self, write: Callable[[], bytes], id: str, at: int) -> str:
        return await self._outbox.keep(lambda: _checked_size(write()), id, at)

    def _check_sender(self, sender: str) -> None:
        if self._config.senders and sender not in self._config.senders:
            raise EmailError(f"email from {sender} not allowed", code="E_SENDER_NOT_VERIFIED")

    def _check_recipients(self, recipients: Iterable[str]) -> None:
        only = self._config.destination
        allowed = self._config.receivers if only is None else (only,)
        for one in recipients:
            if allowed and one not in allowed:
                raise EmailError(f"email to {one} not allowed", code="E_RECIPIENT_NOT_ALLOWED")


def _sent(sender: str, to: str, subject: str, path: str, message_id: str) -> Record:
    _log.info('Email from %s to %s: "%s" (not sent, see %s)', sender, to, subject, path)
    return Record(messageId=message_id)


async def _read_raw(raw: Any) -> bytes:
    if isinstance(raw, str):
        return raw.encode("utf-8", "replace")
    if isinstance(raw, bytes | bytearray | memoryview):
        return bytes(raw)
    if not isinstance(raw, ReadableStream):
        raise invalid(
            f"an EmailMessage is made of a string, bytes or a ReadableStream, not {type(raw).__name__}"
        )
    data = bytearray()
    async for chunk in chunks_of(raw.take()):
        data += chunk
        _check_size(len(data))
    return bytes(data)


def _head_size(raw: bytes) -> int:
    """Return how many bytes the headers have, so that a long body is not looked through for nothing."""
    ends = [end for end in (raw.find(mark) for mark in (b"\r\n\r\n", b"\n\n", b"\r\r")) if end >= 0]
    return min(ends, default=len(raw))


def _checked_size(data: bytes) -> bytes:
    _check_size(len(data))
    return data


def _check_size(size: int) -> None:
    if size > MAX_SIZE:
        raise EmailError(f"the message has {size} bytes, at most {MAX_SIZE}", code="E_CONTENT_TOO_LARGE")
