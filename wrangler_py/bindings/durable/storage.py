"""``ctx.storage`` (Cloudflare's docs, "Storage API" of Durable Objects with SQLite storage)."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from wrangler_py.bindings.durable.gate import Section, here
from wrangler_py.bindings.durable.keys import KeyValues, explained, require_keys
from wrangler_py.bindings.durable.sql import SqlStorage
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.bindings.started import starts, starts_in_a_task
from wrangler_py.clock import Clock
from wrangler_py.storage.durable import ObjectFile

T = TypeVar("T")
#: JavaScript has no date behind this one, in ms since 1970.
_LATEST = 8_640_000_000_000_000


class Operations:
    """What may be done with the storage of an object, in a transaction or not.

    All of it completes without letting other code run, whatever the ``await`` in front says: between two operations
    nothing else of the object happens. Options such as ``allowConcurrency`` have no effect.
    """

    def __init__(self, file: ObjectFile, clock: Clock, *, has_alarm: bool) -> None:
        self._file, self._clock, self._has_alarm = file, clock, has_alarm
        self._keys = KeyValues(file)

    def _require(self, operation: str) -> None:
        """Raise ObjectError if the operation is not possible now."""

    @starts
    async def get(self, key: Any, _options: Any = None, /, **_: Any) -> Any:
        """Return the value of a key, None if there is none; of a list of keys, a dict of those there are."""
        self._require("get()")
        if isinstance(key, str):
            return self._keys.get(key)
        return self._keys.get_all(require_keys(key))

    @starts
    async def put(self, key: Any, value: Any = msgspec.UNSET, _options: Any = None, /, **_: Any) -> None:
        """Set ``key`` to ``value``, or all entries of a dict.

        Raises:
            ObjectError: a key or value is too large, or there are more than 128.
            TypeError: a value cannot be stored.
        """
        self._require("put()")
        if isinstance(key, Mapping):
            require_keys(key)
            self._keys.put_all(key)
            return
        if value is msgspec.UNSET:
            raise ObjectError("put() called with undefined value.", name="TypeError")
        self._keys.put(key, value)

    @starts
    async def delete(self, key: Any, _options: Any = None, /, **_: Any) -> bool | int:
        """Remove a key and say whether it was there, or a list of keys and say how many were."""
        self._require("delete()")
        if isinstance(key, str):
            return self._keys.delete(key)
        return sum(self._keys.delete(one) for one in require_keys(key))

    @starts
    async def list(self, options: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, Any]:
        """Return keys and values, in order; options: see `KeyValues.list`."""
        self._require("list()")
        return dict(self._keys.list(options, **named))

    @starts
    async def get_alarm(self, _options: Any = None, /, **_: Any) -> int | None:
        """Return when the alarm is, in ms since 1970; None while it fires, unless it was set again."""
        self._require("getAlarm()")
        with explained():
            alarm = self._file.alarm()
        return None if alarm is None or alarm.firing else alarm.at

    @starts
    async def set_alarm(self, at: float | datetime, _options: Any = None, /, **_: Any) -> None:
        """Have ``alarm()`` called at a time: a datetime (naive: UTC) or ms since 1970; one in the past means now.

        Raises:
            ObjectError: the class has no ``alarm``, or this is no time.
        """
        self._require("setAlarm()")
        if not self._has_alarm:
            raise ObjectError(
                "Your Durable Object class must have an alarm() handler in order to call setAlarm()",
                name="TypeError",
            )
        due = max(_milliseconds(at), self._clock.now())
        with explained():
            self._file.set_alarm(due)

    @starts
    async def delete_alarm(self, _options: Any = None, /, **_: Any) -> None:
        """Have no alarm."""
        self._require("deleteAlarm()")
        with explained():
            self._file.delete_alarm()

    getAlarm = get_alarm
    setAlarm = set_alarm
    deleteAlarm = delete_alarm


class Transaction(Operations):
    """What the closure of ``transaction`` is given."""

    _undo: Callable[[], None] | None = None
    _is_over = False

    def _require(self, operation: str) -> None:
        if self._is_over:
            raise ObjectError(
                f"Cannot call {operation} on transaction that has already committed: "
                "did you move `txn` outside of the closure?"
            )
        if self._undo is None:
            raise ObjectError(f"Cannot {operation} on rolled back transaction")

    def rollback(self) -> None:
        """Undo what was written in the transaction; nothing more can be written through it."""
        if self._undo is not None:
            self._require("rollback()")
            self._undo()
            self._undo = None

    @starts
    async def delete_all(self, *_: Any, **__: Any) -> None:
        """Raise ObjectError: that is not possible here."""
        raise ObjectError("Cannot call deleteAll() within a transaction")

    deleteAll = delete_all


class ObjectStorage(Operations):
    """The storage of one object. ``kv`` and ``sql`` reach the same data at once, without ``await``."""

    def __init__(
        self, file: ObjectFile, clock: Clock, life: Section, *, has_alarm: bool, clears_alarm: bool
    ) -> None:
        super().__init__(file, clock, has_alarm=has_alarm)
        self._life, self._clears_alarm = life, clears_alarm
        self.kv = self._keys
        self.sql = SqlStorage(file)

    @starts
    async def delete_all(self, _options: Any = None, /, **_: Any) -> None:
        """Remove all keys and tables; from compatibility date 2026-02-24 the alarm as well."""
        with explained():
            self._file.clear(alarm=self._clears_alarm)

    @starts_in_a_task
    async def transaction(self, closure: Callable[[Transaction], Awaitable[T] | T]) -> T:
        """Run ``closure(txn)`` as one transaction and return what it returns; if it raises, nothing was written.

        Nothing else of the object runs meanwhile, also where the closure waits.
        """
        async with here(self._life).critical():
            with explained(), self._file.held() as undo:
                txn = Transaction(self._file, self._clock, has_alarm=self._has_alarm)
                txn._undo = undo
                try:
                    result = closure(txn)
                    return await result if inspect.isawaitable(result) else result
                finally:
                    txn._is_over = True

    def transaction_sync(self, closure: Callable[[], T]) -> T:
        """Run a plain function as one transaction and return what it returns; if it raises, nothing was written."""
        if inspect.iscoroutinefunction(closure):
            raise ObjectError("transactionSync() takes a plain function; use transaction()", name="TypeError")
        with explained(), self._file.savepoint():
            return closure()

    @starts
    async def sync(self) -> None:
        """Return when all that was written is on disk."""
        with explained():
            self._file.commit()

    deleteAll = delete_all
    transactionSync = transaction_sync


def _milliseconds(at: float | datetime) -> int:
    if isinstance(at, datetime):
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise ObjectError(f"setAlarm() takes a datetime or milliseconds, not {at!r}", name="TypeError")
    if not at > 0:
        raise ObjectError("setAlarm() cannot be called with an alarm time <= 0", name="TypeError")
    return int(min(at, _LATEST))
