"""Tokens: a secret is shown once, kept nowhere, and dead the moment it is revoked."""

from __future__ import annotations

import hmac
import re
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
    assert tokens.list() == []


def test_a_secret_tells_what_it_is_and_is_new_each_time(tokens: Tokens) -> None:
    """A prefix that scanners of leaked secrets find, and 32 random bytes as text."""
    found = [tokens.create(f"t{number}") for number in range(20)]
    assert all(re.fullmatch(r"pywr_[A-Za-z0-9_-]{43}", secret) for _, secret in found)
    assert len({secret for _, secret in found}) == len({token_id for token_id, _ in found}) == 20


def test_the_list_has_what_was_made_oldest_first(tokens: Tokens, clock: Clock) -> None:
    made = []
    for name in ("b", "a", "c"):
        clock.time += 1
        made.append((tokens.create(name)[0], name, clock.time, None))
    assert [(one.id, one.name, one.created_at, one.last_used_at) for one in tokens.list()] == made


def test_a_token_that_is_used_is_noted_and_no_other(tokens: Tokens, clock: Clock) -> None:
    secrets = [tokens.create(name)[1] for name in "abc"]
    tokens.verify(secrets[1])
    assert [one.last_used_at for one in tokens.list()] == [None, clock.time, None]


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
    with pytest.raises(UserError, match="There is a token 'ci' already") as refused:
        tokens.create("ci")
    assert refused.value.hint == "Choose another name, or revoke it first: pywrangler tokens revoke ci"
    assert len(tokens.list()) == 1


def test_the_list_says_when_a_token_was_used_last_good_to_an_hour(tokens: Tokens, clock: Clock) -> None:
    _, secret = tokens.create("ci")
    assert tokens.list()[0].last_used_at is None
    used = []
    for passed in (5, USED_PRECISION_MS - 1, 1, 0):
        clock.time += passed
        tokens.verify(secret)
        used.append(tokens.list()[0].last_used_at)
    later = 1_000_005 + USED_PRECISION_MS
    assert used == [1_000_005, 1_000_005, later, later]
    assert USED_PRECISION_MS == 60 * 60 * 1000


def test_tokens_are_shared_by_all_processes_at_once(tokens: Tokens, tmp_path: Path, clock: Clock) -> None:
    other = Tokens.open(tmp_path, clock)
    _, secret = tokens.create("ci")
    assert other.verify(secret)
    tokens.revoke("ci")
    assert not other.verify(secret)
    other.close()
