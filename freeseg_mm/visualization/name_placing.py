"""Names written on regions, where they fit."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from freeseg_mm.structures import Vocabulary

from .name_tag import name_tag
from .regions import Region

# A tag may stick out of its region by the rest.
_LEAST_COVERAGE = 0.8


def place_names(
    picture: np.ndarray,
    regions: Sequence[Region],
    visible: Sequence[np.ndarray],
    vocabulary: Vocabulary,
) -> np.ndarray:
    """Write a tag on each region that has room for it.

    Args:
        picture: RGB, (H, W, 3), uint8.
        regions: The most important first.
        visible: The pixels of each that can be seen, (H, W), bool.
        vocabulary: What the labels refer to.

    Returns:
        The picture with tags, which do not overlap.
    """
    canvas = Image.fromarray(picture)
    taken = np.zeros(picture.shape[:2], dtype=bool)
    for region, mask in zip(regions, visible, strict=True):
        is_seen = vocabulary.is_seen[region.label]
        for text in _wordings(vocabulary.names[region.label], region.score):
            tag = name_tag(text, is_seen=is_seen)
            place = find_place(mask, taken, (tag.height, tag.width))
            if place is not None:
                top, left = place
                canvas.paste(tag, (left, top), tag)
                taken[top : top + tag.height, left : left + tag.width] = True
                break
    return np.array(canvas)


def find_place(
    mask: np.ndarray, taken: np.ndarray, size: tuple[int, int]
) -> tuple[int, int] | None:
    """Where a box lies on a mask best: covered most, then most central.

    Args:
        mask: (H, W), bool.
        taken: Pixels the box must not touch, (H, W), bool.
        size: Height and width of the box.

    Returns:
        Top and left of the box, ``None`` if there is no room.
    """
    height, width = size
    if height > mask.shape[0] or width > mask.shape[1]:
        return None
    covered = _window_sums(mask, size)
    free = _window_sums(taken, size) == 0
    usable = free & (covered >= _LEAST_COVERAGE * height * width)
    if not usable.any():
        return None
    best = usable & (covered == covered[usable].max())
    rows, columns = np.nonzero(mask)
    tops, lefts = np.nonzero(best)
    distance = (tops + (height - 1) / 2 - rows.mean()) ** 2 + (
        lefts + (width - 1) / 2 - columns.mean()
    ) ** 2
    nearest = distance.argmin()
    return int(tops[nearest]), int(lefts[nearest])


def _wordings(name: str, score: float | None) -> Iterator[str]:
    """From the most telling to the smallest."""
    if score is not None:
        yield f'{name} {score:.0%}'
    yield name
    if ' ' in name:
        yield name.replace(' ', '\n')


def _window_sums(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sum over the box that begins at each pixel where it fits."""
    height, width = size
    total = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return (
        total[height:, width:]
        - total[:-height, width:]
        - total[height:, :-width]
        + total[:-height, :-width]
    )
