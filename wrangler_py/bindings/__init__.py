"""What hangs on env: one module a kind of binding, put together by `registry`."""

from __future__ import annotations

from wrangler_py.bindings.declared import Background, Declared
from wrangler_py.bindings.env import WorkerEnv
from wrangler_py.bindings.registry import background, build_env, declared
from wrangler_py.bindings.resources import Code, NoCode, Peers, Resources, Target
from wrangler_py.bindings.workflow import WorkflowBinding

__all__ = [
    "Background",
    "Code",
    "Declared",
    "NoCode",
    "Peers",
    "Resources",
    "Target",
    "WorkerEnv",
    "WorkflowBinding",
    "background",
    "build_env",
    "declared",
]
