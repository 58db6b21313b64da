#!/usr/bin/env python
"""Prepare ADE20K (SceneParse-150): 150 classes, 100 of them things.

SRC is the public download, or the folder it was unpacked in:

    SRC/ADEChallengeData2016/images/{training,validation}/*.jpg
    SRC/ADEChallengeData2016/annotations/{training,validation}/*.png
    SRC/ADEChallengeData2016/annotations_instance/{training,validation}/*.png
    SRC/ADEChallengeData2016/categoryMapping.txt

The last two come in an archive of their own. Without them nothing tells
objects apart and the result serves for semantic segmentation only; without
the table the things are taken in the order of the 150 classes.

OUT is what the configs expect under data/ade20k150. Nothing that is there
already is made again, so an interrupted run can be repeated.
"""

import sys
from collections.abc import Sequence

from freeseg_mm.datasets.preparation.ade20k import NUM_IMAGES, prepare_ade20k
from freeseg_mm.datasets.preparation.command import (
    prepare_from_download,
    show_labels,
)


def main(arguments: Sequence[str] | None = None) -> int:
    return prepare_from_download(
        'prepare_ade20k',
        __doc__,
        NUM_IMAGES,
        prepare_ade20k,
        show_labels,
        arguments,
    )


if __name__ == '__main__':
    sys.exit(main())
