"""Checksums and etags.

R2's etag of an object that was put as a whole is its MD5. To compute one takes several times as long as to write a
file: it is done up to 8 MiB, where nobody notices, and where it was asked for by ``md5=``. The etag of any other object
is its version, of which every put makes a new one. Both have 32 hexadecimal digits, and both change with the bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from wrangler_py.bindings.r2.options import absent
from wrangler_py.bindings.r2.refusals import wrong_checksum, wrong_type

#: By the option's name: what R2 calls it in errors, and how many bytes it has.
CHECKSUMS = {
    "md5": ("MD5", 16),
    "sha1": ("SHA-1", 20),
    "sha256": ("SHA-256", 32),
    "sha384": ("SHA-384", 48),
    "sha512": ("SHA-512", 64),
}
MD5_UP_TO = 8 << 20


class Checksum:
    """The one checksum that a caller gave: ``algorithm`` and ``value``, hexadecimal."""

    def __init__(self, algorithm: str, value: str) -> None:
        self.algorithm, self.value = algorithm, value


def read_checksum(options: Mapping[str, Any]) -> Checksum | None:
    """Return the checksum among the options of a put, given as bytes or hexadecimal text.

    Raises:
        R2Error: there are several, or it is not one.
    """
    given = [name for name in CHECKSUMS if not absent(options.get(name))]
    if len(given) > 1:
        raise wrong_type("You cannot specify multiple hashing algorithms.")
    return Checksum(given[0], _hexadecimal(given[0], options[given[0]])) if given else None


def _hexadecimal(algorithm: str, value: Any) -> str:
    name, size = CHECKSUMS[algorithm]
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        if len(data) != size:
            raise wrong_type(f"{name} is {size} bytes, not {len(data)}")
        return data.hex()
    if not isinstance(value, str):
        raise wrong_type(f"{name} is bytes or hexadecimal text, not {type(value).__name__}")
    if len(value) != 2 * size:
        raise wrong_type(f"{name} is {2 * size} hex characters, not {len(value)}")
    try:
        return bytes.fromhex(value).hex()
    except ValueError:
        raise wrong_type(f"Provided {name} wasn't a valid hex string") from None


class Digests:
    """The hashes of bytes as they come. One thread at a time may use it."""

    def __init__(self, given: Checksum | None = None) -> None:
        self._given = given
        self._size = 0
        wanted = {"md5"} | ({given.algorithm} if given else set())
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in wanted}

    def update(self, data: bytes | memoryview) -> None:
        """Take more bytes."""
        self._size += len(data)
        if self._size > MD5_UP_TO and (self._given is None or self._given.algorithm != "md5"):
            self._hashes.pop("md5", None)
        for one in self._hashes.values():
            one.update(data)

    @property
    def is_wanted(self) -> bool:
        """True if there is still something to compute."""
        return bool(self._hashes)

    @property
    def md5(self) -> str | None:
        """The MD5 of the bytes so far, hexadecimal; None: it was given up."""
        return self._hashes["md5"].hexdigest() if "md5" in self._hashes else None

    def checksums(self, method: str) -> dict[str, str]:
        """Return what the object is stored with: its MD5 where there is one, and the checksum that was given.

        Raises:
            R2Error: that one is not the checksum of the bytes.
        """
        if self._given is not None:
            self._verify(method, self._given)
        return {name: one.hexdigest() for name, one in self._hashes.items()}

    def _verify(self, method: str, given: Checksum) -> None:
        found = self._hashes[given.algorithm].hexdigest()
        if found != given.value:
            raise wrong_checksum(method, CHECKSUMS[given.algorithm][0], given.value, found)


def multipart_etag(parts: Iterable[str]) -> str:
    """Return the etag of an object of parts with these etags: a digest of theirs, and how many they are."""
    digests = [bytes.fromhex(etag) for etag in parts]
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
