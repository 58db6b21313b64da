#!/usr/bin/env python
"""Measure costs: the same as ``freeseg-mm bench``.

python tools/benchmark.py infer CONFIG --against reference
python tools/benchmark.py train CONFIG --against mask2former
"""

import sys
from collections.abc import Sequence

from freeseg_mm.cli import main as freeseg_mm


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    return freeseg_mm(['bench', *given])


if __name__ == '__main__':
    sys.exit(main())
