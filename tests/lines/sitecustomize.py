"""Each line that a program of a page prints is one write, as on a terminal: two programs do not mix theirs.

PYTHONUNBUFFERED would not do: with it `print` writes the end of the line on its own.
"""

import sys
from io import TextIOWrapper

if isinstance(sys.stdout, TextIOWrapper):
    sys.stdout.reconfigure(line_buffering=True)
