"""What comes by itself: ``[triggers] crons`` call `scheduled`, ``schedules`` of workflows create instances.

Each due minute is *marked* in the state before it is fired, so that no crash fires it twice. The process that drives
the script next goes on from the mark if it is fresh; a minute that came while nothing ran is not made up for. Shortly
before a minute is due the mark is renewed, so that it is fresh if the process is replaced just then. A minute that was
marked and cut off before its instances were stored is repeated for those alone: their ids are made from the minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from wrangler_py.clock import iso
from wrangler_py.config.schedule import MINUTE_MS, Schedule
from wrangler_py.engine import Occurrence, Trigger
from wrangler_py.errors import InstanceExistsError, StoreUnavailableError, UserError
from wrangler_py.storage.cron import Marks
from wrangler_py.storage.waiting import waited

if TYPE_CHECKING:
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config

#: A mark older than this is of another life: the minutes since then were missed.
FRESH_MS = 2 * MINUTE_MS
#: How long before a due minute the mark is renewed.
LEAD_MS = MINUTE_MS
#: Seconds until marking is tried again.
_PAUSE = 1.0

logger = logging.getLogger(__name__)


class ScheduledController:
    """What ``scheduled`` is given: ``cron``, ``scheduledTime`` (ms since 1970), ``type``."""

    type = "scheduled"

    def __init__(self, cron: str, at_ms: int) -> None:
        self.cron = cron
        self.scheduledTime = self.scheduled_time = at_ms

    def noRetry(self) -> None:
        """Do nothing: a scheduled event is not tried again here."""


class Planned(NamedTuple):
    """A schedule and what it does for a due minute: ``fire`` returns False if that was done before.

    ``repeatable``: trying it twice does it once.
    """

    schedule: Schedule
    #: How the log calls it.
    title: str
    fire: Callable[[int], Awaitable[bool]]
    repeatable: bool = False


class CronTriggers:
    """Fires the schedules of one script while this process drives it."""

    def __init__(self, resources: Resources) -> None:
        self._clock, self._script = resources.clock, resources.config.name
        self._resources = resources
        self._planned: list[Planned] = []
        self._is_started = False
        resources.engine.maintenance.observe_settings(self._replan)
        #: Up to when every due minute has been fired.
        self._judged = 0
        self._turning: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Go on where the process before stopped, or begin now."""
        self._is_started = True
        self._planned = list(_planned(self._resources))
        self._begin()

    @cached_property
    def _marks(self) -> Marks:
        """Opened when something is planned: most scripts have no schedules."""
        on = self._resources
        marks = Marks(on.place("cron", "cron", ".sqlite"), synchronous=on.synchronous)
        on.on_close(marks.close)
        return marks

    def _begin(self) -> None:
        if self._planned:
            self._turning = asyncio.get_running_loop().create_task(self._turn_from_mark(self._clock.now()))

    async def _turn_from_mark(self, now: int) -> None:
        while True:
            try:
                await self._take_up(now)
            except StoreUnavailableError as error:
                await self._pause(error)
            else:
                break
        await self._turn()

    async def _take_up(self, now: int) -> None:
        mark = await waited(lambda: self._marks.read(self._script))
        if mark is None or abs(now - mark) > FRESH_MS:
            await self._mark(now - 1)
        else:
            self._judged = mark
            self._fire(mark, repeatable=True)

    async def drain(self, grace: float) -> None:
        """Fire nothing more, and tell whoever comes next where to go on; stop the handlers after ``grace`` seconds."""
        await self._stop_turning()
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _stop_turning(self) -> None:
        self._is_started = False
        task, self._turning = self._turning, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        now = self._clock.now()
        if 0 < self._judged < now and not self._due(now):
            with contextlib.suppress(StoreUnavailableError):
                await self._mark(now)

    def _replan(self) -> None:
        """Take up schedules that were set over the API."""
        if not self._is_started:
            return
        before, self._planned = self._planned, list(_planned(self._resources))
        if self._turning is None:
            self._begin()
        elif [one.title for one in before] != [one.title for one in self._planned]:
            self._turning.cancel()
            self._turning = asyncio.get_running_loop().create_task(self._turn_from_now())

    async def _turn_from_now(self) -> None:
        """Go on with other schedules: their minutes up to now are not made up for."""
        with contextlib.suppress(StoreUnavailableError):
            await self._mark(self._clock.now())
        await self._turn()

    async def _turn(self) -> None:
        while True:
            try:
                pause = await self._look(self._clock.now())
            except StoreUnavailableError as error:
                await self._pause(error)
                continue
            if pause is None:
                return
            await asyncio.sleep(min(pause, self._clock.max_wait))

    async def _pause(self, error: StoreUnavailableError) -> None:
        logger.warning("schedules wait, because the state cannot be written: %s", error)
        await asyncio.sleep(_PAUSE)

    async def _look(self, now: int) -> float | None:
        """Fire what is due; return the seconds until there is something to do (None: never again)."""
        if self._judged - now > FRESH_MS:
            self._judged = now  # The clock was set back.
        for minute in self._due(now):
            await self._mark(minute)
            self._fire(minute)
        upcoming = self._next_after(now)
        if upcoming is None:
            return None
        renewal = upcoming - LEAD_MS
        if self._judged < renewal <= now:
            await self._mark(now)
        return ((renewal if renewal > now else upcoming) - now) / 1000

    def _due(self, now: int) -> list[int]:
        """Return the due minutes that were not fired. After a jump of the clock (a laptop that slept) only the newest
        counts, if it is no older than a minute."""
        since = self._judged if now - self._judged <= FRESH_MS else now - MINUTE_MS
        found = []
        while (minute := self._next_after(since)) is not None and minute <= now:
            found.append(minute)
            since = minute
        return found

    def _next_after(self, at: int) -> int | None:
        upcoming = (one.schedule.next_after(at) for one in self._planned)
        return min((minute for minute in upcoming if minute is not None), default=None)

    async def _mark(self, at: int) -> None:
        await waited(lambda: self._marks.write(self._script, at))
        self._judged = at

    def _fire(self, minute: int, *, repeatable: bool = False) -> None:
        """Start what is due in a minute, each on its own; with ``repeatable`` only what may be done again."""
        for one in self._planned:
            if one.schedule.matches(minute) and (one.repeatable or not repeatable):
                task = asyncio.get_running_loop().create_task(_run(one, minute))
                self._running.add(task)
                task.add_done_callback(self._running.discard)


