"""``python -m tests.benchmarks [a b c d e f g h i j kv d1 r2 queues rpc durable]``: all of them, or some.

``soak``, or ``soak=SECONDS``, runs only if it is named: it takes ten minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from tests.benchmarks import d1, durable, engine, kv, queues, r2, reads, rpc, session, soak
from tests.benchmarks.table import Result, show

BENCHMARKS: dict[str, list[Callable[[], Result | list[Result]]]] = {
    "a": [engine.one_instance],
    "b": [engine.many_instances],
    "c": [engine.batches, session.creation_over_http],
    "d": [session.latency],
    "e": [engine.replay],
    "f": [engine.sleepers],
    "g": [session.start_and_reload],
    "h": [session.recovery],
    "i": [session.fairness],
    "j": [reads.reads],
    "kv": [kv.kv],
    "queues": [queues.queues],
    "d1": [d1.d1],
    "r2": [r2.r2],
    "rpc": [rpc.rpc],
    "durable": [durable.durable],
}


def _benchmarks(name: str) -> list[Callable[[], Result | list[Result]]]:
    if name.partition("=")[0] == "soak":
        seconds = float(name.partition("=")[2] or soak.SECONDS)
        return [lambda: soak.soak(seconds)]
    return BENCHMARKS[name]


def main(wanted: list[str]) -> None:
    """Run the benchmarks and print one table."""
    results: list[Result] = []
    for name in wanted or list(BENCHMARKS):
        for benchmark in _benchmarks(name):
            found = benchmark()
            results += found if isinstance(found, list) else [found]
            print(".", end="", flush=True)
    print()
    show(results)


if __name__ == "__main__":
    main(sys.argv[1:])
