"""`python -m hotconfig`: the command line."""

from __future__ import annotations

from hotconfig.cli import main

if __name__ == "__main__":
    main()
