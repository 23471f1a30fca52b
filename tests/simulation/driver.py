"""The users and the weather: plays a plan's script in a world, then lets everything come to its end."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulation.journal import Record
from tests.simulation.plan import Action, Plan
from tests.simulation.world import Process, Stuck, World
from wrangler_py.engine import Kind, NewInstance, StepRef
from wrangler_py.errors import StoreError, WorkflowError

#: How long, in virtual seconds, everything may take to end once faults have stopped.
PATIENCE_S = 8 * 3600.0
#: Seconds in which every command that is answered is answered.
LINGER_S = 12.0
FINAL = ("complete", "errored", "terminated", "deleted")
_KINDS = {"STEP_START": Kind.DO, "SLEEP_START": Kind.SLEEP, "WAIT_START": Kind.WAIT}


@dataclass
class Command:
    """A user's command and its outcome."""

    kind: str
    instance: str
    process: str
    began: int
    args: tuple[object, ...] = ()
    ended: int | None = None
    #: What was answered: a value, or an error of the API; None if there was no answer.
    answer: Any = None
    error: Exception | None = None

    @property
    def was_done(self) -> bool:
        """True if the user was told that it is done."""
        return self.ended is not None and self.error is None


@dataclass
class Follower:
    """Somebody who follows an instance, and the numbers of the lines that came."""

    instance: str
    seqs: list[int]
    #: Everything came, up to the end of the instance, and not because its process ended.
    ended: bool = False


