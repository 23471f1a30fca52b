"""A process that uses a bucket until it is killed: ``python -m tests.bindings.r2.crash_worker FOLDER ROLE``."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from wrangler_py.bindings.r2.bucket import R2Bucket
from wrangler_py.clock import SystemClock

SIZE = 3_000_000


def value(letter: int) -> bytes:
    return bytes([letter]) * (SIZE + letter)


async def stream(data: bytes):
    for start in range(0, len(data), 700_000):
        yield data[start : start + 700_000]


async def write(bucket: R2Bucket) -> None:
    """Put, delete and upload in parts, without end; every value is of one letter, and its length tells which."""
    for number in itertools.count():
        letter = 65 + number % 20
        await bucket.put(
            "key", value(letter) if number % 2 else stream(value(letter)), customMetadata={"l": letter}
        )
        if number % 7 == 3:
            upload = await bucket.createMultipartUpload("key")
            await upload.complete([await upload.uploadPart(1, value(letter))])
        if number % 11 == 5:
            await bucket.delete("key")


async def copy(bucket: R2Bucket, megabytes: int) -> None:
    """Take an object in as a stream, read it as one, and tell how much memory that took at most."""

    async def source():
        chunk = bytes(1 << 20)
        for _ in range(megabytes):
            yield chunk

    await bucket.put("small", source())
    before = _most_memory()
    stored = await bucket.put("key", source())
    found = await bucket.get("key")
    size = 0
    async for chunk in found.body:
        size += len(chunk)
    assert size == stored.size == megabytes << 20
    print(size, _most_memory() - before)


def _most_memory() -> int:
    """Return the high-water mark of this process's memory, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def main(folder: Path, role: str) -> None:
    bucket = R2Bucket("bucket", folder / "bucket", SystemClock())
    await bucket.opened()
    print("ready", flush=True)
    if role == "write":
        await write(bucket)
    else:
        await copy(bucket, int(role))
    bucket.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
