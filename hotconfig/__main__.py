"""`python -m hotconfig`, and what the program `hotconfig` runs."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; Ctrl-C while it is still being loaded leaves no traceback either."""
    gc.disable()  # nothing of what is loaded is garbage: to look for some takes an eighth of the time
    try:
        from hotconfig.cli import main as run
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("error: nothing was changed\n")
        sys.exit(1)
    gc.freeze()
    gc.enable()
    run()


if __name__ == "__main__":
    main()
