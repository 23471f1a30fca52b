"""``python -m wrangler_py.server FD RECORD``: a process of a session, steered by `runtime.supervisor` over ``FD``.

In the file ``RECORD`` it leaves what it executes, for its supervisor to read when it has died.

Everything imported here is imported before the supervisor says what to load.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial

from wrangler_py.engine.executing import RECORD
from wrangler_py.runtime.channel import Load, LoadFront, WorkerWire
from wrangler_py.runtime.spawn import ignore_terminal_signals
from wrangler_py.server.worker import Worker


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _use_utc() -> None:
    """Let naive datetimes agree with Cloudflare's (python-sdk, section 2)."""
    os.environ["TZ"] = "UTC"
    time.tzset()


async def _live(wire: WorkerWire, order: Load | LoadFront) -> int:
    listener = wire.take(order.sockets)[0]
    # A child that a step forks (`multiprocessing`) may outlive this process. It must not keep the port, nor hide the
    # death of this process from the supervisor.
    for held in (listener, wire.end):
        os.register_at_fork(after_in_child=partial(os.close, held.fileno()))
    if isinstance(order, Load):
        return await Worker(wire, order, listener).live()
    from wrangler_py.server.front import Front

    return await Front(wire, order, listener).live()


def main() -> None:
    """Run this process."""
    ignore_terminal_signals()
    wire = WorkerWire(socket.socket(fileno=int(sys.argv[1])))
    wire.end.set_inheritable(False)
    record = int(sys.argv[2])
    RECORD.keep_in(record)
    os.close(record)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    factory = _loop_factory()
    order = wire.next()
    if not isinstance(order, Load | LoadFront):
        os._exit(0)
    _use_utc()
    with asyncio.Runner(loop_factory=factory) as runner:
        code = runner.run(_live(wire, order))
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        # At once: a thread of user code that never ends must not keep the process.
        os._exit(code)


if __name__ == "__main__":
    main()
