"""``cloudflare:email``: what `import_from_javascript` gives for it (Email Service docs, "Legacy EmailMessage API")."""

from __future__ import annotations

from typing import Any


class EmailMessage:
    """A message as it is to be sent: its envelope, and its text with all headers, which is str, bytes or a stream.

    Python names the sender ``from_``; the attribute that JavaScript knows, ``from``, is there too.
    """

    def __init__(self, from_: str, to: str | None, raw: Any) -> None:
        self.from_, self.to, self.raw = from_, to, raw
        setattr(self, "from", from_)

    @classmethod
    def new(cls, from_: str, to: str | None, raw: Any) -> EmailMessage:
        """Construct, as Python on Cloudflare does."""
        return cls(from_, to, raw)
