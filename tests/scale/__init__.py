"""Many clients of a NATS cluster while relays and its leader are killed. See __main__.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # what the tests share stands there
