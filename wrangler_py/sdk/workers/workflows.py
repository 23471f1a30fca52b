"""``workers.workflows``."""

from __future__ import annotations


class NonRetryableError(Exception):
    """Raised in a step, fails the step at once, however many retries are left.

    ``str(e)`` is ``message``; ``name`` is what is shown and stored as the error's name.
    """

    def __init__(self, message: str = "", name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.name = name or type(self).__name__
