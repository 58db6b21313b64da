"""From a model's data sample to plain data."""

import numpy as np
from mmdet.structures import DetDataSample

from freeseg_mm.structures import Vocabulary

from .inputs import InputImage
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
            ``pred_panoptic_seg`` at the size of the image.
        image: The image.
        vocabulary: What was asked for.
        score_thr: Instances that score lower are left out.
    """
    sample = sample.cpu()
    label_map = masks = segment_map = segments = None
    if 'pred_sem_seg' in sample:
        label_map = sample.pred_sem_seg.sem_seg[0].numpy().astype(np.int32)
    if 'pred_instances' in sample:
        masks = _masks(sample, vocabulary, score_thr)
    if 'pred_panoptic_seg' in sample:
        segment_map, segments = _segments(sample, vocabulary)
    return ImageResult(
        source=image.source,
        image=np.ascontiguousarray(image.pixels[..., ::-1]),
        vocabulary=vocabulary,
        label_map=label_map,
        masks=masks,
        segment_map=segment_map,
        segments=segments,
        notes=image.notes,
    )


def _masks(
    sample: DetDataSample, vocabulary: Vocabulary, score_thr: float
) -> tuple[FoundMask, ...]:
    found = sample.pred_instances
    found = found[found.scores >= score_thr]
    return tuple(
        FoundMask(label, vocabulary.names[label], score, mask, tuple(box))
        for label, score, mask, box in zip(
            found.labels.tolist(),
            found.scores.tolist(),
            found.masks.numpy(),
            found.bboxes.tolist(),
            strict=True,
        )
    )


def _segments(
    sample: DetDataSample, vocabulary: Vocabulary
) -> tuple[np.ndarray, tuple[FoundSegment, ...]]:
    """Segments numbered from 1, as a PNG can hold them."""
    model_ids = sample.pred_panoptic_seg.sem_seg[0].numpy()
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
