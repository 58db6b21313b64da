"""What COCO's panoptic JSON says about a segment, measured from its mask."""

import numpy as np


def segment_box(mask: np.ndarray) -> list[int]:
    """The smallest box around a mask.

    Args:
        mask: (H, W) bool with at least one pixel set.

    Returns:
        COCO's ``[x, y, width, height]`` in whole pixels.

    Raises:
        ValueError: If no pixel is set.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError('an empty mask has no box')
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1]
