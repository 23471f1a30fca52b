"""Where a session keeps its state, that only one has it at a time, and how others find out where it listens.

A session writes `Session` as JSON twice: into its state directory, for commands that know the project, and into the
user's runtime directory, for those that know only a port. Neither file is believed alone: a session lives as long as it
holds the lock on its state directory, which the kernel takes from it however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wrangler_py.errors import StateLockedError, StateUnwritableError
from wrangler_py.storage.private import make_folder, mend, opener

if TYPE_CHECKING:
    from wrangler_py.config import Config

DEFAULT_STATE = Path(".wrangler", "state")
DATABASE = "workflows.sqlite"
LOCK, SESSION = "lock", "session.json"
#: Folders of a state directory; ``v3`` is that of Cloudflare's own wrangler, which keeps it in the same place.
FOLDERS = frozenset({"cron", "d1", "deployments", "do", "email", "kv", "queues", "r2", "v3"})
#: Seconds to go on trying for the lock: somebody may be looking whether it is held.
PATIENCE, PAUSE = 0.4, 0.02


class Session(msgspec.Struct, frozen=True):
    """A running session. ``started_at`` in ms since 1970; ``pid`` is the supervisor's, ``worker_pid`` the worker's.

    ``scripts`` is where each of its Workers answers: name of the script -> base URL; ``worker_pids`` is the process of
    each. ``configs`` is the file each is configured by -> name of the script. Without a name, the first Worker's.
    """

    url: str
    port: int
    pid: int
    started_at: int
    state_dir: str
    worker_pid: int | None = None
    scripts: dict[str, str] = {}
    worker_pids: dict[str, int] = {}
    configs: dict[str, str] = {}

    def url_of_config(self, path: Path) -> str:
        """Return where the Worker answers that is configured by ``path``; the first Worker, if none is."""
        return self.scripts.get(self.configs.get(_name_of(path), ""), self.url)


def state_directory(config: Config, persist_to: Path | None) -> Path:
    """Return the absolute state directory: ``--persist-to``, or ``.wrangler/state`` beside the configuration."""
    return (persist_to or config.root / DEFAULT_STATE).absolute()


def find_session(state_dir: Path) -> Session | None:
    """Return the session that has this state directory now, or None."""
    session = _read(state_dir / SESSION)
    return session if session is not None and _is_locked(state_dir / LOCK) else None


def session_on_port(port: int) -> Session | None:
    """Return the session of this user that listens on ``port`` now, or None."""
    return next(_running(lambda listed: listed.port == port), None)


def session_of_script(name: str) -> Session | None:
    """Return the session of this user that runs the Worker ``name`` now; of several, the one started last."""
    return max(_running(lambda listed: name in listed.scripts), key=lambda one: one.started_at, default=None)


def url_of_script(name: str, near: Path | None = None) -> str | None:
    """Return the base URL at which the Worker ``name`` answers now, or None if no session of this user runs it.

    Of several, that of the session with state directory ``near``.
    """
    session = None if near is None else find_session(near)
    if session is None or name not in session.scripts:
        session = session_of_script(name)
    return None if session is None else session.scripts[name]


def session_of_config(path: Path) -> Session | None:
    """Return the session of this user that runs the Worker configured by ``path`` now; of several, the newest.

    By the file and not by the Worker's name: projects made from one template are called alike.
    """
    name = _name_of(path)
    return max(_running(lambda listed: name in listed.configs), key=lambda one: one.started_at, default=None)


def configs_of(scripts: Mapping[str, Path]) -> dict[str, str]:
    """Return `Session.configs` for the file of each script."""
    return {_name_of(path): name for name, path in scripts.items()}


def _name_of(path: Path) -> str:
    return str(path.resolve())


def _running(wanted: Callable[[Session], bool]) -> Iterator[Session]:
    for path in sorted(_directory().glob("*.json")):
        listed = _read(path)
        if listed is not None and wanted(listed) and find_session(Path(listed.state_dir)) == listed:
            yield listed


class SessionFile:
    """Both copies of a session's record; `remove` takes them away."""

    def __init__(self, state_dir: Path) -> None:
        name = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]
        self._paths = (state_dir / SESSION, _directory() / f"{name}.json")

    def write(self, session: Session) -> None:
        """Publish the record; where a directory cannot be written, commands find the session by the other copy."""
        for path in self._paths:
            with contextlib.suppress(OSError):
                _write(path, msgspec.json.encode(session))

    def remove(self) -> None:
        """Take the record away."""
        for path in self._paths:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


