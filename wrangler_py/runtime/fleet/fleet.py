"""Who is to be there: the crews of all live versions, which one of a script leads, and where requests go.

A version is live if the registry says that it is its script's active one, if instances that it began have not ended, or
while a deploy prepares it. Everything here is decided anew from that whenever something changes (`settle`), so it does
not matter in which order processes die, deploys come and instances end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wrangler_py.runtime.channel import (
    Answered,
    Asked,
    Bury,
    Death,
    FromWorker,
    Lead,
    Problem,
    Released,
    Rest,
    Route,
    Routes,
    StandBy,
    StoodBy,
    ToWorker,
)
from wrangler_py.runtime.fleet.crew import Crew
from wrangler_py.runtime.listening import bind_path

if TYPE_CHECKING:
    from wrangler_py.runtime.fleet.post import Post, Stage
    from wrangler_py.runtime.options import ServeOptions

#: A script's name and a version of it.
Key = tuple[str, str]


class Fleet:
    """All workers of a session. ``tell`` speaks to the front; ``publish`` is called when a script's leader is another.

    ``folder`` says where the files of a version are; ``sockets`` is a folder of this session's own.
    """

    def __init__(
        self,
        stage: Stage,
        options: ServeOptions,
        *,
        folder: Callable[[str, str], Path],
        sockets: Path,
        tell: Callable[[ToWorker], bool],
        publish: Callable[[], None],
    ) -> None:
        self._stage, self._options, self._folder, self._sockets = stage, options, folder, sockets
        self._tell, self._publish = tell, publish
        self._crews: dict[Key, Crew] = {}
        self._active: dict[str, str] = {}
        self._unfinished: dict[str, set[str]] = {}
        self._preparing: set[Key] = set()
        #: Crews that are to go, each when the front has understood the routes of a number; and those that go.
        self._retiring: dict[Crew, int] = {}
        self._leaving: set[Crew] = set()
        #: Who runs what only one process of a script may, and who was told to leave that to another.
        self._leaders: dict[str, Post] = {}
        self._standing_by: set[Post] = set()
        self._routes = Routes(0, {}, is_ready=False)
        #: Deaths that the front could not be told of.
        self._deaths: list[Death] = []
        self._bound = 0
        self._missing: set[Key] = set()
        self._resting: dict[Post, asyncio.Event] = {}

    # what is wanted

    def follow(
        self, active: Mapping[str, str], unfinished: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        """Take over what is stored: the active version of each script, and those whose instances have not ended."""
        self._active = dict(active)
        if unfinished is not None:
            self._unfinished = {script: set(versions) for script, versions in unfinished.items()}
        self.settle()

    def settle(self) -> None:
        """Start whoever is missing, let go of whoever is not wanted, and see to it that one leads each script."""
        if self._stage.is_ending:
            return
        wanted = self._wanted()
        for key in wanted - self._crews.keys():
            if self._exists(key):
                self._assemble(key).engage()
        for key in self._crews.keys() - wanted:
            self._dismiss(key)
        self._route()
        for script in self._active.keys() | self._leaders.keys():
            self._choose_leader(script)

    def _wanted(self) -> set[Key]:
        active = set(self._active.items())
        began = {(one, version) for one in self._active for version in self._unfinished.get(one, ())}
        return active | began | self._preparing

    def _exists(self, key: Key) -> bool:
        if (self._folder(*key) / "wrangler.json").is_file():
            return True
        if key not in self._missing:
            self._missing.add(key)
            self._stage.journal.warn(
                "missing",
                "The files of this version are gone; its instances wait.",
                script=key[0],
                version=key[1],
            )
        return False

    def _assemble(self, key: Key) -> Crew:
        listeners = [bind_path(self._new_path()) for _ in range(self._options.workers)]
        crew = Crew(
            self._stage,
            self,
            self._options,
            folder=self._folder(*key),
            names=key,
            listeners=listeners,
        )
        self._crews[key] = crew
        crew.begin()
        return crew

    def _new_path(self) -> Path:
        self._bound += 1
        return self._sockets / f"{self._bound}.sock"

    def _dismiss(self, key: Key) -> None:
        crew = self._crews.pop(key)
        self._retiring[crew] = self._routes.number + 1
        for post in crew.posts:
            post.give_up()
        self._stage.journal.say(
            "retired", "Nothing needs this version any more.", script=key[0], version=key[1]
        )

    # routes

    def _route(self) -> None:
        crews = {script: self._crews.get((script, version)) for script, version in self._active.items()}
        scripts = {
            name: Route(crew.version, crew.sockets) for name, crew in crews.items() if crew is not None
        }
        is_ready = all(crew is not None and crew.serves for crew in crews.values())
        is_same = (scripts, is_ready) == (self._routes.scripts, self._routes.is_ready)
        if not is_same or any(number > self._routes.number for number in self._retiring.values()):
            self._routes = Routes(self._routes.number + 1, scripts, is_ready)
            self._tell(self._routes)

    def routed(self, number: int) -> None:
        """No request is with anybody that the routes of this number do not name: they may go."""
        for crew in [crew for crew, wanted in self._retiring.items() if wanted <= number]:
            del self._retiring[crew]
            self._leaving.add(crew)
            crew.leave(self._options.grace)
        self._let_go()

    def url_of(self, script: str) -> str | None:
        """Return where other Workers reach a script: the process that leads it, or will."""
        crew = self._crews.get((script, self._active[script]))
        return None if crew is None else f"unix://localhost{crew.lead.listener.getsockname()}"

    @property
    def scripts(self) -> dict[str, str]:
        """Return where other Workers reach each script."""
        found = {script: self.url_of(script) for script in self._active}
        return {script: url for script, url in found.items() if url is not None}

    @property
    def pids(self) -> dict[str, int]:
        """Return the process that leads each script."""
        found = {script: self._crews.get((script, version)) for script, version in self._active.items()}
        pids = {script: crew.lead.pid for script, crew in found.items() if crew is not None}
        return {script: pid for script, pid in pids.items() if pid is not None}

    # leading

    def _choose_leader(self, script: str) -> None:
        """Let the active version's first worker lead; first the one that leads now must have left it.

        Others are told before that where they will find it: what they ask meanwhile waits there.
        """
        crew = self._crews.get((script, self._active.get(script, "")))
        wanted, leader = None if crew is None else crew.lead, self._leaders.get(script)
        if leader is wanted:
            return
        self._publish()
        if leader is not None:
            if leader not in self._standing_by:
                self._standing_by.add(leader)
                leader.send(StandBy(self._options.grace))
        elif wanted is not None and wanted.is_employed:
            self._leaders[script] = wanted
            wanted.send(Lead())

    def _leads_no_more(self, post: Post) -> None:
        self._standing_by.discard(post)
        if self._leaders.get(post.script) is post:
            del self._leaders[post.script]
            self.settle()

    # what deploys ask

    def asked(self, message: Asked) -> None:
        """Do what a deploy asks, and answer it."""
        answer = partial(self._answer, message)
        match message.what:
            case "prepare":
                self._prepare((message.script, message.version), answer)
            case "discard":
                self._discard((message.script, message.version))
                answer(None)
            case "activate":
                answer(self._activate(message.script, message.version))
            case "remove":
                self._remove(message.script)
                answer(None)

    def _answer(self, message: Asked, problem: Problem | None) -> None:
        self._tell(Answered(message.number, problem))

    def _prepare(self, key: Key, answer: Callable[[Problem | None], None]) -> None:
        self._missing.discard(key)
        if not self._exists(key):
            answer(Problem("The files of this version are not there."))
            return
        crew = self._crews.get(key)
        if crew is None:
            self._preparing.add(key)
            crew = self._assemble(key)
        crew.prepared.add_done_callback(lambda done: self._prepared(key, done.result(), answer))

    def _prepared(self, key: Key, problem: Problem | None, answer: Callable[[Problem | None], None]) -> None:
        if problem is not None and key in self._preparing:
            self._abandon(key)
        answer(problem)

    def _discard(self, key: Key) -> None:
        if key in self._preparing:
            self._abandon(key)

    def _abandon(self, key: Key) -> None:
        """Stop a version that was never active."""
        self._preparing.discard(key)
        if key in self._wanted():
            self._crews[key].engage()
            return
        crew = self._crews.pop(key)
        crew.disband()
        self._leaving.add(crew)

    def _activate(self, script: str, version: str) -> Problem | None:
        crew = self._crews.get((script, version))
        if crew is None:
            return Problem(f"Version {version} of {script} does not run.", "Deploy it again.")
        if (old := self._active.get(script)) is not None:
            # Until the next look: it may have begun instances a moment ago.
            self._unfinished.setdefault(script, set()).add(old)
        self._active[script] = version
        self._preparing.discard((script, version))
        crew.engage()
        self._stage.journal.say(
            "activated", "This version answers from now on.", script=script, version=version
        )
        self.settle()
        return None

    def _remove(self, script: str) -> None:
        self._active.pop(script, None)
        self._unfinished.pop(script, None)
        self._preparing = {key for key in self._preparing if key[0] != script}
        self.settle()
        self._publish()

    # what crews tell

    def employed(self, crew: Crew, post: Post) -> None:
        """See `Crews`."""
        if post is not crew.lead or self._active.get(crew.script) != crew.version:
            post.send(StandBy(0))
        self.settle()

    def heard(self, crew: Crew, post: Post, message: FromWorker) -> None:
        """See `Crews`."""
        _ = crew
        match message:
            case StoodBy():
                self._leads_no_more(post)
            case Released() if post in self._resting:
                self._resting[post].set()

    def died(self, crew: Crew, post: Post, death: Death) -> None:
        """See `Crews`."""
        if post in self._resting:
            self._resting[post].set()
        self._deaths.append(death)
        self._bury()
        self._leads_no_more(post)
        if crew in self._leaving:
            self._let_go()
        else:
            self.settle()

    def _bury(self) -> None:
        if self._deaths and self._tell(Bury(self._deaths)):
            self._deaths = []

    def _let_go(self) -> None:
        for crew in [crew for crew in self._leaving if crew.is_gone]:
            self._leaving.discard(crew)
            crew.close()

    # the front

    def meet_front(self, active: Mapping[str, str]) -> None:
        """Tell a new front everything; what the one before had begun to prepare is nobody's any more."""
        for key in list(self._preparing):
            self._abandon(key)
        self._routes = Routes(self._routes.number, {}, is_ready=False)
        self._retiring = dict.fromkeys(self._retiring, self._routes.number + 1)
        self._bury()
        self.follow(active)

    # processes

    def close(self) -> None:
        """Let go of all sockets, when no process is left."""
        for crew in self._all():
            crew.close()

    def _all(self) -> list[Crew]:
        return [*self._crews.values(), *self._retiring, *self._leaving]

    def bury_dead(self) -> None:
        """Let go of the workers that have ended; others take their places."""
        for crew in self._all():
            for post in crew.posts:
                post.bury()

    @property
    def is_gone(self) -> bool:
        """Return True if no worker is left."""
        return all(crew.is_gone for crew in self._all())

    async def rest(self, grace: float) -> None:
        """Let all instances go, after ``grace`` seconds for steps in flight; requests are still answered."""
        posts = [post for crew in self._all() for post in crew.posts if post.is_employed]
        self._resting = {post: asyncio.Event() for post in posts if post.send(Rest(grace))}
        await asyncio.gather(*(one.wait() for one in self._resting.values()))

    def leave(self, linger: float) -> None:
        """Let everybody go, the session ends."""
        for crew in self._all():
            for post in crew.posts:
                post.leave(0, linger)

    def kill_all(self) -> None:
        """End every worker now."""
        for crew in self._all():
            for post in crew.posts:
                post.kill()
