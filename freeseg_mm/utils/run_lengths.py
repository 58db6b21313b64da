"""Run lengths of maps, to count pixels by, and of masks, as COCO's codes."""

from typing import Any

import numpy as np

_BLOCK = 2**22  # pixels compared at once: what stays in a processor's cache
_WORD = 8  # of them read at once
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
    number, height, width = masks.shape
    pixels = height * width
    if not 0 < pixels < np.iinfo(np.int32).max:
        raise ValueError(f'masks have size {(height, width)} (H, W)')
    changes = _column_changes(masks)
    # of all masks, one behind the other, a place more for each one's end
    places = number * (pixels + 1)
    kind = np.dtype(np.int32 if places < 2**31 else np.int64)
    line = changes.astype(kind) // width
    mask = line // height
    ends = np.empty(len(changes) + number, kind)
    ends[: len(changes)] = (
        mask * (pixels + 1) + (changes - line * width) * height
    )
    ends[: len(changes)] += line - mask * height
    ends[len(changes) :] = last_ends = (
        np.arange(1, number + 1, dtype=kind) * (pixels + 1) - 1
    )
    ends.sort()
    last = np.searchsorted(ends, last_ends)
    first = np.concatenate([[0], last[:-1] + 1])[:number]
    runs = np.diff(ends, prepend=kind.type(-1))
    runs[first] -= 1
    # from the fourth on, differences to the one before the last
    steps = runs.copy()
    steps[2:] -= runs[:-2]
    for index in range(3):
        unchanged = first[first + index <= last] + index
        steps[unchanged] = runs[unchanged]
    return [
        {'size': [height, width], 'counts': counts}
        for counts in _compress(steps, last)
    ]


def _column_changes(masks: np.ndarray) -> np.ndarray:
    """Places at which a column changes, in all masks, row by row.

    Of a column's first pixel, the one before is the foot of the column to
    the left; of an image's first, one that is not set.
    """
    _, height, width = masks.shape
    step = max(1, _BLOCK // (height * width))
    cells = np.zeros(-(-step * height * width // _WORD) * _WORD, bool)
    words = cells.view(np.uint64)
    found = []
    for start in range(0, len(masks), step):
        part = masks[start : start + step]
        changes = cells[: part.size].reshape(part.shape)
        np.not_equal(part[:, 1:], part[:, :-1], out=changes[:, 1:])
        changes[:, 0, 0] = part[:, 0, 0]
        np.not_equal(part[:, 0, 1:], part[:, -1, :-1], out=changes[:, 0, 1:])
        cells[part.size :] = False
        # few words hold a change, and they are found eight times as fast
        held = np.flatnonzero(words != 0)
        place = np.flatnonzero(words[held].view(bool))
        found.append(
            start * height * width
            + _WORD * held[place // _WORD]
            + place % _WORD
        )
    return np.concatenate([np.empty(0, np.int64), *found])


def _compress(numbers: np.ndarray, last: np.ndarray) -> list[bytes]:
    """Write numbers as signs of five bits, and cut behind each of ``last``."""
    if not numbers.size:
        return []
    magnitudes = np.where(numbers < 0, ~numbers, numbers)
    more = np.zeros(len(numbers), np.int8)  # signs after the first
    limit = 1 << (_BITS - 1)
    while limit <= magnitudes.max():
        more += magnitudes >= limit
        limit <<= _BITS
    ends = np.cumsum(more + np.int8(1), dtype=np.int64)
    place = ends - more - 1
    text = np.empty(ends[-1], np.uint8)
    while place.size:
        text[place] = (numbers & (_MORE - 1)) + _FIRST_SIGN
        rest = np.flatnonzero(more)
        text[place[rest]] += _MORE
        numbers, more = numbers[rest] >> _BITS, more[rest] - 1
        place = place[rest] + 1
    cuts = [0, *ends[last].tolist()]
    whole = text.tobytes()
    return [whole[i:j] for i, j in zip(cuts, cuts[1:], strict=False)]
