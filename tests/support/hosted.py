"""A Worker of a given source in a real host, under virtual time: for what the documents show."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.support.imports import user_code
from tests.support.world import run_virtual
from wrangler_py import config as configuration
from wrangler_py.clock import LoopClock
from wrangler_py.engine import InstanceRow
from wrangler_py.runtime import host as hosting
from wrangler_py.runtime.host import Host
from wrangler_py.runtime.options import HostOptions

HEAD = """\
name = "docs"
main = "entry.py"
compatibility_date = "2026-03-01"
compatibility_flags = ["python_workers"]
"""
WORKFLOW = """
[[workflows]]
name = "my-workflow"
binding = "MY_WORKFLOW"
class_name = "MyWorkflow"
"""


def in_host(
    folder: Path, entry: str, body: Callable[[Host], Awaitable[Any]], config: str = "", **options: Any
) -> Any:
    """Run ``body(host)`` beside a started host of the Worker ``entry``; time jumps over every wait."""
    (folder / "wrangler.toml").write_text(HEAD + WORKFLOW + config)
    (folder / "entry.py").write_text(textwrap.dedent(entry))

    async def main() -> Any:
        loaded = configuration.load(folder / "wrangler.toml")
        loaded.diagnostics.raise_for_errors()
        host = await Host.open(
            loaded.config, folder / "state", options=HostOptions(**options), clock=LoopClock()
        )
        assert host.load_error is None, host.load_error.traceback
        try:
            await host.start(None)
            return await body(host)
        finally:
            await host.close()

    with user_code():
        return run_virtual(main())


async def ended(host: Host, instance_id: str, workflow: str = "my-workflow") -> InstanceRow:
    """Let time pass, seconds at first and days at last, until the instance has ended."""
    for turn in range(1500):
        row = await host.engine.status(workflow, instance_id)
        if row.status.is_final:
            return row
        await asyncio.sleep(min(86_400, 1.02**turn))
    raise AssertionError(f"still {row.status}")


def without_looking(monkeypatch: Any) -> None:
    """Let hosts have engines that look at no other process: under virtual time they would do nothing else."""
    options = hosting.EngineOptions
    monkeypatch.setattr(hosting, "EngineOptions", lambda **given: options(heartbeat=False, **given))
