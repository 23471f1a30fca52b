"""What hangs on env: one module a kind of binding, put together by `build_env`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.env import WorkerEnv
from wrangler_py.bindings.workflow import WorkflowBinding

if TYPE_CHECKING:
    from wrangler_py.config import Config
    from wrangler_py.engine import Engine

__all__ = ["WorkerEnv", "WorkflowBinding", "build_env"]


def build_env(config: Config, engine: Engine) -> WorkerEnv:
    """Return the environment of a Worker: its variables, secrets and workflows; secrets win over variables."""
    entries: dict[str, Any] = {**config.vars, **config.secrets}
    for workflow in config.workflows:
        entries[workflow.binding] = WorkflowBinding(engine, workflow.name)
    return WorkerEnv(entries)
