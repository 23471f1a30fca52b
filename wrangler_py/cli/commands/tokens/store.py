"""Opens the tokens of a state directory, for the commands beside."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wrangler_py.cli.stored import access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wrangler_py.storage.deployments import Tokens

PersistTo = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="State directory of the `pywrangler serve` (.wrangler/state)."),
]


@contextmanager
def opened(persist_to: Path | None, *, reads: bool = False) -> Iterator[Tokens]:
    """Open the tokens; with ``reads`` nothing is written. Raises StateError if there can be none there."""
    from wrangler_py.clock import SystemClock
    from wrangler_py.runtime.sessions import DEFAULT_STATE
    from wrangler_py.storage.deployments import Tokens

    with access(reads=reads):
        tokens = Tokens.open((persist_to or Path(DEFAULT_STATE)).absolute(), SystemClock())
        try:
            yield tokens
        finally:
            tokens.close()
