#!/usr/bin/env python
"""Prepare PASCAL VOC 2012 with SBD's augmented masks: 20 classes, semantic.

SRC is the public download, or the folder it was unpacked in:

    SRC/VOCdevkit/VOC2012/JPEGImages/*.jpg
    SRC/VOCdevkit/VOC2012/SegmentationClassAug/*.png  (or SegmentationClass)
    SRC/VOCdevkit/VOC2012/ImageSets/Segmentation/train_aug.txt (or trainaug)
    SRC/VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt

OUT is what the configs expect under data/voc20; background is ignored.
Nothing that is there already is made again, so an interrupted run can be
repeated.
"""

import sys
from collections.abc import Sequence

from freeseg_mm.datasets.preparation.command import (
    prepare_from_download,
    show_labels,
)
from freeseg_mm.datasets.preparation.voc import NUM_IMAGES, prepare_voc


def main(arguments: Sequence[str] | None = None) -> int:
    return prepare_from_download(
        'prepare_voc',
        __doc__,
        NUM_IMAGES,
        prepare_voc,
        show_labels,
        arguments,
    )


if __name__ == '__main__':
    sys.exit(main())
