"""From a model's data sample to plain data."""

import numpy as np
import torch
from mmdet.structures import DetDataSample

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.mask_boxes import mask_boxes

from .inputs import InputImage
from .resampling import nearest
from .results import FoundMask, FoundSegment, ImageResult


def image_result(
    sample: DetDataSample,
    image: InputImage,
    vocabulary: Vocabulary,
    score_thr: float,
) -> ImageResult:
    """Collect what a model answered on an image.

    Args:
        sample: With any of ``pred_sem_seg``, ``pred_instances`` and
            ``pred_panoptic_seg``; what is not of the image's size is
            brought to it.
        image: The image.
        vocabulary: What was asked for.
        score_thr: Instances that score lower are left out.
    """
    sample = sample.cpu()
    height, width = image.pixels.shape[:2]
    size = (height, width)
    notes = image.notes
    if tuple(sample.ori_shape) != size:
        rows, columns = sample.ori_shape
        notes = (*notes, f'answered at {columns} x {rows}, then enlarged')
    label_map = masks = segment_map = segments = None
    if 'pred_sem_seg' in sample:
        labels = sample.pred_sem_seg.sem_seg[0].numpy().astype(np.int32)
        label_map = nearest(labels, size)
    if 'pred_instances' in sample:
        masks = _masks(sample, vocabulary, score_thr, size)
    if 'pred_panoptic_seg' in sample:
        segment_map, segments = _segments(sample, vocabulary, size)
    return ImageResult(
        source=image.source,
        image=np.ascontiguousarray(image.pixels[..., ::-1]),
        vocabulary=vocabulary,
        label_map=label_map,
        masks=masks,
        segment_map=segment_map,
        segments=segments,
        notes=notes,
        frame=image.frame,
        seconds=image.seconds,
    )


def _masks(
    sample: DetDataSample,
    vocabulary: Vocabulary,
    score_thr: float,
    size: tuple[int, int],
) -> tuple[FoundMask, ...]:
    found = sample.pred_instances
    found = found[found.scores >= score_thr]
    masks = nearest(found.masks.numpy(), size)
    boxes = mask_boxes(torch.from_numpy(masks)).float()
    return tuple(
        FoundMask(label, vocabulary.names[label], score, mask, tuple(box))
        for label, score, mask, box in zip(
            found.labels.tolist(),
            found.scores.tolist(),
            masks,
            boxes.tolist(),
            strict=True,
        )
    )


def _segments(
    sample: DetDataSample, vocabulary: Vocabulary, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[FoundSegment, ...]]:
    """Segments numbered from 1, as a PNG can hold them."""
    model_ids = nearest(sample.pred_panoptic_seg.sem_seg[0].numpy(), size)
    segment_map = np.zeros(model_ids.shape, np.int32)
    segments = []
    for number, info in enumerate(sample.pred_panoptic_seg.segments_info, 1):
        inside = model_ids == info['id']
        segment_map[inside] = number
        label = info['label']
        segments.append(
            FoundSegment(
                id=number,
                label=label,
                name=vocabulary.names[label],
                is_thing=vocabulary.is_thing[label],
                score=info['score'],
                area=int(inside.sum()),
            )
        )
    return segment_map, tuple(segments)
