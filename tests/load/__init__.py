"""Many clients, subscribers and changes: what they cost, and that nobody is left behind. See __main__.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # what the tests share stands there
