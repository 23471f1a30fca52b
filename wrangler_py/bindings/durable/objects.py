"""A script's Durable Objects: finds the one live instance of an id, or makes it, in the one process that may.

Exactly one process drives a script. One that does not yet lets calls wait until it does; one that does no more sends
them to the script's new worker. So there are never two instances of one id.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.durable.alarms import Alarms, retry_delay
from wrangler_py.bindings.durable.calls import method_of, require_public, takes_argument
from wrangler_py.bindings.durable.context import inside_an_object
from wrangler_py.bindings.durable.ids import Ids, ObjectId
from wrangler_py.bindings.durable.keys import explained
from wrangler_py.bindings.durable.resident import Kind, Resident
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.bindings.resources import Target
from wrangler_py.errors import StoreBusyError, StoreError
from wrangler_py.serde import Record
from wrangler_py.storage.durable import AlarmIndex, Hint, ObjectFile
from wrangler_py.storage.waiting import waited

if TYPE_CHECKING:
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config
    from wrangler_py.sdk.workers import Request, Response

_log = logging.getLogger(__name__)
#: How long an object without work stays in memory, in ms (docs, "Lifecycle of a Durable Object").
IDLE_MS = 10_000
#: How many of them at most: each has an open file.
MOST_IDLE = 128
#: How long an alarm rests that can neither be handled nor be put off.
_PAUSE_S = 1
_UPDATED = "Durable Object reset because its code was updated."
_NO_RESPONSE = "Incorrect type for Promise: the Promise did not resolve to 'Response'."


class Phase(Enum):
    """The part of this process in driving the script: none yet, full, only to finish what runs, none any more."""

    WAITING = 0
    DRIVING = 1
    DRAINING = 2
    LEFT = 3


Key = tuple[str, str]


class DurableObjects:
    """Calls of this script's objects, and their alarms."""

    def __init__(self, resources: Resources) -> None:
        self._on = resources
        self._script = resources.config.name
        self._phase = Phase.WAITING
        self._decided = asyncio.Event()
        self._residents: dict[Key, Resident] = {}
        #: Those without work, in the order in which they ran out of it, and since when.
        self._idle: OrderedDict[Key, int] = OrderedDict()
        self._sweep_timer: asyncio.TimerHandle | None = None
        index = AlarmIndex(
            resources.place("do", self._script, ".alarms.sqlite"), synchronous=resources.synchronous
        )
        self._alarms = Alarms(index, resources.clock, own_classes(resources.config), self._ring)
        resources.on_close(self.close)

    @classmethod
    def of(cls, resources: Resources) -> DurableObjects:
        """Return the objects of the script, which all bindings of this process share."""
        return resources.shared(cls, lambda: cls(resources))

    # calls --------------------------------------------------------------------------------------------------------

    async def call(
        self, class_name: str, object_id: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a method of an object and return what it returns; exceptions of it pass.

        ``object_id`` is 64 hex digits, and may have the object's name behind a space.

        Raises:
            WorkerLoadError: this Worker has no such class.
            ObjectError: the id is none of the class, there is no such method, or the object was reset.
        """
        require_public(method)
        id = self._id(class_name, object_id)
        if not await self._is_mine():
            target = Target("object", class_name, id=object_id)
            return await self._on.peers.call(self._script, target, method, args, kwargs)
        event = partial(_call, method, args, kwargs)
        return await self._resident(class_name, id).deliver(event)

    async def fetch(self, class_name: str, object_id: str, request: Request) -> Response:
        """Let an object answer a request; raises as `call` does."""
        id = self._id(class_name, object_id)
        if not await self._is_mine():
            target = Target("object", class_name, id=object_id)
            return await self._on.peers.fetch(self._script, target, request)
        response: Response = await self._resident(class_name, id).deliver(partial(_fetch, request))
        return response

    def _id(self, class_name: str, object_id: str) -> ObjectId:
        self._on.code.object_class(class_name)
        return Ids(self._script, class_name).received(object_id)

    async def _is_mine(self) -> bool:
        """Return True if the object lives here, as soon as that is known.

        While this process only finishes what runs, an object that it waits for may still call another; all others
        belong to the next worker.
        """
        await self._decided.wait()
        return self._phase is Phase.DRIVING or (self._phase is Phase.DRAINING and inside_an_object())

    # residents ----------------------------------------------------------------------------------------------------

    def _resident(self, class_name: str, id: ObjectId) -> Resident:
        key = (class_name, str(id))
        self._idle.pop(key, None)
        resident = self._residents.get(key) or self._make(key, id)
        resident.id.name = resident.id.name or id.name
        return resident

    def _make(self, key: Key, id: ObjectId) -> Resident:
        class_name = key[0]
        made = self._on.code.object_class(class_name)
        kind = Kind(made, self._on.env, self._on.clock, self._on.config.clears_alarms)
        resident = Resident(id, kind, on_idle=lambda: self._rest(key), on_reset=lambda: self._forget(key))
        self._residents[key] = resident
        resident.begin(self._file(class_name, id, resident.turn_begins))
        return resident

    def _file(self, class_name: str, id: ObjectId, on_begin: Callable[[], None]) -> ObjectFile:
        path = self._on.place("do", f"{self._script}-{class_name}") / f"{id}.sqlite"
        watch = self._alarms.watch(class_name, id)
        return ObjectFile(path, watch, on_begin, synchronous=self._on.synchronous)

    def _forget(self, key: Key) -> None:
        self._idle.pop(key, None)
        self._residents.pop(key, None)

    def _rest(self, key: Key) -> None:
        if key not in self._residents:
            return
        self._idle[key] = self._on.clock.now()
        self._idle.move_to_end(key)
        if len(self._idle) > MOST_IDLE:
            self._hibernate(next(iter(self._idle)))
        if self._sweep_timer is None:
            self._sweep_later(IDLE_MS)

    def _sweep_later(self, wait: int) -> None:
        self._sweep_timer = asyncio.get_running_loop().call_later(wait / 1000, self._sweep)

    def _sweep(self) -> None:
        """Let those go that have had nothing to do for long enough."""
        self._sweep_timer = None
        now = self._on.clock.now()
        while self._idle:
            key, since = next(iter(self._idle.items()))
            if since + IDLE_MS > now:
                self._sweep_later(since + IDLE_MS - now)
                return
            self._hibernate(key)

    def _hibernate(self, key: Key) -> None:
        """Take an object out of memory; what it handed to ``waitUntil`` keeps it there for another while."""
        del self._idle[key]
        resident = self._residents[key]
        if resident.is_idle:
            resident.leave()
            self._forget(key)
        else:
            self._rest(key)

    # alarms -------------------------------------------------------------------------------------------------------

    async def _ring(self, hint: Hint) -> None:
        id = ObjectId(hint.id, hint.name)
        try:
            resident = self._resident(hint.class_name, id)
            await resident.deliver(partial(_alarm, resident, self._on.clock.now))
        except Exception as error:  # noqa: BLE001 - it is logged, and the alarm tried again
            if self._phase is Phase.DRIVING:
                await self._put_off_when_possible(hint, id, error)

    async def _put_off_when_possible(self, hint: Hint, id: ObjectId, error: Exception) -> None:
        try:
            await waited(self._put_off, hint, id, error)
        except (ObjectError, StoreError) as refusal:
            # It is due still, and fires again when this returns: not at once, then.
            _log.error("the alarm of Durable Object %s cannot be put off: %s", id, refusal)
            await asyncio.sleep(_PAUSE_S)

    def _put_off(self, hint: Hint, id: ObjectId, error: Exception) -> None:
        """Try an alarm again later whose object could not be made, or was reset by it."""
        resident = self._residents.get((hint.class_name, hint.id))
        file = self._file(hint.class_name, id, lambda: None) if resident is None else resident.file
        try:
            with explained():
                file.find_unlocked()
                put_off(file, id, self._on.clock.now(), error, firing=False)
                file.commit()
        except ObjectError as refusal:
            if isinstance(refusal.__cause__, StoreBusyError):
                raise refusal.__cause__ from None
            raise
        finally:
            if resident is None:
                file.close(error)

    # life of the process ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin: this process drives the script now. Calls that waited go on, and overdue alarms fire."""
        self._phase = Phase.DRIVING
        self._decided.set()
        self._alarms.start()

    async def drain(self, grace: float) -> None:
        """Start nothing new, wait up to ``grace`` seconds for what runs, then reset it; all files are closed."""
        if self._phase is Phase.DRIVING:
            self._phase = Phase.DRAINING
            self._alarms.stop()
            await self._finish(grace)
        self._phase = Phase.LEFT
        self._decided.set()
        self.close()

    async def _finish(self, grace: float) -> None:
        ends_at = asyncio.get_running_loop().time() + grace
        while busy := [resident for resident in self._residents.values() if not resident.is_idle]:
            left = ends_at - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await asyncio.gather(*(resident.finished(left) for resident in busy))
        for resident in list(self._residents.values()):
            await resident.end(ObjectError(_UPDATED))

    def close(self) -> None:
        """Let go of all files."""
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for resident in self._residents.values():
            resident.leave()
        self._residents.clear()
        self._idle.clear()
        self._alarms.index.close()


def own_classes(config: Config) -> list[str]:
    """Return the classes of objects that live in this script."""
    bound = config.resources.durable_objects
    return sorted({one.class_name for one in bound if one.script_name in (None, config.name)})


def put_off(file: ObjectFile, id: ObjectId, now: int, error: Exception, *, firing: bool) -> None:
    """Set the alarm that has failed anew, or give it up after the last retry; log which."""
    alarm = file.alarm()
    if alarm is None or alarm.firing is not firing or alarm.at > now:
        return
    delay = retry_delay(alarm.retries)
    if delay is None:
        file.delete_alarm()
        _log.error("alarm() of Durable Object %s failed and is given up", id, exc_info=error)
    else:
        file.retry_alarm(now, now + delay, firing=firing)
        _log.error("alarm() of Durable Object %s failed, again in %d s", id, delay // 1000, exc_info=error)


# events: what is run with the instance, when its turn has come -----------------------------------------------------


def _call(method: str, args: Sequence[Any], kwargs: Mapping[str, Any], instance: Any) -> Any:
    return method_of(instance, method)(*args, **kwargs)


async def _fetch(request: Request, instance: Any) -> Any:
    from wrangler_py.sdk.workers import Response

    handler = method_of(instance, "fetch")
    answer = handler(request) if takes_argument(handler) else handler()
    if asyncio.iscoroutine(answer):
        answer = await answer
    if not isinstance(answer, Response):
        raise ObjectError(_NO_RESPONSE, name="TypeError")
    return answer


async def _alarm(resident: Resident, now: Callable[[], int], instance: Any) -> None:
    file = resident.file
    with explained():
        alarm = file.begin_alarm(now())
        if alarm is None:
            file.touch_alarm()
            return
    try:
        handler = method_of(instance, "alarm")
        info = Record(retryCount=alarm.retries, isRetry=alarm.retries > 0)
        done = handler(info) if takes_argument(handler) else handler()
        if asyncio.iscoroutine(done):
            await done
    except Exception as error:  # noqa: BLE001 - it is logged, and the alarm tried again
        with explained():
            put_off(file, resident.id, now(), error, firing=True)
    else:
        with explained():
            file.end_alarm()
