"""R2 through ``env.MY_BUCKET``, beside a plain copy of a file of the same size.

A put is of bytes in memory; a get reads the body to its end as a stream, as a response or a command does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from tests.benchmarks.table import Result
from wrangler_py.bindings.r2.bucket import R2Bucket
from wrangler_py.clock import SystemClock

SIZE = 64 << 20
CHUNK = 1 << 20
#: All are measured in turns, and the best of each counts: so what else the machine does hits none of them.
ROUNDS = 12


def r2() -> list[Result]:
    """A large object in and out, and many small ones."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[Result]:
    bucket = R2Bucket("bucket", folder / "bucket", SystemClock())
    data = os.urandom(SIZE)
    (folder / "source").write_bytes(data)

    async def copy() -> None:
        shutil.copyfile(folder / "source", folder / "target")

    async def put() -> None:
        await bucket.put("large", data)

    chunks = [data[start : start + CHUNK] for start in range(0, SIZE, CHUNK)]

    async def put_stream() -> None:
        await bucket.put("large", _each(chunks))

    async def get() -> None:
        found = await bucket.get("large")
        async for _ in found.body:
            pass

    async def remove() -> None:
        """Nobody is to pay for the removal of what was there before."""
        (folder / "target").unlink(missing_ok=True)
        await bucket.delete("large")

    try:
        copied, stored, streamed, read = await _best(remove, copy, put, put_stream, get)
        return [
            _compared("R2 put of 64 MiB", stored, copied, ">= 50%"),
            _compared("R2 put of 64 MiB, as a stream", streamed, copied),
            _compared("R2 get of 64 MiB", read, copied, ">= 50%"),
            await _small(bucket),
        ]
    finally:
        bucket.close()


async def _each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _best(prepare: Callable[[], Awaitable[None]], *works: Callable[[], Awaitable[None]]) -> list[float]:
    """Return the seconds of each work; ``prepare`` is called before each but the last, and is not measured."""
    best = [float("inf")] * len(works)
    for _ in range(ROUNDS):
        for number, work in enumerate(works):
            if work is not works[-1]:
                await prepare()
            started = time.perf_counter()
            await work()
            best[number] = min(best[number], time.perf_counter() - started)
    return best


def _compared(name: str, took: float, copied: float, target: str = "") -> Result:
    return Result(
        name, f"{took * 1e3:.0f} ms", f"{copied * 1e3:.0f} ms file copy", f"{copied / took:.0%}", target
    )


async def _small(bucket: R2Bucket, count: int = 1000) -> Result:
    started = time.perf_counter()
    for number in range(count):
        await bucket.put(f"small/{number}", b"x" * 1000)
    stored = time.perf_counter()
    for number in range(count):
        found = await bucket.get(f"small/{number}")
        await found.text()
    read = time.perf_counter()
    each = f"{(stored - started) / count * 1e6:.0f} us put, {(read - stored) / count * 1e6:.0f} us get"
    return Result("R2 objects of 1 kB, one after another", each, "", "", "")
