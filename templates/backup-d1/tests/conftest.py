"""Makes `import workers`, `import entry` and `import stand_ins.d1_api` work in tests."""

import sys
from pathlib import Path

from wrangler_py.sdk import imports

imports.install()
PROJECT = Path(__file__).parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "src")]
