"""What the images of a batch share, and where they end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.structures import SampleList
from mmdet.utils import OptConfigType
from torch import Tensor

from freeseg_mm.models.clip.mask_classifier import PADDING_LOGIT
from freeseg_mm.structures import Segment, Vocabulary, with_negatives


def shared_value(field: str, samples: SampleList) -> Any:
    """The value that all samples of a batch have.

    Raises:
        ValueError: If they differ or one has none.
    """
    values = [sample.get(field) for sample in samples]
    if values[0] is None or any(value != values[0] for value in values):
        raise ValueError(
            f'a batch needs one {field} for all its images, got '
            f'{[getattr(value, "name", value) for value in values]}'
        )
    return values[0]


def batch_vocabulary(
    samples: SampleList, own: Vocabulary | None, meta: Mapping[str, Any]
) -> Vocabulary:
    """The vocabulary of a batch, or else the model's or checkpoint's.

    mmdet's and mmseg's inference functions put the checkpoint's
    ``dataset_meta`` on the model and know nothing of vocabularies.

    Args:
        samples: Of the batch, with ``vocabulary`` or without.
        own: The model's, if it has one.
        meta: The checkpoint's ``dataset_meta``.

    Raises:
        ValueError: If samples differ, or nobody names one.
    """
    if any('vocabulary' in sample for sample in samples):
        return shared_value('vocabulary', samples)
    if own is not None:
        return own
    if 'vocabulary' not in meta:
        raise ValueError(
            'no vocabulary: neither the data samples nor the checkpoint '
            'name the classes to look for'
        )
    return Vocabulary.from_dict(meta['vocabulary'])


def blank_padding(mask_logits: Tensor, metas: Sequence[dict]) -> Tensor:
    """Empty masks where an image is padding.

    Args:
        mask_logits: (B, T, N, h, w).
        metas: ``batch_input_shape`` and ``img_shape`` of each image.

    Returns:
        The same with ``PADDING_LOGIT`` in cells that no pixel of the image
        reaches into. Not for enlarging: these would drain the cells beside
        them.
    """
    height, width = mask_logits.shape[-2:]
    padding = torch.ones(len(metas), 1, 1, height, width, dtype=torch.bool)
    for image, meta in zip(padding, metas, strict=True):
        full_height, full_width = meta['batch_input_shape']
        rows = -(-meta['img_shape'][0] * height // full_height)
        columns = -(-meta['img_shape'][1] * width // full_width)
        image[..., :rows, :columns] = False
    return mask_logits.masked_fill(
        padding.to(mask_logits.device), PADDING_LOGIT
    )


def against_negatives(
    vocabulary: Vocabulary,
    batch_segments: list[list[Segment]],
    num_negatives: int,
) -> tuple[Vocabulary, list[list[Segment]]]:
    """Bring a batch to the smaller vocabulary of :func:`with_negatives`."""
    labels = {
        segment['label'] for segments in batch_segments for segment in segments
    }
    vocabulary, place = with_negatives(vocabulary, labels, num_negatives)
    return vocabulary, [
        [{**segment, 'label': place[segment['label']]} for segment in segments]
        for segments in batch_segments
    ]


TRAIN_KEYS = (
    'assigner',
    'num_points',
    'oversample_ratio',
    'importance_sample_ratio',
    'ignore_query_overlap',
    'num_negative_classes',
)
TEST_KEYS = (
    'tasks',
    'ensemble',
    'max_per_image',
    'min_object_prob',
    'object_score_thr',
    'overlap_thr',
    'prompt_tuning',
)


def refuse_unknown(
    name: str, config: OptConfigType, known: Sequence[str]
) -> None:
    """Refuse keys that would have no effect.

    Args:
        name: Of the config, below ``model``.
        config: The config, if there is one.
        known: The keys it may have.

    Raises:
        TypeError: If it has another.
    """
    unknown = sorted(set(config or ()) - set(known))
    if unknown:
        raise TypeError(
            f'model.{name} has unknown keys {unknown}; known are {list(known)}'
        )


@dataclass(frozen=True)
class Proposals:
    """Masks and how queries see their classes.

    Attributes:
        query_feats: Of the last decoder layer, (B, T or 1, N, c).
        query_logits: Class logits, (B, T, N, C + 1), no-object last, float32.
        mask_logits: (B, T or 1, N, h, w), float32.
        clip_mask_logits: The same with padding blanked, as CLIP is shown them.
        is_relevant: Which can have a part in a result, (B, T, N), bool.
    """

    query_feats: Tensor
    query_logits: Tensor
    mask_logits: Tensor
    clip_mask_logits: Tensor
    is_relevant: Tensor
