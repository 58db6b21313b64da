"""Ids as colours, by panopticapi's names."""

import numpy as np


def rgb2id(colours: np.ndarray) -> np.ndarray:
    """Ids of an RGB map, (H, W, 3) to (H, W) int32."""
    wide = colours.astype(np.int32)
    return wide[..., 0] + 256 * wide[..., 1] + 65536 * wide[..., 2]


def id2rgb(ids: np.ndarray) -> np.ndarray:
    """RGB of an id map, (H, W) to (H, W, 3) uint8."""
    return np.stack(
        [ids % 256, ids // 256 % 256, ids // 65536], axis=-1
    ).astype(np.uint8)
