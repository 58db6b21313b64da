"""COCO's polygons and run-length codes, checked before C code reads them.

pycocotools reads beyond its memory where a code is too short, and where
corners lie far away.
"""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from .names import shown

_CORNERS = 3  # of the smallest polygon
_FARTHEST = 10  # corners lie within so many images,
_FARTHEST_PIXELS = 1_000_000  # and so many pixels
_MOST_PIXELS = 2**31 - 1
# of a compressed code: 48 + 6 bits, of which one says that more follow
_FIRST_SIGN, _MORE, _NEGATIVE, _BITS = 48, 32, 16, 5
_LONGEST = 6  # signs of a number of 31 bits, shifted below 64


def run_length_code(segmentation: Any, size: tuple[int, int]) -> dict:
    """Turn a ``segmentation`` of COCO into a compressed run-length code.

    Args:
        segmentation: List of polygons, each x, y, x, y ..., those of less
            than three corners being nothing; or an object with ``counts``
            and ``size``.
        size: Of the image, (H, W).

    Returns:
        As pycocotools takes it; it may have no pixel.

    Raises:
        ValueError: If it is neither; the caller knows whose it is.
    """
    if not 0 < size[0] * size[1] <= _MOST_PIXELS:
        raise ValueError(f'the image has size {size} (H, W)')
    if isinstance(segmentation, list) and segmentation:
        limit = min(_FARTHEST * max(size), _FARTHEST_PIXELS)
        polygons = [_polygon(each, limit) for each in segmentation]
        usable = [each for each in polygons if len(each) >= 2 * _CORNERS]
        if not usable:
            return coco_mask.encode(np.zeros(size, np.uint8, order='F'))
        return coco_mask.merge(coco_mask.frPyObjects(usable, *size))
    if not isinstance(segmentation, dict) or 'counts' not in segmentation:
        raise ValueError('it is no polygon or run-length code')
    own = segmentation.get('size')
    own = tuple(own) if isinstance(own, list) else own
    if not isinstance(own, tuple) or own != size:
        raise ValueError(
            f'its mask has size {shown(own)} (H, W), the image {size}'
        )
    counts = segmentation['counts']
    is_text = isinstance(counts, str | bytes)
    runs = _runs(counts) if is_text else counts
    if (
        not isinstance(runs, list)
        or not all(type(run) is int and run >= 0 for run in runs)
        or sum(runs) != size[0] * size[1]
    ):
        raise ValueError(
            'its run-length code does not have the '
            f'{size[0] * size[1]:,} pixels of the image'
        )
    if is_text:
        return {'size': list(size), 'counts': counts}
    return coco_mask.frPyObjects({'size': list(size), 'counts': runs}, *size)


def annotation_code(annotation: dict[str, Any], size: tuple[int, int]) -> dict:
    """Run-length code of an annotation's mask.

    Args:
        annotation: Of COCO, with ``id`` and ``segmentation``.
        size: Of the image, (H, W).

    Returns:
        See :func:`run_length_code`.

    Raises:
        ValueError: If it has no usable mask; its id is named.
    """
    try:
        return run_length_code(annotation['segmentation'], size)
    except ValueError as error:
        raise ValueError(
            f'annotation {annotation["id"]}: its segmentation is unusable: '
            f'{error}'
        ) from error


def _polygon(polygon: Any, limit: float) -> list[float]:
    if (
        not isinstance(polygon, list)
        or len(polygon) % 2
        or not all(
            type(number) in (int, float) and abs(number) <= limit
            for number in polygon
        )
    ):
        raise ValueError(
            'it is no polygon: expected lists of x, y, x, y ..., numbers of '
            f'at most {limit:,}'
        )
    return polygon


def _runs(counts: str | bytes) -> list[int]:
    """Run lengths of a compressed code; empty if it is none."""
    text = counts if isinstance(counts, bytes) else counts.encode()
    signs = np.frombuffer(text, np.uint8).astype(np.int64) - _FIRST_SIGN
    is_last = (signs & _MORE) == 0
    if not signs.size or signs.min() < 0 or signs.max() >= 2 * _MORE:
        return []
    ends = np.flatnonzero(is_last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if not is_last[-1] or lengths.max() > _LONGEST + 1:
        return []
    place = np.arange(signs.size) - np.repeat(starts, lengths)
    parts = (signs & (_MORE - 1)) << (_BITS * place)
    values = np.add.reduceat(parts, starts)
    values[(signs[ends] & _NEGATIVE) != 0] -= np.int64(1) << (
        _BITS * lengths[(signs[ends] & _NEGATIVE) != 0]
    )
    runs = values.tolist()
    # from the fourth on, differences to the one before the last
    for index in range(3, len(runs)):
        runs[index] += runs[index - 2]
    return runs
