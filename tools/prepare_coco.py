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
from pathlib import Path
from typing import Any

from freeseg_mm.datasets.preparation.coco import (
    PreparedSplit,
    prepare_coco,
    summarize,
)
from freeseg_mm.datasets.preparation.coco_source import NUM_IMAGES
from freeseg_mm.datasets.preparation.coco_stuff import (
    has_maps_alone,
    prepare_coco_stuff,
)
from freeseg_mm.datasets.preparation.command import (
    nothing_to_do,
    prepare_from_download,
    show_labels,
)
from freeseg_mm.datasets.preparation.labelled_split import PreparedLabels


def main(arguments: Sequence[str] | None = None) -> int:
    return prepare_from_download(
        'prepare_coco',
        __doc__,
        NUM_IMAGES,
        prepare,
        show_split,
        arguments,
        copied='images and instances JSON',
    )


def prepare(
    source: Path, target: Path, **options: Any
) -> Sequence[PreparedSplit | PreparedLabels]:
    chosen = prepare_coco_stuff if has_maps_alone(source) else prepare_coco
    return chosen(source, target, **options)


def show_split(part: PreparedSplit | PreparedLabels) -> list[str]:
    if isinstance(part, PreparedLabels):
        return show_labels(part)
    lines = summarize(part.report)
    if part.num_unlisted:
        lines.append(
            f'  {part.num_unlisted} image files are not in the JSON: unused'
        )
    return lines + nothing_to_do(part.num_written)


if __name__ == '__main__':
    sys.exit(main())
