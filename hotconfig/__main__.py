"""`python -m hotconfig`, and what the program `hotconfig` runs."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; Ctrl-C while it is still being loaded leaves no traceback either."""
    try:
        from hotconfig.cli import main as run
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("error: nothing was changed\n")
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
