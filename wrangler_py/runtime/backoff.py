"""How long to wait before a worker that died is started again."""

from __future__ import annotations

#: The first wait, in seconds, doubled with each death in a row up to the longest.
FIRST, LONGEST = 0.25, 10.0
#: Time of service after which a worker counts as healthy, in seconds.
HEALTHY = 0.5


class Backoff:
    """Counts deaths in a row of workers that never got well."""

    def __init__(self) -> None:
        #: So many in a row.
        self.deaths = 0

    def died(self, served: float) -> float:
        """Note a death after ``served`` seconds of serving (0: it never did); return the seconds to wait."""
        if served >= HEALTHY:
            self.deaths = 0
            return 0.0
        self.deaths += 1
        return 0.0 if self.deaths == 1 else min(FIRST * 2.0 ** (self.deaths - 2), LONGEST)

    def forget(self) -> None:
        """Begin anew: the code has changed."""
        self.deaths = 0
