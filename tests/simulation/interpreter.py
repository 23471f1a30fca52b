"""The one workflow class of the simulator: its `run()` does what a program says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from tests.simulation.ledger import Effect, Run
from tests.simulation.programs import (
    STEERING,
    Background,
    Catch,
    Do,
    Fail,
    Finally,
    Gather,
    Local,
    Race,
    Shield,
    Sleep,
    Steer,
    Try,
    Wait,
    Within,
)
from wrangler_py.sdk.workers.workflows import NonRetryableError

if TYPE_CHECKING:
    from tests.simulation.world import Process

Body = tuple[Any, ...]
#: Seconds for which a stubborn step goes on after its cancellation.
STUBBORN_S = 20.0
#: The same for one that is only late: in time to end by itself.
LATE_S = 0.05
#: Bytes of a stream that is stored in two pieces.
BIG = 256 * 1024 + 7


class Interpreter:
    """An entrypoint: ``payload["program"]`` says which program it runs."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._ledger = process.world.ledger

    async def run(self, event: Any, step: Any) -> Any:
        """Run the instance's program and return the values of its statements."""
        number = event["payload"]["program"]
        program = self._process.program(number)
        run = self._ledger.begin_run(self._process, event["instanceId"], number)
        try:
            output = await _Call(self, run, step, event).program(program.body)
        except Exception as error:
            self._ledger.end_run(run, "error", type(error).__name__, _text(error))
            raise
        except BaseException as stop:
            self._ledger.end_run(run, "cancelled", type(stop).__name__)
            raise
        self._ledger.end_run(run, "ok", output)
        return output


