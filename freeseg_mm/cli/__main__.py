"""``python -m freeseg_mm.cli``: the command, whatever folder holds it."""

import sys

from .main import main

if __name__ == '__main__':
    sys.exit(main())
