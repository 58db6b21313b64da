"""Agreement of two ways to predict the same."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from mmdet.structures import SampleList
from torch import Tensor

from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Task

from .meter import replaced


@dataclass
class BatchPrediction:
    """Prediction of a batch.

    Attributes:
        class_probs: Input of post-processing, (B, T, N, C) each call.
        mask_logits: Likewise, (B, T or 1, N, h, w) each call.
        samples: The results.
    """

    class_probs: list[Tensor] = field(default_factory=list)
    mask_logits: list[Tensor] = field(default_factory=list)
    samples: SampleList = field(default_factory=list)


@contextmanager
def recorded(model: FreeSeg) -> Iterator[BatchPrediction]:
    """Keep the inputs of the model's post-processing meanwhile."""
    prediction = BatchPrediction()

    def keep(original: Callable) -> Callable:
        def predict(
            class_probs: Tensor, mask_logits: Tensor, *args: Any, **kwargs: Any
        ) -> Any:
            prediction.class_probs.append(class_probs)
            prediction.mask_logits.append(mask_logits)
            return original(class_probs, mask_logits, *args, **kwargs)

        return predict

    with replaced(model.panoptic_fusion_head.predict, keep):
        yield prediction


def of_tasks(
    predictions: Sequence[BatchPrediction],
    tasks: Sequence[Task],
    wanted: Sequence[Task],
) -> list[BatchPrediction]:
    """Leave out the predictions of other tasks.

    Args:
        predictions: Predictions of ``tasks``, or masks that all share.
        tasks: The predicted tasks.
        wanted: Some of them.
    """
    places = [list(tasks).index(task) for task in wanted]

    def chosen(x: Tensor) -> Tensor:
        return x[:, places] if x.shape[1] == len(tasks) else x

    return [
        BatchPrediction(
            class_probs=[chosen(x) for x in prediction.class_probs],
            mask_logits=[chosen(x) for x in prediction.mask_logits],
            samples=prediction.samples,
        )
        for prediction in predictions
    ]


def agreement(
    ones: Sequence[BatchPrediction],
    others: Sequence[BatchPrediction],
    tasks: Sequence[Task],
) -> dict[str, Any]:
    """Compare the predictions of two sides for the same batches.

    Returns:
        ``class_probs`` and ``mask_logits``: the largest difference as a
        share of the batch's largest magnitude, ``None`` where shapes
        differ; the former over masks that both sides classify.
        ``left_out``: share of masks that only one side classifies (the
        other knows that they cannot matter). ``pixels``: by task, the share
        of result pixels that are equal. Of instances the masks of one rank
        count as equal only under one label; an instance that the other side
        lacks is all unequal.
    """
    pairs = list(zip(ones, others, strict=True))
    compared = [_compare(one, other) for one, other in pairs]
    found: dict[str, Any] = {}
    for key, combine in (
        ('class_probs', max),
        ('left_out', fmean),
        ('mask_logits', max),
    ):
        values = [batch[key] for batch in compared]
        found[key] = None if None in values else combine(values)
    found['pixels'] = {
        task.value: fmean(
            _equal_pixels(ours, theirs, task)
            for one, other in pairs
            for ours, theirs in zip(one.samples, other.samples, strict=True)
        )
        for task in tasks
    }
    return found


def _compare(one: BatchPrediction, other: BatchPrediction) -> dict[str, Any]:
    """Compare one batch, but for the pixels; see :func:`agreement`."""
    ours, theirs = _common(one.class_probs, other.class_probs)
    kept, kept_there = ours.any(-1), theirs.any(-1)
    masks = _common(one.mask_logits, other.mask_logits)
    found = dict.fromkeys(('class_probs', 'left_out'))
    found['mask_logits'] = _difference(*masks)
    if kept.shape == kept_there.shape:
        both = kept & kept_there
        found['class_probs'] = _difference(ours[both], theirs[both])
        found['left_out'] = (kept != kept_there).float().mean().item()
    return found


def _common(one: list[Tensor], other: list[Tensor]) -> tuple[Tensor, Tensor]:
    """All tasks of both sides, (B, T, N, ...) each."""
    ours, theirs = torch.cat(one, dim=1), torch.cat(other, dim=1)
    if 1 in (ours.shape[1], theirs.shape[1]) and (
        ours.shape[2:] == theirs.shape[2:]
    ):
        # one side's tasks share their masks
        ours, theirs = torch.broadcast_tensors(ours, theirs)
    return ours, theirs


def _difference(ours: Tensor, theirs: Tensor) -> float | None:
    if ours.shape != theirs.shape:
        return None
    if not ours.numel():
        return 0.0
    scale = theirs.abs().max().clamp(min=torch.finfo(theirs.dtype).tiny)
    return ((ours - theirs).abs().max() / scale).item()


def _equal_pixels(ours: Any, theirs: Any, task: Task) -> float:
    if task is Task.SEMANTIC:
        return _share(ours.pred_sem_seg.sem_seg, theirs.pred_sem_seg.sem_seg)
    if task is Task.PANOPTIC:
        return _share(
            ours.pred_panoptic_seg.sem_seg, theirs.pred_panoptic_seg.sem_seg
        )
    one, other = ours.pred_instances, theirs.pred_instances
    count = max(len(one.labels), len(other.labels))
    ranks = zip(
        *(one.masks, other.masks),
        *(one.labels.tolist(), other.labels.tolist()),
        strict=False,
    )
    shares = [
        _share(mask, other_mask)
        for mask, other_mask, label, other_label in ranks
        if label == other_label
    ]
    return sum(shares) / count if count else 1.0


def _share(one: Tensor, other: Tensor) -> float:
    return (one == other).float().mean().item()
