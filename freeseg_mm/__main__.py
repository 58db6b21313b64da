"""``python -m freeseg_mm``: the command, whatever folder holds it."""

import sys

from .cli import main

if __name__ == '__main__':
    sys.exit(main())
