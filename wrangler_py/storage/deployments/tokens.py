"""Bearer tokens: who may speak to a `serve`. The secrets themselves are kept nowhere."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from wrangler_py.errors import StoreBusyError, UserError
from wrangler_py.storage.database import Database
from wrangler_py.storage.deployments.file import Q, open_registry

if TYPE_CHECKING:
    from wrangler_py.clock import Clock

#: Tells a person, and a scanner of leaked secrets, what it is.
PREFIX = "pywr_"
_SECRET_BYTES = 32
#: When a token was used last is good to an hour, so that looking is not writing.
USED_PRECISION_MS = 3_600_000


class Token(msgspec.Struct, frozen=True):
    """A token as it is listed; instants in ms since 1970, ``last_used_at`` good to an hour."""

    id: str
    name: str
    created_at: int
    last_used_at: int | None


class Tokens:
    """The tokens of a state directory; made and revoked beside a running `serve`, which sees it at once.

    Every method raises StoreUnavailableError if the file cannot be used at the moment.
    """

    def __init__(self, file: Database, clock: Clock) -> None:
        self._file, self._clock = file, clock

    @classmethod
    def open(cls, state_dir: Path, clock: Clock) -> Self:
        """Open the tokens, or make the file; raises StateError as `open_database` does."""
        return cls(open_registry(state_dir), clock)

    def create(self, name: str) -> tuple[str, str]:
        """Make a token; return its id, and its secret, which nobody can read again.

        Raises:
            UserError: the name is taken.
        """
        token_id, secret = self._clock.new_id(), PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        if not self._file.write(Q["add_token"], (token_id, name, _digest(secret), self._clock.now())):
            raise UserError(
                f"There is a token '{name}' already.",
                hint=f"Choose another name, or revoke it first: pywrangler tokens revoke {name}",
            )
        return token_id, secret

    def list(self) -> list[Token]:
        """Return the tokens, the oldest first."""
        return [Token(*row) for row in self._file.read(Q["tokens"])]

    def revoke(self, token: str) -> bool:
        """Remove the token that has this id or name; return False if there is none."""
        return self._file.write(Q["revoke"], (token, token)) > 0

    def verify(self, secret: str) -> bool:
        """Return True if ``secret`` is that of a token. How long it takes says nothing about how near it came."""
        wanted, found = _digest(secret), None
        for token_id, digest, used_at in self._file.read(Q["digests"]):
            if hmac.compare_digest(wanted, digest):
                found = (token_id, used_at)
        if found is None:
            return False
        self._note_use(*found)
        return True

    def _note_use(self, token_id: str, used_at: int | None) -> None:
        now = self._clock.now()
        if used_at is None or now - used_at >= USED_PRECISION_MS:
            with suppress(StoreBusyError):  # The next use is noted.
                self._file.write(Q["token_used"], (now, token_id))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
