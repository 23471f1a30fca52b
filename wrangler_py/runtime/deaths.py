"""Deaths of worker processes: what the record of what they executed says, for the screen and for the next worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wrangler_py.runtime.channel import Death

if TYPE_CHECKING:
    from wrangler_py.engine.executing import LastWords
    from wrangler_py.engine.quarantine import Ends

#: Suspects named where there are several.
NAMED = 3


def ends_of(deaths: Sequence[Death]) -> Ends:
    """Return the report on deaths that the engine gets."""
    from wrangler_py.engine.quarantine import Accused, Ends, Evidence

    return Ends(
        stopped=[one.owner for one in deaths if one.is_stopped],
        evidence=[
            Evidence(
                one.owner, one.instances, [Accused(*attempt) for attempt in one.attempts], one.is_certain
            )
            for one in deaths
            if not one.is_stopped
        ],
    )


def death_of(owner: str, last_words: LastWords) -> Death:
    """Return the death of the worker whose leases are named ``owner``."""
    suspects = last_words.suspects
    instances = dict.fromkeys((one.workflow, one.instance_id) for one in suspects)
    attempts = [(*one[:4], one.is_rollback) for one in suspects if one.step]
    return Death(owner, list(instances), attempts, last_words.is_certain)


def told(last_words: LastWords) -> str:
    """Return what was executing, in words that follow "The worker died"; empty if nothing is known."""
    suspects = last_words.suspects
    if not suspects:
        return ""
    if last_words.is_certain:
        return f" while {suspects[0]} was executing"
    named = [str(one) for one in suspects[:NAMED]]
    if len(suspects) > NAMED:
        named.append(f"{len(suspects) - NAMED} more")
    if last_words.handlers and not last_words.on_loop:
        named.append("a handler of the Worker")
    return f" while one of these was executing: {', '.join(named)}"


def fields_of(last_words: LastWords) -> dict[str, str | int]:
    """Return what killed a worker as fields of a log line; empty where that is not certain."""
    if not last_words.is_certain:
        return {}
    one = last_words.suspects[0]
    fields: dict[str, str | int] = {"workflow": one.workflow, "instance": one.instance_id}
    return {**fields, "step": one.step, "attempt": one.attempt} if one.step else fields
