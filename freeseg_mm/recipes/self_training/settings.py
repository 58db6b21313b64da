"""Thresholds that predictions pass to become pseudo labels."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PseudoLabelSettings:
    """Thresholds of pseudo labels; ``docs/self_training.md`` measures them.

    Attributes:
        score_thr: Least class probability of a segment, in [0, 1).
        min_area: Least size of a segment: a number of pixels, or below 1 a
            share of the image.
        min_unlabelled: Least share of a predicted segment that has to lie
            on pixels without a seen label, in [0, 1]. What lies mostly on
            labelled pixels is a known object, and its rest a rim.
        overlap_thr: Least share of a predicted mask that better masks leave
            to it, in [0, 1]; in place of the test's
            ``test_cfg.overlap_thr``, which is stricter.
        prior: Whether an unlabelled pixel is taken to be of an unseen class
            for sure: the model then predicts the unseen classes alone, so
            that seen ones take no part of the probability.

    Raises:
        ValueError: If a number is out of range.
    """

    score_thr: float = 0.4
    min_area: float = 0.001
    min_unlabelled: float = 0.3
    overlap_thr: float = 0.5
    prior: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.score_thr < 1:
            raise ValueError(
                'score_thr: expected a probability of at least 0 and less '
                f'than 1, got {self.score_thr}'
            )
        if self.min_area < 0 or (
            self.min_area >= 1 and self.min_area != int(self.min_area)
        ):
            raise ValueError(
                'min_area: expected a number of pixels, or a share of the '
                f'image below 1, got {self.min_area}'
            )
        for name in ('min_unlabelled', 'overlap_thr'):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(
                    f'{name}: expected a share in [0, 1], got {share}'
                )

    def least_pixels(self, num_pixels: int) -> float:
        """Least size of a segment in an image of so many pixels."""
        share = self.min_area if self.min_area < 1 else 0
        return max(1, share * num_pixels if share else self.min_area)
