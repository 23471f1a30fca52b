"""`workers.workflows`: the one error a step raises to be not tried again."""

from __future__ import annotations


class NonRetryableError(Exception):
    """Raised in a step, ends it at once, whatever its retries."""

    def __init__(self, message: str = "", name: str | None = None) -> None:
        super().__init__(message)
        self.name = name or "NonRetryableError"
