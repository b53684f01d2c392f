"""Random edits, random faults, readers in processes of their own; then every log is checked. See __main__.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # what the tests share stands there
