"""``workers.env``: the environment of the running Worker, importable from anywhere.

The runtime names it once a process (`set_env`), because user code also reads it on threads and at import
time; `use_env` and `patch_env` lay something over it for the code inside a ``with`` only.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class _NoEnv:
    """Stands for the environment while no Worker is running."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"env has no {name!r}: no Worker is running")

    def __dir__(self) -> list[str]:
        return []


class _Slot:
    env: Any = _NoEnv()


_process = _Slot()
_here: ContextVar[Any] = ContextVar("env")
_patches: ContextVar[Mapping[str, Any]] = ContextVar("env_patches", default={})  # noqa: B039 - never changed in place


class Env:
    """Reads every name from the environment of the running Worker, patched names first."""

    def __getattr__(self, name: str) -> Any:
        patches = _patches.get()
        return patches[name] if name in patches else getattr(_active(), name)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(_active()), *_patches.get()})

    def __repr__(self) -> str:
        return f"<env: {', '.join(name for name in dir(self) if not name.startswith('_')) or 'empty'}>"


env = Env()


def set_env(value: Any) -> None:
    """Make ``value`` the environment of this process; None takes it away."""
    _process.env = _NoEnv() if value is None else value


@contextmanager
def use_env(value: Any) -> Iterator[None]:
    """Make ``value`` the environment of the code inside the ``with``."""
    token = _here.set(value)
    try:
        yield
    finally:
        _here.reset(token)


@contextmanager
def patch_env(d: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None, **kwds: Any) -> Iterator[None]:
    """Give entries of ``workers.env`` other values inside the ``with``: a dict, pairs or keywords."""
    token = _patches.set({**_patches.get(), **dict(d or {}), **kwds})
    try:
        yield
    finally:
        _patches.reset(token)


def _active() -> Any:
    return _here.get(_process.env)
