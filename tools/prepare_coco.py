#!/usr/bin/env python
"""Prepare COCO 2017: 171 classes from COCO panoptic and COCO-Stuff.

SRC is the public download:

    SRC/train2017/*.jpg, SRC/val2017/*.jpg
    SRC/annotations/instances_{train,val}2017.json
    SRC/annotations/panoptic_{train,val}2017.json
    SRC/annotations/panoptic_{train,val}2017/*.png
    SRC/stuffthingmaps/{train,val}2017/*.png

OUT is what the configs expect under data/coco_stuff171: panoptic truth and
semantic maps over 171 classes, and links to images and instances JSON. Where
SRC has no folder annotations at all, stuffthingmaps alone make a data set for
semantic segmentation.
Nothing that is there already is made again, so an interrupted run can be
repeated.
"""

import sys
from collections.abc import Sequence

from freeseg_mm.datasets.preparation.coco import prepare_coco
from freeseg_mm.datasets.preparation.coco_source import NUM_IMAGES
from freeseg_mm.datasets.preparation.command import (
    prepare_from_download,
    show_labels,
)


def main(arguments: Sequence[str] | None = None) -> int:
    return prepare_from_download(
        'prepare_coco',
        __doc__,
        NUM_IMAGES,
        prepare_coco,
        show_labels,
        arguments,
        copied='images and instances JSON',
    )


if __name__ == '__main__':
    sys.exit(main())