class _Call:
    """One call of `run()`."""

    def __init__(self, interpreter: Interpreter, run: Run, step: Any, event: Any) -> None:
        self._process = interpreter._process
        self._ledger = interpreter._ledger
        self._run = run
        self._step = step
        self._event = event
        self._background: list[tuple[asyncio.Task[Any], bool]] = []

    async def program(self, body: Body) -> list[Any]:
        """Run it all, and wait for what it left in the background."""
        values = await self.body(body)
        for task, cancelled in self._background:
            if cancelled:
                task.cancel()
            try:
                values.append(await task)
            except asyncio.CancelledError:
                if not task.cancelled():
                    raise
                values.append("cancelled")
        return values

    async def body(self, body: Body, *, nested: bool = False) -> list[Any]:
        """Run statements one after the other and return their values."""
        return [await _MEANING[type(one)](self, one, nested) for one in body]

    def _stops(self) -> bool:
        return self._step.context.stop_reason is not None

    # leaves

    async def _handed(self, one: Any, nested: bool, call: Any) -> Any:
        nth = self._run.nth(one.site)
        try:
            value = await call
            if hasattr(value, "__aiter__"):
                value = await _read(value)
        except Exception as error:
            self._ledger.hand(self._run, one.site, nth, nested, "error", type(error).__name__, _text(error))
            raise
        except asyncio.CancelledError:
            self._ledger.give_up(self._run, one.site, nth, nested)
            raise
        if isinstance(one, Wait):
            value = [value["type"], value["payload"]]
        self._ledger.hand(self._run, one.site, nth, nested, "ok", value)
        return value

    async def do(self, one: Do, nested: bool) -> Any:
        undo = {} if one.undo is None else {"rollback": self._undo(one), "rollback_config": _config(one.undo)}
        callback = self._threaded(one) if one.threaded else self._async(one)
        return await self._handed(one, nested, self._step.do(one.name, _config(one), callback, **undo))

    async def sleep(self, one: Sleep, nested: bool) -> Any:
        if one.until:
            at = round((self._event["timestamp"] - _EPOCH).total_seconds() * 1000) + one.ms
            return await self._handed(one, nested, self._step.sleep_until(one.name, at))
        return await self._handed(one, nested, self._step.sleep(one.name, one.ms))

    async def wait(self, one: Wait, nested: bool) -> Any:
        call = self._step.wait_for_event(one.name, one.type, timeout=one.timeout)
        try:
            return await self._handed(one, nested, call)
        except Exception as error:
            if type(error).__name__ != "WorkflowTimeoutError":
                raise
            return "timeout"

    # callbacks

    def _begin(self, kind: str, one: Do, ctx: Any) -> tuple[Effect, Try]:
        key, attempt = f"{ctx['step']['name']}-{ctx['step']['count']}", ctx["attempt"]
        tries = one.tries if kind == "do" or one.undo is None else one.undo.tries
        effect = self._ledger.begin(self._run, kind, one.site, key, attempt)
        return effect, tries[min(attempt, len(tries)) - 1]

    def _async(self, one: Do) -> Any:
        async def callback(ctx: Any) -> Any:
            effect, trial = self._begin("do", one, ctx)
            return await self._act(one, effect, trial)

        return callback

    def _undo(self, one: Do) -> Any:
        async def undo(ctx: Any, error: Any, output: Any) -> None:
            effect, trial = self._begin("undo", one, ctx)
            await self._act(None, effect, trial)

        return undo

    async def _act(self, one: Do | None, effect: Effect, trial: Try) -> Any:
        outcome = "?"
        try:
            inner = await self.body(one.body, nested=True) if one is not None and one.body else None
            await self._pass_time(effect, trial)
            result = self._result(effect, trial, inner)
            outcome = "ok"
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            self._ledger.end(effect, outcome)
        return result

    async def _pass_time(self, effect: Effect, trial: Try) -> None:
        if trial.outcome == "stubborn":
            try:
                await asyncio.sleep(trial.ms / 1000)
            except asyncio.CancelledError:
                await asyncio.sleep(trial.after / 1000 or STUBBORN_S)
        elif trial.outcome == "late":
            try:
                await asyncio.sleep(trial.ms / 1000)
            except asyncio.CancelledError:
                await asyncio.sleep(trial.after / 1000 or LATE_S)
        elif trial.ms:
            await asyncio.sleep(trial.ms / 1000)
        if trial.outcome in STEERING:
            await self._process.world.steer(trial.outcome, self._run.record, self._process)
        if trial.outcome == "die":
            self._ledger.kill(effect)
            self._process.kill("a step")
            await asyncio.get_running_loop().create_future()

    def _threaded(self, one: Do) -> Any:
        def callback(ctx: Any) -> Any:
            effect, trial = self._begin("do", one, ctx)
            outcome = "ok"
            try:
                if trial.outcome == "die":
                    self._ledger.kill(effect)
                    self._process.kill("a step in a thread")
                    return None
                return self._result(effect, trial, None)
            except BaseException as error:
                outcome = type(error).__name__
                raise
            finally:
                self._ledger.end(effect, outcome)

        return callback

    def _result(self, effect: Effect, trial: Try, inner: Any) -> Any:
        told = f"{effect.site}/{effect.began}"
        if trial.outcome == "fail":
            raise RuntimeError(told)
        if trial.outcome == "final":
            raise NonRetryableError(told)
        if trial.outcome == "exit":
            raise SystemExit(told)
        if trial.outcome == "stop":
            raise StopIteration(told)
        if trial.outcome == "cancel":
            raise asyncio.CancelledError(told)
        if trial.outcome == "bad":
            return {told: object()}
        if trial.outcome in ("stream", "big"):
            return _bytes(told, trial.outcome == "big")
        return [effect.site, effect.began] if inner is None else [effect.site, effect.began, inner]

    # branches

    async def gather(self, one: Gather, nested: bool) -> Any:
        branches = [self.body(each, nested=nested) for each in one.branches]
        if one.how in _SIDE_BY_SIDE:
            return await _SIDE_BY_SIDE[one.how](branches)
        if one.how == "group":
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in branches]
            return [task.result() for task in tasks]
        values = await asyncio.gather(*branches, return_exceptions=one.how == "gather-all")
        return [_shown(value) for value in values]

    async def race(self, one: Race, nested: bool) -> Any:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self.body(each, nested=nested)) for each in one.branches]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            first = next((number for number, task in enumerate(tasks) if task.done()), None)
            if one.losers == "cancel" or first is None:
                for task in tasks:
                    task.cancel()
        values = await asyncio.gather(*tasks, return_exceptions=True)
        return [first, *(_shown(value) for value in values)]

    async def background(self, one: Background, nested: bool) -> Any:
        loop = asyncio.get_running_loop()
        if one.eager:
            leaf = one.body[0]
            work = self._step.do(leaf.name, _config(leaf), self._async(leaf))
        else:
            work = self.body(one.body, nested=nested)
        self._background.append((loop.create_task(work), one.cancel))
        return "background"

    async def within(self, one: Within, nested: bool) -> Any:
        try:
            with self._ledger.timing(self._run, one.ms, self._stops):
                if one.how == "timeout":
                    async with asyncio.timeout(one.ms / 1000):
                        return await self.body(one.body, nested=nested)
                return await asyncio.wait_for(self.body(one.body, nested=nested), one.ms / 1000)
        except TimeoutError:
            return "too late"

    async def local(self, one: Local, nested: bool) -> Any:
        with self._ledger.timing(self._run, one.ms, self._stops):
            await asyncio.sleep(one.ms / 1000)

    async def catch(self, one: Catch, nested: bool) -> Any:
        try:
            return await self.body(one.body, nested=nested)
        except Exception as error:
            return _shown(error)

    async def finally_(self, one: Finally, nested: bool) -> Any:
        try:
            values = await self.body(one.body, nested=nested)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and not self._stops():
                self._ledger.clean_up()
            await self.body(one.cleanup, nested=nested)
            raise
        await self.body(one.cleanup, nested=nested)
        return values

    async def shield(self, one: Shield, nested: bool) -> Any:
        return await asyncio.shield(self.body(one.body, nested=nested))

    async def steer(self, one: Steer, nested: bool) -> None:
        await self._process.world.steer(one.kind, self._run.record, self._process)

    async def fail(self, one: Fail, nested: bool) -> Any:
        if one.kind == "bad":
            return {"half": "\ud800"}
        raise _FAILURES[one.kind]("run fails")


