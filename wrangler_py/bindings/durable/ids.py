"""Names of objects: 64 hex digits that say which namespace they belong to."""

from __future__ import annotations

import hashlib
import hmac
import uuid

from wrangler_py.bindings.failures import ObjectError
from wrangler_py.clock import Clock

_BYTES = 32
_HALF = 16


class ObjectId:
    """The id of one object (Cloudflare's DurableObjectId). ``name`` is what it was made from, or None."""

    __slots__ = ("_hex", "name")

    def __init__(self, hex_digits: str, name: str | None = None) -> None:
        self._hex, self.name = hex_digits, name

    def __str__(self) -> str:
        return self._hex

    def __repr__(self) -> str:
        return f"<Durable Object id {self._hex}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectId) and str(other) == self._hex

    def __hash__(self) -> int:
        return hash(self._hex)

    def to_string(self) -> str:
        """Return the 64 hex digits."""
        return self._hex

    def equals(self, other: object) -> bool:
        """Return True if ``other`` is the id of the same object."""
        return self == other

    @property
    def sent(self) -> str:
        """The id as it goes to another process: the digits and, behind a space, the name if there is one."""
        return self._hex if self.name is None else f"{self._hex} {self.name}"

    toString = to_string


class Ids:
    """Makes the ids of one class of one script: the same from the same name, in every process and at any time.

    The second half of an id is a keyed hash of the first, by which an id of another class is recognised.
    """

    def __init__(self, script: str, class_name: str) -> None:
        self._key = hashlib.sha256(f"{script}\0{class_name}".encode()).digest()

    def from_name(self, name: str) -> ObjectId:
        """Return the id that belongs to a name."""
        return ObjectId(self._seal(self._hash(b"name\0" + name.encode("utf-8", "surrogatepass"))), name)

    def unique(self, clock: Clock) -> ObjectId:
        """Return an id that was never given before."""
        return ObjectId(self._seal(uuid.UUID(clock.new_id()).bytes))

    def from_string(self, text: str) -> ObjectId:
        """Return the id that ``text`` shows; the name, if it had one, is unknown.

        Raises:
            ObjectError: it is no id, or one of another class (both in Cloudflare's words).
        """
        try:
            raw = bytes.fromhex(text)
        except (ValueError, TypeError):
            raw = b""
        if len(raw) != _BYTES or len(text) != 2 * _BYTES:
            raise ObjectError("Invalid Durable Object ID: must be 64 hex digits", name="TypeError")
        return self.require(ObjectId(raw.hex()))

    def received(self, sent: str) -> ObjectId:
        """Return the id that came from another process as `ObjectId.sent`; raises as `from_string` does."""
        digits, space, name = sent.partition(" ")
        found = self.from_string(digits)
        return ObjectId(str(found), name if space else None)

    def require(self, found: ObjectId) -> ObjectId:
        """Return an id if it is one of this class; raise ObjectError."""
        first = bytes.fromhex(str(found))[:_HALF]
        if self._seal(first) != str(found):
            raise ObjectError("Durable Object ID is not valid for this namespace.", name="TypeError")
        return found

    def _seal(self, first: bytes) -> str:
        return (first + self._hash(b"seal\0" + first)).hex()

    def _hash(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")[:_HALF]
