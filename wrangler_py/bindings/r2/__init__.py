"""The R2 binding (R2 docs, "Workers API reference"): buckets of objects, kept on disk.

What differs from Cloudflare: the etag of an object over 8 MiB that was stored without ``md5=`` is not its MD5 (see
`digests`), a stream need not say how long it is, and ``ssecKey``, event notifications and lifecycle rules are not
there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wrangler_py.bindings.declared import Declared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wrangler_py.bindings.r2.bucket import R2Bucket
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config

#: What `Resources.place` calls the folder of all buckets.
KIND = "r2"


def declare(config: Config) -> Iterator[Declared]:
    """Yield the buckets of a configuration."""
    for one in config.resources.r2_buckets:
        yield Declared(one.binding, "R2 Bucket", one.bucket, partial(_make, one.bucket))


def _make(bucket: str, on: Resources) -> R2Bucket:
    from wrangler_py.bindings.r2.bucket import R2Bucket

    made = R2Bucket(bucket, on.place(KIND, bucket), on.clock)
    on.on_close(made.close)
    return made