async def _limited(branches: list[Any]) -> list[Any]:
    """Run branches, two at a time."""
    semaphore = asyncio.Semaphore(2)

    async def one(branch: Any) -> Any:
        async with semaphore:
            return await branch

    return [_shown(value) for value in await asyncio.gather(*map(one, branches), return_exceptions=True)]


async def _as_completed(branches: list[Any]) -> list[Any]:
    """Run branches, and take each up when it is over."""
    values = []
    for first in asyncio.as_completed(branches):
        try:
            values.append(await first)
        except Exception as error:
            values.append(_shown(error))
    return values


async def _queued(branches: list[Any]) -> list[Any]:
    """Run branches that put their values into a queue, and a task that reads it."""
    queue: asyncio.Queue[Any] = asyncio.Queue(1)

    async def one(branch: Any) -> None:
        try:
            value = await branch
        except Exception as error:
            value = _shown(error)
        await queue.put(value)

    async def read() -> list[Any]:
        return [await queue.get() for _ in branches]

    *_, values = await asyncio.gather(*map(one, branches), read())
    return values


_SIDE_BY_SIDE = {"limited": _limited, "as-completed": _as_completed, "queue": _queued}


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


_FAILURES = {"error": ValueError, "final": NonRetryableError, "mute": Mute}


def _config(one: Any) -> dict[str, Any]:
    delay = one.delay if one.delay != "function" else lambda _: 50
    config: dict[str, Any] = {
        "retries": {
            "limit": one.limit,
            "delay": delay,
            "backoff": one.backoff if isinstance(one, Do) else "constant",
        }
    }
    if isinstance(one, Do):
        config["timeout"] = one.timeout
    return config


def _shown(value: Any) -> Any:
    """Return an error as a value that can be stored."""
    return f"{type(value).__name__}: {_text(value)}" if isinstance(value, BaseException) else value


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except RuntimeError:
        return "?"


async def _bytes(told: str, big: bool) -> AsyncIterator[bytes]:
    yield told.encode()
    await asyncio.sleep(0)
    yield b" " * BIG if big else b"."


async def _read(stream: Any) -> list[Any]:
    data = b"".join([chunk async for chunk in stream])
    return [data.rstrip(b" .").decode(), len(data)]


def _epoch() -> Any:
    from wrangler_py.clock import naive_utc

    return naive_utc(0)


_EPOCH = _epoch()
_MEANING: dict[type, Any] = {
    Do: _Call.do,
    Sleep: _Call.sleep,
    Wait: _Call.wait,
    Gather: _Call.gather,
    Race: _Call.race,
    Background: _Call.background,
    Within: _Call.within,
    Local: _Call.local,
    Catch: _Call.catch,
    Finally: _Call.finally_,
    Shield: _Call.shield,
    Fail: _Call.fail,
    Steer: _Call.steer,
}
