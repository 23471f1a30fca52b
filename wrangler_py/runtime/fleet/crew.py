"""The workers of one version of a script."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wrangler_py.runtime.channel import Death, Drive, FromWorker, Load, Problem, Ready, Serve
from wrangler_py.runtime.fleet.post import Post, Stage

if TYPE_CHECKING:
    from wrangler_py.runtime.options import ServeOptions

#: Seconds that requests in flight get when a version ends, after the front has sent it the last.
LINGER = 30.0
#: Seconds that a version's code may take to load.
LOADING = 60.0


class Crews(Protocol):
    """Who is told what happens to crews: the `Fleet`."""

    def employed(self, crew: Crew, post: Post) -> None:
        """A worker serves and drives from now on; what only one process may run, it does not run yet."""
        ...

    def heard(self, crew: Crew, post: Post, message: FromWorker) -> None:
        """A worker says something that is not about its own life."""
        ...

    def died(self, crew: Crew, post: Post, death: Death) -> None:
        """A worker has ended."""
        ...


class Crew:
    """Some processes that run one version. They load at once; they serve and drive when `engage` is called.

    ``prepared`` is what came of loading: None if all are ready, or the first problem.
    """

    def __init__(
        self,
        stage: Stage,
        crews: Crews,
        options: ServeOptions,
        *,
        folder: Path,
        names: tuple[str, str],
        listeners: list[socket.socket],
    ) -> None:
        self.script, self.version = names
        self._stage, self._crews, self._options, self._folder = stage, crews, options, folder
        loop = asyncio.get_running_loop()
        self.prepared: asyncio.Future[Problem | None] = loop.create_future()
        self._deadline = loop.call_later(LOADING, self._came, _late())
        self._is_engaged = False
        #: Whether the code could not be loaded: then requests are answered by what is wrong with it.
        self.is_broken = False
        self.posts = [self._post(index, listener) for index, listener in enumerate(listeners)]

    def _post(self, index: int, listener: socket.socket) -> Post:
        return Post(
            self._stage,
            self,
            listener,
            self._order(index),
            title=f"Worker {index}",
            script=self.script,
            version=self.version,
        )

    def _order(self, index: int) -> Callable[[str], Load]:
        options = self._options
        return lambda owner: Load(
            config=str(self._folder / "wrangler.json"),
            state_dir=str(options.state_dir),
            owner=owner,
            options=options.host,
            log_level=options.log_level,
            colour=self._stage.journal.colour,
            label=self.script,
            log_format=options.log_format,
            version=self.version,
            index=index,
        )

    @property
    def lead(self) -> Post:
        """Return the post that runs what only one process may, if this version is the active one."""
        return self.posts[0]

    @property
    def sockets(self) -> list[str]:
        """Return the sockets of the workers that serve; of all, if none does: who connects then waits."""
        serving = [post for post in self.posts if post.is_employed] or self.posts
        return [post.listener.getsockname() for post in serving]

    @property
    def serves(self) -> bool:
        """Return True if requests are answered, and by working code."""
        return not self.is_broken and any(post.is_employed for post in self.posts)

    def begin(self) -> None:
        """Start the processes."""
        for post in self.posts:
            post.fill()

    def engage(self) -> None:
        """Let the processes serve and drive, those that have loaded and those that will."""
        self._is_engaged = True
        for post in self.posts:
            if post.is_ready and not post.is_employed:
                self._employ(post)

    def _employ(self, post: Post) -> None:
        post.send(Serve())
        post.send(Drive(living=self._stage.lease_prefix))
        post.is_employed = True
        self._crews.employed(self, post)

    def _came(self, result: Problem | None) -> None:
        self._deadline.cancel()
        if not self.prepared.done():
            self.prepared.set_result(result)

    # what posts tell

    def ready(self, post: Post, ready: Ready) -> None:
        """See `Boss`."""
        self.is_broken = ready.broken is not None
        if ready.broken is not None:
            self._tell(ready.broken)
        elif all(one.is_ready for one in self.posts):
            self._came(None)
        if self._is_engaged:
            self._employ(post)

    def failed(self, post: Post, problem: Problem) -> None:
        """See `Boss`."""
        _ = post
        self._tell(problem)

    def _tell(self, problem: Problem) -> None:
        self._came(problem)
        if self._is_engaged:
            self._stage.journal.problem(problem, script=self.script, version=self.version)

    def heard(self, post: Post, message: FromWorker) -> None:
        """See `Boss`."""
        self._crews.heard(self, post, message)

    def died(self, post: Post, death: Death, cause: str) -> None:
        """See `Boss`."""
        self._came(Problem(f"The worker died while it loaded your code ({cause})."))
        self._crews.died(self, post, death)

    # the end

    def leave(self, grace: float) -> None:
        """Let all finish what they do, and go."""
        self._deadline.cancel()
        for post in self.posts:
            post.leave(grace, LINGER)

    def disband(self) -> None:
        """End all at once: they never served."""
        self._deadline.cancel()
        for post in self.posts:
            post.give_up()
            post.kill()

    def close(self) -> None:
        """Let go of the sockets."""
        for post in self.posts:
            path = Path(post.listener.getsockname())
            post.listener.close()
            path.unlink(missing_ok=True)

    @property
    def is_gone(self) -> bool:
        """Return True if no process is left."""
        return all(post.is_empty for post in self.posts)


def _late() -> Problem:
    return Problem(
        f"The code has not loaded in {LOADING:g} s.",
        "Move what takes long out of the module's top level, into the handlers that need it.",
    )
