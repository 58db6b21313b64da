"""Run lengths of maps, to count pixels by, and of masks, as COCO's codes."""

from typing import Any

import numpy as np

_BLOCK = 2**22  # pixels encoded at once: what stays in a processor's cache
# of a compressed code: 48 + 6 bits, of which the first says that more follow
_FIRST_SIGN, _MORE, _BITS = 48, 32, 5


def joint_runs(*maps: np.ndarray) -> tuple[np.ndarray, ...]:
    """Cut maps into runs of pixels on which each of them holds one value.

    Maps of labels have a hundredth as many runs as pixels, so what is
    counted by runs costs little more than finding their ends.

    Args:
        maps: Of one shape, in row-major order.

    Returns:
        Values of the runs in each map and then their lengths in pixels,
        (R,) each, int64 the last.
    """
    flat = [np.ravel(each) for each in maps]
    ends = np.zeros(max(flat[0].size - 1, 0), bool)
    for each in flat:
        ends |= each[1:] != each[:-1]
    starts = np.flatnonzero(ends) + 1
    if flat[0].size:
        starts = np.concatenate([[0], starts])
    lengths = np.diff(starts, append=flat[0].size)
    return (*(each[starts] for each in flat), lengths)


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run-length code of a mask, (H, W) bool, as JSON."""
    (code,) = encode_masks(mask[None])
    return {**code, 'counts': code['counts'].decode('ascii')}


def encode_masks(masks: np.ndarray) -> list[dict[str, Any]]:
    """COCO's compressed run-length codes of masks.

    The same as ``pycocotools.mask.encode`` of each, which reads every pixel
    of a copy in column-major order; this compares whole rows in place and
    sorts the few pixels at which a column changes.

    Args:
        masks: (n, H, W), bool.

    Returns:
        Of each mask ``size`` (H, W) and ``counts``, bytes.

    Raises:
        ValueError: If an image has no pixel, or 2**31 - 1 and more.
    """
    height, width = masks.shape[1:]
    if not 0 < height * width < np.iinfo(np.int32).max:
        raise ValueError(f'masks have size {(height, width)} (H, W)')
    step = max(1, _BLOCK // (height * width))
    return [
        {'size': [height, width], 'counts': counts}
        for start in range(0, len(masks), step)
        for counts in _encode(masks[start : start + step])
    ]


def _encode(masks: np.ndarray) -> list[bytes]:
    """Compressed codes of masks of fewer than 2**31 pixels together."""
    number, height, width = masks.shape
    changes = np.empty_like(masks)
    np.not_equal(masks[:, 1:], masks[:, :-1], out=changes[:, 1:])
    changes[:, 0, 0] = masks[:, 0, 0]
    # a run goes on from the foot of a column to the head of the next
    np.not_equal(masks[:, 0, 1:], masks[:, -1, :-1], out=changes[:, 0, 1:])
    pixels = height * width
    mask, place = np.divmod(
        np.flatnonzero(changes).astype(np.int32), np.int32(pixels)
    )
    row, column = np.divmod(place, np.int32(width))
    # ends of runs, the last of each mask behind its last pixel
    ends = np.concatenate(
        [
            mask * (pixels + 1) + column * height + row,
            np.arange(1, number + 1, dtype=np.int32) * (pixels + 1) - 1,
        ]
    )
    ends.sort()
    last = np.flatnonzero(ends % (pixels + 1) == pixels)
    first = np.concatenate([[0], last[:-1] + 1])
    runs = np.diff(ends, prepend=np.int32(-1))
    runs[first] -= 1
    # from the fourth on, differences to the one before the last
    steps = runs.copy()
    steps[2:] -= runs[:-2]
    for index in range(3):
        unchanged = first[first + index <= last] + index
        steps[unchanged] = runs[unchanged]
    return _compress(steps, last)


def _compress(numbers: np.ndarray, last: np.ndarray) -> list[bytes]:
    """Write numbers as signs of five bits, and cut behind each of ``last``."""
    magnitudes = numbers ^ (numbers >> 31)
    most = int(magnitudes.max()).bit_length() // _BITS + 1
    shifts = np.arange(0, most * _BITS, _BITS, dtype=np.int32)
    goes_on = magnitudes[:, None] >> (shifts + _BITS - 1) > 0
    signs = (numbers[:, None] >> shifts & (_MORE - 1)).astype(np.uint8)
    signs += _FIRST_SIGN
    signs[goes_on] += _MORE
    is_written = np.ones_like(goes_on)
    is_written[:, 1:] = goes_on[:, :-1]
    text = signs[is_written].tobytes()
    ends = np.cumsum(np.count_nonzero(is_written, axis=1))[last].tolist()
    return [
        text[start:end] for start, end in zip([0, *ends], ends, strict=False)
    ]