class StateLock:
    """The right to use a state directory, held until `release` or the end of the process, however it ends."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._file: int | None = None

    def acquire(self) -> None:
        """Make the directory and take the lock.

        Raises:
            StateUnwritableError: the directory cannot be made or written.
            StateLockedError: another session has it.
        """
        try:
            make_folder(self.state_dir)
            self._file = opener(str(self.state_dir / LOCK), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise self._unwritable(error) from error
        if not _lock_patiently(self._file):
            self.release()
            raise self._locked()

    def release(self) -> None:
        """Let another session have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _locked(self) -> StateLockedError:
        other = _read(self.state_dir / SESSION)
        who = f" (process {other.pid}, {other.url})" if other else ""
        return StateLockedError(
            f"Another pywrangler session{who} uses the state in {self.state_dir}.",
            hint="Use that one, stop it, or give this one a state of its own: --persist-to DIR",
        )

    def _unwritable(self, error: OSError) -> StateUnwritableError:
        return StateUnwritableError(
            f"The state directory {self.state_dir} cannot be written: {error.strerror}.",
            hint="Mend its permissions, or keep the state elsewhere: --persist-to DIR",
        )


def check_state(state_dir: Path) -> None:
    """Raise StateCorruptError if a database of a state directory is damaged.

    The files of Durable Objects are left out: there may be thousands, and each is checked when its object is used.
    """
    from wrangler_py.storage.whole import check_databases

    own = (
        "cron/*.sqlite",
        "deployments/*.sqlite",
        "do/*.sqlite",
        "kv/*.sqlite",
        "queues/*.sqlite",
        "r2/*/index.sqlite",
    )
    check_databases(
        [path for pattern in (DATABASE, *own) for path in sorted(state_dir.glob(pattern))],
        sorted(state_dir.glob("d1/*.sqlite")),
    )


def close_to_others(state_dir: Path) -> str:
    """Take the rights of others to what is stored; return a line that says so, an empty one if they had none.

    To be called by the session that has the lock, once it has found that the state is its own.
    """
    count = mend(state_dir) if _holds_state_only(state_dir) else 0
    if not count:
        return ""
    return (
        f"Other users of this machine could read the state in {state_dir}; "
        f"now only you can ({count} files and folders changed)."
    )


def _holds_state_only(state_dir: Path) -> bool:
    """Return False if other files lie there too, as after ``--persist-to .``: their permissions are the user's."""
    if state_dir.parts[-2:] == DEFAULT_STATE.parts:
        return True
    return all(
        name == LOCK or name in FOLDERS or name.startswith((SESSION, DATABASE))
        for name in os.listdir(state_dir)
    )


def _lock_patiently(file: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not _try_lock(file, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def _try_lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    with _opened(path) as file:
        return file is not None and not _try_lock(file, fcntl.LOCK_SH)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield file
    finally:
        os.close(file)


def _directory() -> Path:
    from platformdirs import user_runtime_path

    with warnings.catch_warnings():
        # Where the system sets up no such directory, one in the temporary directory will do.
        warnings.simplefilter("ignore")
        return user_runtime_path("pywrangler", appauthor=False) / "sessions"


def _read(path: Path) -> Session | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Session)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(path: Path, data: bytes) -> None:
    """Replace the file in one go: who reads it sees the old or the new one."""
    make_folder(path.parent)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with open(fresh, "wb", opener=opener) as file:
        file.write(data)
    fresh.replace(path)
