"""Values that the images of a batch share (Sec. 3.1), and where these end."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import SampleList
from torch import Tensor, nn

from freeseg_mm.models.clip.mask_classifier import PADDING_LOGIT
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Segment, Vocabulary, with_negatives

CERTAINTY = 20.0
"""Logits of a given mask are half of this inside, minus it outside."""


@MODELS.register_module()
class TaskPerBatch(nn.Module):
    """Let all images of a batch train the task that the first one drew.

    Draws are uniform and independent, so the batch's task is uniform too.
    """

    def forward(
        self, inputs: Tensor, data_samples: SampleList
    ) -> tuple[Tensor, SampleList]:
        """Write the first sample's ``task`` into all; images stay as is."""
        for sample in data_samples:
            sample.set_metainfo({'task': data_samples[0].task})
        return inputs, data_samples


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


def given_mask_logits(masks: Tensor, meta: dict) -> Tensor:
    """Bring masks of an image to the frame of the network's input.

    Where an image becomes smaller a mask keeps what it covers by half, or
    by half of what it covers most: none vanishes.

    Args:
        masks: None of them empty, (N, H, W), bool, of the image as it was
            read.
        meta: ``img_shape`` and ``batch_input_shape``.

    Returns:
        Logits as of the network's own masks, (1, 1, N, H', W').
    """
    size = tuple(meta['img_shape'][:2])
    share = F.interpolate(
        masks[None].float(), size, mode='bilinear', antialias=True
    )
    share = share / share.amax((-2, -1), keepdim=True)
    full_height, full_width = meta['batch_input_shape']
    padding = (0, full_width - size[1], 0, full_height - size[0])
    logits = CERTAINTY * (share - 0.5)
    return F.pad(logits, padding, value=PADDING_LOGIT)[None]


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
