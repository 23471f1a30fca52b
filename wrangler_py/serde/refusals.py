"""Values that cannot be stored, and what to use instead of them."""

from __future__ import annotations


class NotSerialisableError(TypeError):
    """A value that cannot be stored. ``path`` says where it stands inside the whole, as ``["rows"][3]``."""

    def __init__(self, value: object, path: str, advice: str) -> None:
        where = f" at {path}" if path else ""
        self.path, self._value, self._advice = path, f"a value of type {type(value).__name__}{where}", advice
        super().__init__(self.saying("cannot be stored"))

    def saying(self, what: str) -> str:
        """Return the message for another use than storing it: ``what`` as "cannot be sent"."""
        return f"{self._value} {what}; {self._advice}"


class RpcTypeError(NotSerialisableError):
    """A tuple or bytearray, refused in Cloudflare's own words (python-sdk, section 4)."""

    def __init__(self, value: object, path: str) -> None:
        TypeError.__init__(self, f"{type(value)} cannot be sent over RPC.")
        self.path = path

    def saying(self, what: str) -> str:
        """Return Cloudflare's own words, which know of no other use."""
        _ = what
        return str(self)
