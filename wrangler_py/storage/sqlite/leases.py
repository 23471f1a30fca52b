"""Leases: checked, given up, or ended by the death of their process. See `engine.quarantine`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wrangler_py.engine.entries import DeathData, encode_data
from wrangler_py.engine.quarantine import FIRST_DELAY_MS, LONGEST_DELAY_MS, Accused, Evidence
from wrangler_py.errors import StaleEpochError
from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries

_Q = load_queries("wrangler_py.storage.sqlite")


def end_lease(database: Database, epoch: int, *, now: int) -> int:
    """Remove a lease and free its instances; return how many. Inside a transaction."""
    database.execute(_Q["drop_lease"], {"epoch": epoch})
    return database.execute(_Q["free_instances"], {"epoch": epoch, "now": now}).rowcount


def ended_leases(
    database: Database,
    *,
    now: int,
    keep: Collection[int],
    owners: Collection[str] | None,
    living: str | None,
    stopped: Collection[str],
) -> list[tuple[int, str]]:
    """Return epoch and owner of the leases that are over; for the arguments see `Store.reap`."""

    def is_over(owner: str, expires_at: int) -> bool:
        return (
            expires_at < now
            or owners is None
            or owner in owners
            or owner in stopped
            or (living is not None and not owner.startswith(living))
        )

    leases = [lease for lease in database.read(_Q["leases"]) if lease[0] not in keep]
    return [(epoch, owner) for epoch, owner, expires_at in leases if is_over(owner, expires_at)]


def end_leases(
    database: Database,
    leases: Collection[tuple[int, str]],
    stopped: Collection[str],
    evidence: Collection[Evidence],
    *,
    now: int,
) -> int:
    """End leases, given by epoch and owner, of processes that are gone; return how many instances are free. Inside a
    transaction."""
    known = {one.owner: one for one in evidence}
    return sum(
        end_lease(database, epoch, now=now)
        if owner in stopped
        else _bury(database, epoch, known.get(owner), now=now)
        for epoch, owner in leases
    )


def _bury(database: Database, epoch: int, evidence: Evidence | None, *, now: int) -> int:
    """End the lease of a process that died, as `end_lease` does, and count the death."""
    if evidence is not None and evidence.instances:
        for workflow, instance_id in evidence.instances:
            one = {"epoch": epoch, "workflow": workflow, "id": instance_id, "least": evidence.least_deaths}
            database.execute(_Q["blame"], one)
        for attempt in evidence.attempts:
            _accuse(database, epoch, attempt, is_certain=evidence.is_certain, now=now)
        if evidence.is_certain:
            [(workflow, instance_id)] = evidence.instances
            data = encode_data(DeathData(is_certain=True))
            one = {"epoch": epoch, "workflow": workflow, "id": instance_id, "at": now, "data": data}
            database.execute(_Q["spare_others"], one)
    else:
        more = 1 if evidence is None else 0
        database.execute(_Q["blame_all"], {"epoch": epoch, "now": now, "more": more})
    database.execute(_Q["drop_lease"], {"epoch": epoch})
    delay = {"first": FIRST_DELAY_MS, "longest": LONGEST_DELAY_MS}
    postponed = database.execute(_Q["postpone"], {"epoch": epoch, "now": now, **delay}).rowcount
    return postponed + database.execute(_Q["free_instances"], {"epoch": epoch, "now": now}).rowcount


def _accuse(database: Database, epoch: int, accused: Accused, *, is_certain: bool, now: int) -> None:
    """Store which attempt was executing: its start may not have come so far."""
    one = {
        "epoch": epoch,
        "workflow": accused.workflow,
        "id": accused.instance_id,
        "at": now,
        "attempt": accused.attempt,
        "name": accused.step,
        "data": encode_data(DeathData(accused.is_rollback, is_certain)),
    }
    database.execute(_Q["accuse"], one)


def set_deaths(database: Database, changes: Sequence[tuple[int, int]]) -> None:
    """Store the deaths of instances, given as (row, deaths)."""
    for row, deaths in changes:
        database.execute(_Q["set_deaths"], (deaths, row))


def check_lease(database: Database, epoch: int | None) -> None:
    """Raise StaleEpochError if the lease ``epoch`` is gone."""
    if not database.execute(_Q["lease_stands"], (epoch,)).fetchone():
        raise StaleEpochError("the lease of this process is gone: another process took its instances over")
