"""A database of a real file, for the length of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from wrangler_py.bindings.d1.database import D1Database
from wrangler_py.bindings.d1.execution import Execution
from wrangler_py.clock import SystemClock


def with_database(path: Path, body: Callable[[D1Database], Awaitable[Any]]) -> Any:
    """Run ``body(db)`` on an event loop; the file is closed afterwards."""

    async def run() -> Any:
        execution = Execution(path)
        try:
            return await body(D1Database(execution, SystemClock()))
        finally:
            execution.close()

    return asyncio.run(run())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "d1" / "shop.sqlite"


@pytest.fixture
def on(file: Path) -> Callable[[Callable[[D1Database], Awaitable[Any]]], Any]:
    """Run ``body(db)`` on the database; a second call opens the same file again."""
    return lambda body: with_database(file, body)
