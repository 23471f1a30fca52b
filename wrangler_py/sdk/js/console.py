"""``console``: log lines, to standard output or standard error."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO


class Console:
    """Writes its arguments in one line, as JavaScript's console does."""

    def log(self, *values: Any) -> None:
        """Write a line to standard output."""
        _write(sys.stdout, values)

    def info(self, *values: Any) -> None:
        """Write a line to standard output."""
        _write(sys.stdout, values)

    def debug(self, *values: Any) -> None:
        """Write a line to standard output."""
        _write(sys.stdout, values)

    def warn(self, *values: Any) -> None:
        """Write a line to standard error."""
        _write(sys.stderr, values)

    def error(self, *values: Any) -> None:
        """Write a line to standard error."""
        _write(sys.stderr, values)


console = Console()


def _write(stream: TextIO, values: tuple[Any, ...]) -> None:
    stream.write(" ".join(map(_show, values)) + "\n")


def _show(value: Any) -> str:
    return (
        json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
    )
