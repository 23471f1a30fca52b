"""A process that holds the write lock of a database until its standard input ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def locked(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Hold the lock from another process; end its standard input to give it up."""
    command = [sys.executable, "-m", "tests.support.locker", str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, env=dict(os.environ)) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"locked\n"
            yield process
        finally:
            process.kill()


def it_goes_on(process: subprocess.Popen[bytes]) -> None:
    """Let the holder of a lock give it up."""
    assert process.stdin is not None
    process.stdin.close()


def it_is_stopped_and_killed(process: subprocess.Popen[bytes]) -> None:
    """Stop the holder of a lock, then kill it."""
    os.kill(process.pid, signal.SIGSTOP)
    process.kill()


def main(path: str) -> None:
    """Lock, and wait."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=20)
    connection.execute("BEGIN IMMEDIATE")
    print("locked", flush=True)
    sys.stdin.read()
    connection.execute("COMMIT")


if __name__ == "__main__":
    main(sys.argv[1])
