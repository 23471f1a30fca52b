"""Property tests look for wrong answers, not for slow ones: a machine with other work to do is no reason to fail.

With ``FIXED_EXAMPLES`` in the environment they try the same examples each time: that is for a check whose answer must
depend on the tree alone. Without it each run looks at examples that nobody has tried yet.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "no clock",
    parent=settings.default,
    deadline=None,
    derandomize="FIXED_EXAMPLES" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("no clock")
