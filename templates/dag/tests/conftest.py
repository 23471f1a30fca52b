"""Makes `import workers` and `import entry` work in tests."""

import sys
from pathlib import Path

from wrangler_py.sdk import imports

imports.install()
sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
