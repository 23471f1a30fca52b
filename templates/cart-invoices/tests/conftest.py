"""Makes `import workers`, `import entry` and `import payment` work in tests."""

import sys
from pathlib import Path

from wrangler_py.sdk import imports

imports.install()
for folder in ("src", "stand_ins"):
    sys.path.insert(0, str(Path(__file__).parent.parent / folder))
