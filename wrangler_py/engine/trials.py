"""The trials of suspects in one process: who is tried now, and whether others are held meanwhile.

The rules are `engine.quarantine`'s; which suspects there are, and their slots, is the scheduler's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from wrangler_py.engine.executing import RECORD, Executing
from wrangler_py.engine.instance.context import EngineContext, InstanceContext
from wrangler_py.engine.quarantine import ALONE, admitted, holds_others, next_change_ms, survival_ms
from wrangler_py.engine.timers import Timer


class Trials:
    """The suspects on trial, and since when. ``kick`` is called when it is time to look again."""

    def __init__(
        self, shared: EngineContext, resident: Mapping[int, InstanceContext], kick: Callable[[], None]
    ) -> None:
        self._shared, self._resident, self._kick = shared, resident, kick
        self._trying: dict[InstanceContext, int] = {}
        #: Those with one death that still execute after their trial: others in flight at that death may join them.
        self._survivors: set[InstanceContext] = set()
        self._passed = 0
        self._waiting_since: int | None = None
        self._timer: Timer | None = None

    def clear(self) -> None:
        """Forget everything: under another lease all instances are taken up anew."""
        self._trying.clear()
        self._survivors.clear()
        self._record()
        self.settle(are_waiting=False)

    def admits(self, waiting: Sequence[int]) -> int:
        """Return how many of the ``waiting`` suspects, given by their deaths in ascending order, may start now."""
        if not waiting:
            return 0
        allowed = self._trying.keys() | (self._survivors if waiting[0] < ALONE else set())
        are_others_busy = any(one.in_flight and one not in allowed for one in self._resident.values())
        trying = [one.suspicion.deaths for one in self._trying]
        return admitted(waiting, trying, passed=self._passed, are_others_busy=are_others_busy)

    def begin(self, context: InstanceContext) -> None:
        """Try a suspect from now on."""
        now = self._shared.clock.now()
        self._trying[context], context.suspicion.is_on_trial = now, True
        self._shared.is_quarantined = True
        self._record()
        self._shared.timers.call_at(now + survival_ms(context.suspicion.deaths), self._kick)

    def end(self, context: InstanceContext) -> None:
        """End a trial, if there is one: the suspect waits, or is no longer in memory."""
        self._survivors.discard(context)
        if self._trying.pop(context, None) is not None:
            context.suspicion.is_on_trial = False
            self._record()
            self._kick()

    def _record(self) -> None:
        places = [context.place for context in self._trying]
        RECORD.try_([Executing(place.workflow, place.instance_id) for place in places])

    def passed(self, context: InstanceContext) -> None:
        """End a trial well."""
        if context in self._trying:
            self._passed += 1
        self.end(context)

    def review(self) -> None:
        """End the trials of those that have survived for long enough."""
        now = self._shared.clock.now()
        for context, since in list(self._trying.items()):
            if now - since < survival_ms(context.suspicion.deaths):
                continue
            if context.suspicion.deaths < ALONE:
                context.survived()
                self._survivors.add(context)
            else:
                self.end(context)

    def settle(self, *, are_waiting: bool) -> None:
        """Hold others, or let them go on; ``are_waiting``: there are suspects that could not be tried yet."""
        shared, now = self._shared, self._shared.clock.now()
        was_quarantined = shared.is_quarantined
        self._waiting_since = (self._waiting_since or now) if are_waiting else None
        waited = None if self._waiting_since is None else now - self._waiting_since
        shared.is_quarantined = bool(self._trying) or (waited is not None and holds_others(waited))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = (
            None if waited is None else shared.timers.call_at(now + next_change_ms(waited), self._kick)
        )
        if was_quarantined and not shared.is_quarantined:
            for context in self._resident.values():
                context.gate.release()