async def _run(planned: Planned, minute: int) -> None:
    """Do what is planned; what goes wrong with it concerns nobody else."""
    line = f"{planned.title} @ {iso(minute)}"
    try:
        if await planned.fire(minute):
            logger.info("%s - Ok", line)
    except UserError as error:
        logger.error("%s - Exception Thrown\n%s", line, "\n".join(filter(None, (str(error), error.hint))))
    except Exception as error:
        logger.error("%s - Exception Thrown", line, exc_info=error)


def _planned(resources: Resources) -> Iterator[Planned]:
    config = resources.config
    for cron in dict.fromkeys(config.crons):
        yield Planned(Schedule(cron), f'"{cron}"', partial(_call_scheduled, resources, cron))
    for workflow, cron in _own_schedules(config, resources):
        create = partial(_create, resources, workflow, cron)
        yield Planned(Schedule(cron), f'{workflow} "{cron}"', create, repeatable=True)


def _own_schedules(config: Config, resources: Resources) -> Iterator[tuple[str, str]]:
    """Yield name and expression; a workflow of another script is started by that one's process.

    Where the configuration has none, those that were set over the API hold.
    """
    for one in config.workflows:
        if one.script_name in (None, config.name):
            schedules = one.schedules or resources.engine.maintenance.schedules(one.name)
            yield from ((one.name, cron) for cron in dict.fromkeys(schedules))


async def _call_scheduled(resources: Resources, cron: str, minute: int) -> bool:
    await resources.code.call("scheduled", ScheduledController(cron, minute))
    return True


async def _create(resources: Resources, workflow: str, cron: str, minute: int) -> bool:
    try:
        await resources.engine.create(workflow, trigger=Trigger.CRON, schedule=Occurrence(cron, minute))
    except InstanceExistsError:
        return False
    return True
