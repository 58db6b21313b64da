"""One panoptic ground truth over 171 classes from COCO's two annotations.

COCO's panoptic annotations separate objects but have 133 classes, 17 of them
unions of COCO-Stuff's classes (``tree-merged`` = branch, bush, leaves, tree)
and 12 stuff classes left out. COCO-Stuff has all 91 stuff classes but no
objects. The merge keeps the panoptic segments whose class exists among the
171 and takes the rest from COCO-Stuff (paper, Sec. 4.1.1: "merge them to get
the unified, category-wide annotations").
"""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from typing import Any

import numpy as np

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.masks import segment_box
from freeseg_mm.utils.panoptic_png import VOID_ID

VOCABULARY_NAME = 'coco_stuff171'

# Ids 1..90 were planned; these ten never got an instance.
_UNUSED_THING_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
_THING_IDS = [i for i in range(1, 91) if i not in _UNUSED_THING_IDS]
_STUFF_IDS = range(92, 183)
_MERGED_IDS = range(184, 201)

# An official stuffthingmap holds category id - 1.
LABEL_OFFSET = 1
UNLABELLED = 255


@cache
def fine_categories() -> dict[int, str]:
    """Names of the 171 fine classes by category id, in vocabulary order.

    80 things with ids 1..90 and COCO-Stuff's 91 stuff classes, 92..182.
    """
    names = Vocabulary.load(VOCABULARY_NAME).names
    return dict(zip([*_THING_IDS, *_STUFF_IDS], names, strict=True))


@cache
def panoptic_categories() -> dict[int, str]:
    """Names of COCO panoptic's 133 classes by category id.

    80 things and 36 stuff classes with id and meaning of
    :func:`fine_categories`, then 17 merged ones, 184..200.
    """
    fine_ids = {name: id_ for id_, name in fine_categories().items()}
    merged_ids = iter(_MERGED_IDS)
    return {
        fine_ids[name] if name in fine_ids else next(merged_ids): name
        for name in Vocabulary.load('coco_panoptic133').names
    }


def is_thing_id(category_id: int) -> bool:
    """Tell whether a category id is that of a thing."""
    return category_id < _STUFF_IDS.start


def merge_coco_stuff(
    panoptic_ids: np.ndarray,
    segments: Sequence[Mapping[str, Any]],
    stuff_things: np.ndarray,
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Merge one image's panoptic annotation with its COCO-Stuff labels.

    - Segments of the 80 things (crowds included) and of the 36 stuff classes
      that mean the same in both annotations keep their id and every pixel.
    - Pixels of merged classes and void pixels take COCO-Stuff's class where
      it is one of the 91 stuff classes, the 36 included, for nothing else
      labels a pixel that the panoptic annotation leaves open. They join the
      kept segment of that class, else become one new segment.
    - A thing label of COCO-Stuff cannot say which object it means, so it
      never makes or enlarges a segment: such a pixel stays void.

    Args:
        panoptic_ids: Segment ids of the official PNG, (H, W) integers, 0 is
            void.
        segments: The image's ``segments_info`` of the official JSON.
        stuff_things: The official stuffthingmap, (H, W) uint8, category id
            minus 1, 255 is unlabelled.

    Returns:
        ids: Segment ids, (H, W), type of ``panoptic_ids``, 0 is void. New
            ids are the smallest that no official segment has.
        segments: Kept ones in their order, then new ones by category id, each
            with ``id``, ``category_id``, ``iscrowd``, ``area`` (pixels),
            ``bbox`` (xywh) and ``refilled``, the pixels of its area that
            COCO-Stuff gave. A segment without any pixel is left out.

    Raises:
        ValueError: If the shapes differ, a segment's category is none of
            the 133, an id occurs twice or is void's, the map has an id
            without segment, or COCO-Stuff's label of an open pixel is none
            of the 171.
    """
    if panoptic_ids.shape != stuff_things.shape:
        raise ValueError(
            f'sizes differ: panoptic {panoptic_ids.shape}, stuffthingmap '
            f'{stuff_things.shape}'
        )
    _check_segments(panoptic_ids, segments)
    kept_ids = {
        segment['id']: segment['category_id']
        for segment in segments
        if segment['category_id'] in fine_categories()
    }
    merged = np.where(
        np.isin(panoptic_ids, list(kept_ids)), panoptic_ids, VOID_ID
    )
    id_of_stuff: dict[int, int] = {}
    for id_, category in kept_ids.items():
        if not is_thing_id(category):
            id_of_stuff.setdefault(category, id_)
    used_ids = {segment['id'] for segment in segments}
    new_ids = (id_ for id_ in count(VOID_ID + 1) if id_ not in used_ids)

    open_labels = np.where(merged == VOID_ID, stuff_things, UNLABELLED)
    refilled: dict[int, int] = {}
    for category, num_pixels in _stuff_areas(open_labels).items():
        if category not in id_of_stuff:
            id_of_stuff[category] = next(new_ids)
        id_ = id_of_stuff[category]
        merged[open_labels == category - LABEL_OFFSET] = id_
        refilled[id_] = num_pixels

    crowds = {segment['id']: segment['iscrowd'] for segment in segments}
    category_of_id = {
        **kept_ids,
        **{id_: category for category, id_ in id_of_stuff.items()},
    }
    return merged, [
        {
            'id': id_,
            'category_id': category,
            'iscrowd': crowds.get(id_, 0),
            'area': int(mask.sum()),
            'bbox': segment_box(mask),
            'refilled': refilled.get(id_, 0),
        }
        for id_, category in category_of_id.items()
        if (mask := merged == id_).any()
    ]


def _check_segments(
    panoptic_ids: np.ndarray, segments: Sequence[Mapping[str, Any]]
) -> None:
    ids = [segment['id'] for segment in segments]
    if len(set(ids)) != len(ids) or VOID_ID in ids:
        raise ValueError(
            f'segment ids must be unique and not {VOID_ID}, got {sorted(ids)}'
        )
    for segment in segments:
        if segment['category_id'] not in panoptic_categories():
            raise ValueError(
                f'segment {segment["id"]} has category id '
                f'{segment["category_id"]}, which is none of the 133 of '
                'COCO panoptic'
            )
    known = np.isin(panoptic_ids, [VOID_ID, *ids])
    if not known.all():
        unknown = np.unique(panoptic_ids[~known])[:5].tolist()
        raise ValueError(
            f'pixels have segment ids {unknown} that the JSON does not list '
            f'for this image; it lists {sorted(ids)}'
        )


def _stuff_areas(labels: np.ndarray) -> dict[int, int]:
    """Pixels per stuff category id of a stuffthingmap, ids ascending."""
    areas = np.bincount(labels.ravel(), minlength=UNLABELLED + 1)
    present = {
        int(value) + LABEL_OFFSET: int(areas[value])
        for value in np.flatnonzero(areas)
        if value != UNLABELLED
    }
    unknown = sorted(set(present) - set(fine_categories()))
    if unknown:
        raise ValueError(
            f'the stuffthingmap has category ids {unknown} (labels '
            f'{[i - LABEL_OFFSET for i in unknown]}), none of the 171'
        )
    return {
        category: area
        for category, area in present.items()
        if not is_thing_id(category)
    }
