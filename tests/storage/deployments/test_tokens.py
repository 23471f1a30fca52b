"""Tokens: a secret is shown once, kept nowhere, and dead the moment it is revoked."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any

import pytest

from tests.storage.deployments.conftest import Clock
from wrangler_py.errors import UserError
from wrangler_py.storage.deployments import Tokens
from wrangler_py.storage.deployments.tokens import USED_PRECISION_MS


def test_a_token_is_let_in_until_it_is_revoked_by_name_or_id(tokens: Tokens) -> None:
    (first_id, first), (_, second) = tokens.create("ci"), tokens.create("laptop")
    assert tokens.verify(first)
    assert tokens.verify(second)
    assert tokens.revoke("laptop")
    assert tokens.revoke(first_id)
    assert not tokens.verify(first)
    assert not tokens.verify(second)
    assert not tokens.revoke("laptop")


@pytest.mark.parametrize("wrong", ["", "pywr_", "Bearer", "\udc80", "é"])
def test_anything_else_is_not_let_in(tokens: Tokens, wrong: str) -> None:
    _, secret = tokens.create("ci")
    assert not tokens.verify(wrong)
    assert not tokens.verify(secret + wrong if wrong else secret[:-1])


def test_no_file_holds_a_secret(tokens: Tokens, tmp_path: Path) -> None:
    _, secret = tokens.create("ci")
    assert tokens.verify(secret)
    tokens.close()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"ci" in written
    assert secret.removeprefix("pywr_").encode() not in written


def test_every_digest_is_compared_whole_whichever_fits(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it takes must not tell which token fits, nor how much of it."""
    secrets = [tokens.create(f"t{number}")[1] for number in range(5)]
    compared: list[Any] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    for secret in (secrets[0], secrets[4], "wrong"):
        compared.clear()
        tokens.verify(secret)
        assert len(compared) == 5


def test_a_name_is_taken_once(tokens: Tokens) -> None:
    tokens.create("ci")
    with pytest.raises(UserError, match="There is a token 'ci' already"):
        tokens.create("ci")


def test_the_list_says_when_a_token_was_used_last_good_to_an_hour(tokens: Tokens, clock: Clock) -> None:
    _, secret = tokens.create("ci")
    assert tokens.list()[0].last_used_at is None
    used = []
    for passed in (5, 5, USED_PRECISION_MS):
        clock.time += passed
        tokens.verify(secret)
        used.append(tokens.list()[0].last_used_at)
    assert used == [1_000_005, 1_000_005, 1_000_010 + USED_PRECISION_MS]


def test_tokens_are_shared_by_all_processes_at_once(tokens: Tokens, tmp_path: Path, clock: Clock) -> None:
    other = Tokens.open(tmp_path, clock)
    _, secret = tokens.create("ci")
    assert other.verify(secret)
    tokens.revoke("ci")
    assert not other.verify(secret)
    other.close()
