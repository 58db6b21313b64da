"""Panoptic ground truth of an image from label maps, and its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from freeseg_mm.utils.image_files import IGNORE_INDEX, write_label_map
from freeseg_mm.utils.masks import segment_box
from freeseg_mm.utils.panoptic_png import (
    BACKGROUND_ID,
    NO_SEGMENT_IDS,
    VOID_ID,
    encode_panoptic_png,
)
from freeseg_mm.utils.run_lengths import encode_mask

from .split_preparation import DatasetLayout


@dataclass(frozen=True)
class ImageGroundTruth:
    """Segments of an image, and its classes in the official maps.

    Attributes:
        ids: Segment id of each pixel, (H, W) integers, 0 is void,
            ``BACKGROUND_ID`` none of the classes.
        segments: Of each segment ``id``, ``label`` (position in the
            vocabulary), ``iscrowd`` and, of a crowd, ``exact``; see
            :class:`~freeseg_mm.structures.Segment`.
        classes: Position in the vocabulary of each pixel, (H, W) uint8, 255
            is ignored; ``None`` where 8 bits are too few.
        objects: COCO instance annotations where objects overlap, so that the
            segments do not hold them whole; see :func:`encode_objects`.
    """

    ids: np.ndarray
    segments: list[dict[str, Any]]
    classes: np.ndarray | None
    objects: list[dict[str, Any]] | None = None


def gt_of_labels(
    classes: np.ndarray,
    is_thing: Sequence[bool],
    objects: np.ndarray | None = None,
    object_labels: dict[int, int] | None = None,
    background: np.ndarray | None = None,
) -> ImageGroundTruth:
    """Build segments from a semantic map and, where there is one, objects.

    An object keeps all its pixels. Of the others each class becomes one
    segment; of a thing class it is an exact crowd: its pixels are of the
    class, but its objects were not told apart.

    Args:
        classes: Position in the vocabulary, (H, W) uint8 or, of more classes
            than 255, uint16; the largest of its type is ignored.
        is_thing: Whether each class of the vocabulary is countable.
        objects: Number of the object, (H, W) integers, 0 is none.
        object_labels: Position in the vocabulary of each object.
        background: Pixels that are ignored in the semantic map, but known
            to show none of the classes, (H, W) bool.

    Returns:
        Segments of classes by position, then objects by number.
    """
    ignored = classes == np.iinfo(classes.dtype).max
    ids = np.where(ignored, VOID_ID, classes.astype(np.int32) + 1)
    segments: list[dict[str, Any]] = []
    if objects is not None:
        ids = np.where(objects > 0, objects + len(is_thing), ids)
    if background is not None:
        ids[background] = BACKGROUND_ID
    for id_ in np.unique(ids).tolist():
        if id_ in NO_SEGMENT_IDS:
            continue
        if id_ > len(is_thing):
            label = (object_labels or {})[id_ - len(is_thing)]
            segments.append({'id': id_, 'label': label, 'iscrowd': 0})
        elif is_thing[id_ - 1]:
            segments.append(
                {'id': id_, 'label': id_ - 1, 'iscrowd': 1, 'exact': 1}
            )
        else:
            segments.append({'id': id_, 'label': id_ - 1, 'iscrowd': 0})
    in_8_bits = classes if classes.dtype == np.uint8 else None
    return ImageGroundTruth(ids, segments, in_8_bits)


def write_gt(
    gt: ImageGroundTruth, layout: DatasetLayout, png_name: str
) -> list[dict[str, Any]]:
    """Write an image's PNGs, each whole or not at all.

    Returns:
        ``segments_info`` of COCO's panoptic JSON, the category id being the
        position in the vocabulary plus 1. A segment without pixel is left
        out.
    """
    encode_panoptic_png(gt.ids, layout.panoptic_pngs / png_name)
    if gt.classes is not None:
        write_label_map(gt.classes, layout.semantic_pngs / png_name)
    return [
        {
            'id': segment['id'],
            'category_id': segment['label'] + 1,
            'iscrowd': segment['iscrowd'],
            **({'exact': 1} if segment.get('exact') else {}),
            'area': int(mask.sum()),
            'bbox': segment_box(mask),
        }
        for segment in gt.segments
        if (mask := gt.ids == segment['id']).any()
    ]


def encode_objects(
    gt: ImageGroundTruth, is_thing: Sequence[bool]
) -> list[dict[str, Any]]:
    """The things as COCO instance annotations, without their ids.

    Exact crowds are left out, as in the official files: they hold no single
    objects to find.
    """
    if gt.objects is not None:
        return gt.objects
    return [
        describe_object(mask, segment['label'], segment['iscrowd'])
        for segment in gt.segments
        if is_thing[segment['label']]
        and not segment.get('exact')
        and (mask := gt.ids == segment['id']).any()
    ]


def describe_object(
    mask: np.ndarray, label: int, iscrowd: int
) -> dict[str, Any]:
    """COCO instance annotation of a mask, (H, W) bool, without its id."""
    return {
        'category_id': label + 1,
        'iscrowd': iscrowd,
        'area': int(mask.sum()),
        'bbox': segment_box(mask),
        'segmentation': encode_mask(mask),
    }


def classes_of_segments(
    ids: np.ndarray, segments: Sequence[Mapping[str, Any]], num_classes: int
) -> np.ndarray | None:
    """Semantic map of segments; void and crowds that are not exact ignored.

    Returns:
        Position in the vocabulary, (H, W) uint8, 255 is ignored; ``None``
        if the classes are too many for 8 bits.
    """
    if num_classes > IGNORE_INDEX:
        return None
    classes = np.full(ids.shape, IGNORE_INDEX, np.uint8)
    for segment in segments:
        if not segment['iscrowd'] or segment.get('exact'):
            classes[ids == segment['id']] = segment['label']
    return classes
