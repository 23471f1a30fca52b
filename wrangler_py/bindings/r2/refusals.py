"""What R2 refuses, in Cloudflare's words and with its numbers (R2 docs, "Error codes")."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from wrangler_py.bindings.failures import R2Error
from wrangler_py.errors import StoreUnavailableError


class Refusal(NamedTuple):
    """A number, and the words that go with it."""

    code: int
    words: str

    def of(self, method: str) -> R2Error:
        """Return it as the error of a method of the bucket."""
        return R2Error(f"{method}: {self.words} ({self.code})", code=self.code)


TOO_LARGE = Refusal(100100, "Your proposed upload exceeds the maximum allowed object size.")
TOO_SMALL = Refusal(10011, "Your proposed upload is smaller than the minimum allowed object size.")
METADATA_TOO_LARGE = Refusal(10012, "Your metadata headers exceed the maximum allowed metadata size.")
INVALID_NAME = Refusal(10020, "The specified object name is not valid.")
INVALID_LIMIT = Refusal(10022, "MaxKeys params must be positive integer <= 1000.")
NO_SUCH_UPLOAD = Refusal(10024, "The specified multipart upload does not exist.")
NO_SUCH_PART = Refusal(10025, "One or more of the specified parts could not be found.")
INVALID_RANGE = Refusal(10039, "The requested range is not satisfiable")
UNEVEN_PARTS = Refusal(10048, "There was a problem with the multipart upload.")


def invalid(method: str, what: str) -> R2Error:
    """Return the error of an argument that R2 itself would take no look at."""
    return R2Error(f"{method}: {what} (10029)", code=10029)


def wrong_type(message: str) -> R2Error:
    """Return what JavaScript calls a TypeError."""
    return R2Error(message, name="TypeError")


def wrong_checksum(method: str, name: str, given: str, found: str) -> R2Error:
    """Return the error of bytes that are not those of their checksum."""
    lines = (
        f"{method}: The {name} checksum you specified did not match what we received.",
        f"You provided a {name} checksum with value: {given}",
        f"Actual {name} was: {found} (10037)",
    )
    return R2Error("\n".join(lines), code=10037)


@contextmanager
def explained(method: str) -> Iterator[None]:
    """Turn a failure of the disk or the index into an error of the bucket that says what to mend."""
    try:
        yield
    except (OSError, sqlite3.Error, StoreUnavailableError) as error:
        reason = getattr(error, "strerror", None) or error
        advice = "Is the disk full, or was the state directory removed?"
        message = f"{method}: The bucket's files cannot be used: {reason}. {advice} (10001)"
        raise R2Error(message, code=10001) from error