class Driver:
    """Plays one plan."""

    def __init__(self, plan: Plan, path: Path) -> None:
        self.plan = plan
        self.world = World(plan, path)
        self.world.steer = self._steer
        self.commands: list[Command] = []
        self.instances: list[tuple[str, str]] = []
        self.followers: list[Follower] = []
        self._events = 0
        self.calm_at, self.calm_moment = 0, 0.0
        #: What users have asked of a process, and has not been answered yet.
        self._asked: list[tuple[Process, asyncio.Task[None]]] = []
        #: It was given up before its end: the world says why.
        self.is_stuck = False

    # playing

    def play(self) -> None:
        """Play the script, end the faults, and let time pass until every instance has ended."""
        world = self.world
        try:
            world.start()
            world.run(until=0.0)
            for action in self.plan.script:
                self._wait(action)
                world.log(f"-- {action.kind} {action.target} {' '.join(map(str, action.args))}")
                _ACTIONS[action.kind](self, action)
            self._finish()
        except Stuck:
            self.is_stuck = True

    def _wait(self, action: Action) -> None:
        if action.turns:
            self.world.run(turns=action.turns)
        else:
            self.world.run(until=self.world.now + action.ms / 1000)

    def _finish(self) -> None:
        world = self.world
        world.run(turns=200)
        world.calm()
        self.calm_at, self.calm_moment = world.tick(), world.now
        end, pause = world.now + PATIENCE_S, 1.0
        world.run(until=world.now + LINGER_S)  # What users asked of stopped processes is done now.
        while world.now < end and not self._is_over():
            world.run(until=world.now + pause)
            pause = min(60.0, pause * 1.3)
            for record in world.journal.records:
                if record.status == "paused":
                    self._command("resume", (record.workflow, record.id), 0, _resume)
        world.run(until=world.now + 1.0)

    def _is_over(self) -> bool:
        world = self.world
        return (
            all(process.is_up and not process.dead for process in world.processes)
            and all(record.status in FINAL for record in world.journal.records)
            and all(process.dead or task.done() for process, task in self._asked)
        )

    # users

    def _command(
        self,
        kind: str,
        place: tuple[str, str],
        slot: int,
        do: Callable[[Any, str, str], Awaitable[Any]],
        args: tuple[object, ...] = (),
    ) -> None:
        process = self.world.processes[slot % len(self.world.processes)]
        if process.dead or not process.is_up or process.draining:
            return
        command = Command(kind, place[1], process.name, self.world.tick(), args)
        self.commands.append(command)
        asked = process.spawn(self._ask(command, process, do, place), f"{kind} {place[1]}")
        self._asked = [(one, task) for one, task in self._asked if not task.done()] + [(process, asked)]

    async def _ask(
        self,
        command: Command,
        process: Process,
        do: Callable[..., Awaitable[Any]],
        place: tuple[str, str],
        *,
        of_its_own: bool = False,
    ) -> None:
        world = self.world
        try:
            command.answer = await do(process.engine, *place)
        except (WorkflowError, StoreError) as error:
            command.error = error
        except Exception as error:
            command.error = error
            world.report(
                "no-internal-error",
                command.instance,
                f"{command.kind} raised {type(error).__name__}: {error}",
            )
        except BaseException:
            if of_its_own:
                raise
            return
        if not process.dead:
            command.ended = world.tick()
            world.log(f"{command.kind} {command.instance} -> {command.error or command.answer!r:.60}")

    async def _steer(self, kind: str, record: Record, process: Process) -> None:
        """Give a command on an instance that gives it itself."""
        command = Command(kind, record.id, process.name, self.world.tick())
        self.commands.append(command)
        await self._ask(command, process, _COMMANDS[kind], (record.workflow, record.id), of_its_own=True)

    def _place(self, action: Action) -> tuple[str, str] | None:
        return self.instances[action.target % len(self.instances)] if self.instances else None

    def create(self, action: Action) -> None:
        workflow, program, slot = action.args
        instance = f"i{action.target}"
        self.instances.append((str(workflow), instance))
        self._command("create", (str(workflow), instance), _int(slot), _create(program))

    def batch(self, action: Action) -> None:
        workflow, program, slot = action.args
        ids = [f"i{action.target}", f"i{action.target}-b"]
        self.instances.extend((str(workflow), one) for one in ids)

        async def do(engine: Any, workflow: str, instance: str) -> Any:
            new = [NewInstance(one, {"program": program}) for one in ids]
            return [row.id for row in (await engine.create_batch(workflow, new)).created]

        self._command("batch", (str(workflow), ids[0]), _int(slot), do)

    def create_again(self, action: Action) -> None:
        if (place := self._place(action)) is not None:
            self._command("create-again", place, _int(action.args[0]), _create(0))

    def simple(self, action: Action) -> None:
        if (place := self._place(action)) is not None:
            self._command(action.kind, place, _int(action.args[0]), _COMMANDS[action.kind])

    def restart_from(self, action: Action) -> None:
        place = self._place(action)
        record = self.world.journal.alive(place[1]) if place is not None else None
        if place is None or record is None:
            return
        starts = [line for line in record.lines if line.life == record.life and line.type in _KINDS]
        if not starts:
            return
        chosen = starts[_int(action.args[1]) % len(starts)]
        name, _, count = (chosen.name or "").rpartition("-")
        ref = StepRef(name, int(count), _KINDS[chosen.type])

        async def do(engine: Any, workflow: str, instance: str) -> Any:
            return await engine.restart(workflow, instance, from_=ref)

        self._command("restart-from", place, _int(action.args[0]), do, (chosen.name,))

    def send(self, action: Action) -> None:
        if (place := self._place(action)) is None:
            return
        self._events += 1
        number, kind = self._events, str(action.args[1])

        async def do(engine: Any, workflow: str, instance: str) -> Any:
            return await engine.send_event(workflow, instance, kind, number)

        self._command("send", place, _int(action.args[0]), do, (kind, number))

    def follow(self, action: Action) -> None:
        if (place := self._place(action)) is None:
            return
        follower = Follower(place[1], [])
        process = self.world.processes[_int(action.args[0]) % len(self.world.processes)]

        async def do(engine: Any, workflow: str, instance: str) -> Any:
            self.followers.append(follower)
            async for event in engine.subscribe(workflow, instance):
                follower.seqs.append(event.seq)
            follower.ended = not process.draining
            return len(follower.seqs)

        self._command("follow", place, _int(action.args[0]), do)

    def terminate_all(self, action: Action) -> None:
        async def do(engine: Any, workflow: str, instance: str) -> Any:
            return await engine.maintenance.terminate_all(workflow)

        workflow = f"w{action.target % 2}"
        self._command("terminate-all", (workflow, "*"), _int(action.args[0]), do, (workflow,))

    # the weather

    def kill(self, action: Action) -> None:
        self._process(action).kill("killed")

    def arm(self, action: Action) -> None:
        left, call = (*action.args, None)[:2]
        self.world.armed.append([action.target % self.plan.engines, action.kind, left, call])

    def stop(self, action: Action) -> None:
        seconds, heart_too = action.args
        self._process(action).stop(float(str(seconds)), heart_too=bool(heart_too))

    def jump(self, action: Action) -> None:
        self.world.clock.offset += _int(action.args[0])

    def drain(self, action: Action) -> None:
        self._drain(self._process(action), float(str(action.args[0])))

    def reload(self, action: Action) -> None:
        self.world.version += 1
        for process in self.world.processes:
            self._drain(process, float(str(action.args[0])))

    def _drain(self, process: Process, grace: float) -> None:
        if process.dead or not process.is_up or process.draining:
            return
        process.draining = True

        async def leave() -> None:
            try:
                await process.engine.drain(grace)
                await process.engine.close()
            except StoreError:
                pass
            process.kill("drained")

        process.spawn(leave(), "drain")

    def _process(self, action: Action) -> Process:
        return self.world.processes[action.target % self.plan.engines]


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _create(program: object) -> Callable[[Any, str, str], Awaitable[Any]]:
    async def do(engine: Any, workflow: str, instance: str) -> Any:
        return (await engine.create(workflow, id=instance, params={"program": program})).row

    return do


