"""From one panoptic answer to the segments that become labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .settings import PseudoLabelSettings


@dataclass(frozen=True)
class ChosenSegment:
    """A predicted segment that is kept.

    Attributes:
        mask: Its unlabelled pixels, (H, W), bool.
        label: Class index of the vocabulary the model was asked for.
        score: Class probability, in [0, 1].
    """

    mask: np.ndarray
    label: int
    score: float


def choose_segments(
    ids: np.ndarray,
    segments: Sequence[Mapping[str, Any]],
    unlabelled: np.ndarray,
    is_wanted: Sequence[bool],
    settings: PseudoLabelSettings,
) -> Iterator[ChosenSegment]:
    """Keep what is of a wanted class, sure, large and not a known object.

    Args:
        ids: Predicted segment id of each pixel, (H, W).
        segments: ``id``, ``label`` and ``score`` of each.
        unlabelled: Pixels that no seen label covers, (H, W), bool; crowds
            of a seen class count as labelled.
        is_wanted: Per class, whether it may become a label.
        settings: The thresholds.

    Yields:
        The kept segments in the given order, cut to the unlabelled pixels,
        so that none overlaps a label or another one.
    """
    least = settings.least_pixels(ids.size)
    for segment in segments:
        label, score = segment['label'], segment['score']
        if not is_wanted[label] or score < settings.score_thr:
            continue
        predicted = ids == segment['id']
        mask = predicted & unlabelled
        area = int(mask.sum())
        is_known = area < settings.min_unlabelled * predicted.sum()
        if area >= least and not is_known:
            yield ChosenSegment(mask, label, score)
