"""The suspicion that an instance kills its process: deaths that count for it, and its trial (`engine.quarantine`)."""

from __future__ import annotations

from wrangler_py.engine.commits import GroupCommit
from wrangler_py.engine.quarantine import after_counted


class Suspicion:
    """The deaths of the process that count for one instance."""

    def __init__(self, row: int, deaths: int, commits: GroupCommit) -> None:
        self._row = row
        self._commits = commits
        self.deaths = deaths
        #: True for an instance that had any when it was taken up: the start of each attempt must be on disk first.
        self.is_suspect = deaths > 0
        #: True while it alone, or its group, starts callbacks.
        self.is_on_trial = False
        #: True once a death is recorded as a failed attempt: only a further attempt is progress.
        self.owes_attempt = False

    def lift(self) -> None:
        """Set the deaths to zero with the next commit."""
        self.deaths = 0
        self._commits.set_deaths(self._row, 0)

    def count_as_attempt(self) -> None:
        """Stop counting a death that is recorded as a failed attempt."""
        self.owes_attempt = True
        if self.deaths > (deaths := after_counted(self.deaths)):
            self.deaths = deaths
            self._commits.set_deaths(self._row, deaths)
