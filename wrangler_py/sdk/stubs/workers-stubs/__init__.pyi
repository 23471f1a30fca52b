# `from workers import ...` for type checkers, which do not see what our runtime installs.
from wrangler_py.sdk.workers import *  # noqa: F403