async def _resume(engine: Any, workflow: str, instance: str) -> Any:
    return await engine.resume(workflow, instance)


async def _pause(engine: Any, workflow: str, instance: str) -> Any:
    return await engine.pause(workflow, instance)


async def _terminate(engine: Any, workflow: str, instance: str) -> Any:
    return await engine.terminate(workflow, instance)


async def _terminate_rollback(engine: Any, workflow: str, instance: str) -> Any:
    return await engine.terminate(workflow, instance, rollback=True)


async def _restart(engine: Any, workflow: str, instance: str) -> Any:
    return await engine.restart(workflow, instance)


async def _delete(engine: Any, workflow: str, instance: str) -> Any:
    return await engine.delete(workflow, instance)


_COMMANDS: dict[str, Callable[[Any, str, str], Awaitable[Any]]] = {
    "pause": _pause,
    "resume": _resume,
    "terminate": _terminate,
    "terminate-rollback": _terminate_rollback,
    "restart": _restart,
    "delete": _delete,
}
_ACTIONS: dict[str, Callable[[Driver, Action], None]] = {
    **dict.fromkeys(_COMMANDS, Driver.simple),
    "create": Driver.create,
    "batch": Driver.batch,
    "create-again": Driver.create_again,
    "restart-from": Driver.restart_from,
    "send": Driver.send,
    "terminate-all": Driver.terminate_all,
    "follow": Driver.follow,
    "kill": Driver.kill,
    "refuse": Driver.arm,
    "lose": Driver.arm,
    "die-before": Driver.arm,
    "die-after": Driver.arm,
    "stop": Driver.stop,
    "jump": Driver.jump,
    "drain": Driver.drain,
    "reload": Driver.reload,
}


class Folder:
    """A folder in memory for databases, all copies of one that is empty and up to date."""

    def __init__(self) -> None:
        base = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self._folder = tempfile.TemporaryDirectory(prefix="simulation-", dir=base)
        self._template: Path | None = None

    def fresh(self) -> Path:
        """Return the path of a database that is empty."""
        import asyncio

        from wrangler_py.storage.sqlite import SqliteStore

        folder = Path(self._folder.name)
        if self._template is None:
            template = folder / "template.sqlite"

            async def make() -> None:
                await (await SqliteStore.open(template, synchronous="OFF")).close()

            asyncio.run(make())
            self._template = template
        path = folder / "run.sqlite"
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(self._template, path)
        return path

    def close(self) -> None:
        """Remove it."""
        self._folder.cleanup()
