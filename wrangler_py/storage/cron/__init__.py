"""Up to when each script's schedules have been looked at."""

from __future__ import annotations

from wrangler_py.storage.cron.marks import Marks

__all__ = ["Marks"]
