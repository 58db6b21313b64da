"""From classified masks to the three results of an image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.models.seg_heads.panoptic_fusion_heads import MaskFormerFusionHead
from mmdet.structures.mask import mask2bbox
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task, Vocabulary

PIXEL_BUDGET = 2**26
"""Most (class, pixel) scores held at once: 256 MiB in float32."""


@MODELS.register_module()
class FreeSegFusionHead(MaskFormerFusionHead):
    """Mask classification's standard post-processing, for any vocabulary.

    Thing and stuff come from the vocabulary, not from the order of classes.

    Args:
        test_cfg: ``max_per_image`` instances kept, ``object_score_thr`` and
            ``overlap_thr`` of the panoptic result.
        init_cfg: See mmengine's ``BaseModule``.
    """

    def __init__(
        self, *, test_cfg: ConfigType, init_cfg: OptMultiConfig = None
    ) -> None:
        super().__init__(
            num_things_classes=0,
            num_stuff_classes=0,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )

    def predict(
        self,
        class_probs: Tensor,
        mask_logits: Tensor,
        batch_img_metas: Sequence[dict],
        vocabulary: Vocabulary,
        tasks: Sequence[Task],
        rescale: bool = True,
    ) -> list[dict[Task, PixelData | InstanceData]]:
        """Build each image's result of each task.

        Args:
            class_probs: Class probabilities, (B, T, N, C).
            mask_logits: At stride 4 of the padded batch, (B, T or 1, N, h,
                w).
            batch_img_metas: ``batch_input_shape``, ``img_shape``,
                ``ori_shape`` of each image, (H, W).
            vocabulary: The C classes.
            tasks: The T tasks.
            rescale: Whether results have the size of the original image
                rather than of the network's input.

        Returns:
            One result per task and image; see the methods of each.
        """
        postprocess = {
            Task.SEMANTIC: self.semantic_postprocess,
            Task.INSTANCE: self.instance_postprocess,
            Task.PANOPTIC: self.panoptic_postprocess,
        }
        is_thing = torch.tensor(
            vocabulary.is_thing, dtype=torch.bool, device=class_probs.device
        )
        results = []
        for probs, logits, meta in zip(
            class_probs, mask_logits, batch_img_metas, strict=True
        ):
            full = _full_resolution(logits, meta, rescale)
            full = full.expand(len(tasks), -1, -1, -1)
            results.append(
                {
                    task: postprocess[task](probs[t], full[t], is_thing)
                    for t, task in enumerate(tasks)
                }
            )
        return results

    def semantic_postprocess(
        self, class_probs: Tensor, mask_logits: Tensor, is_thing: Tensor
    ) -> PixelData:
        """Class of each pixel: argmax over the masks' weighted sum.

        Args:
            class_probs: (N, C).
            mask_logits: At result size, (N, H, W).
            is_thing: Not used.

        Returns:
            ``sem_seg`` (and mmseg's ``data``): class indices, (1, H, W).
        """
        masks = mask_logits.flatten(1).sigmoid()
        chunk = max(1, PIXEL_BUDGET // class_probs.shape[1])
        labels = torch.cat(
            [
                (class_probs.T @ part).argmax(0)
                for part in masks.split(chunk, dim=1)
            ]
        ).view(1, *mask_logits.shape[-2:])
        return PixelData(sem_seg=labels, data=labels)

    def instance_postprocess(
        self, class_probs: Tensor, mask_logits: Tensor, is_thing: Tensor
    ) -> InstanceData:
        """Best (query, thing class) pairs as instances.

        A score is class probability times the mean mask probability inside
        the mask.

        Args:
            class_probs: (N, C).
            mask_logits: At result size, (N, H, W).
            is_thing: (C,), bool.

        Returns:
            ``masks`` (n, H, W) bool, ``labels``, ``scores``, and ``bboxes``
            xyxy in pixels of the result, best first, n at most
            ``test_cfg.max_per_image``.
        """
        masks = mask_logits > 0
        area = masks.flatten(1).sum(1)
        certainty = (mask_logits.sigmoid() * masks).flatten(1).sum(1)
        certainty = certainty / area.clamp(min=1)
        scores = class_probs * certainty[:, None] * is_thing
        count = min(self.test_cfg['max_per_image'], scores.numel())
        top_scores, pairs = scores.flatten().topk(count)
        pairs, top_scores = pairs[top_scores > 0], top_scores[top_scores > 0]
        top_masks = masks[pairs // scores.shape[1]]
        return InstanceData(
            bboxes=mask2bbox(top_masks),
            labels=pairs % scores.shape[1],
            scores=top_scores,
            masks=top_masks,
        )

    def panoptic_postprocess(
        self, class_probs: Tensor, mask_logits: Tensor, is_thing: Tensor
    ) -> PixelData:
        """Non-overlapping segments, better masks first.

        Each confident query claims the pixels where its score times mask
        probability is highest; it keeps its segment if enough of its mask
        is won. Stuff of one class is one segment.

        Args:
            class_probs: (N, C).
            mask_logits: At result size, (N, H, W).
            is_thing: (C,), bool.

        Returns:
            ``sem_seg``: ids of mmdet's form ``label + offset * k``, (1, H,
            W), C where there is no segment; and ``segments_info`` with
            ``id``, ``label``, ``score`` of each segment.
        """
        num_classes = class_probs.shape[1]
        offset = max(INSTANCE_OFFSET, num_classes + 1)
        scores, labels = class_probs.max(dim=1)
        order = scores.argsort(descending=True)
        order = order[scores[order] > self.test_cfg['object_score_thr']]
        panoptic = torch.full(
            mask_logits.shape[-2:], num_classes, device=mask_logits.device
        )
        segments: list[dict] = []
        if len(order):
            scores, labels = scores[order], labels[order]
            logits = mask_logits[order]
            winner = (logits.sigmoid() * scores[:, None, None]).argmax(0)
            won = winner == torch.arange(
                len(order), device=winner.device
            ).view(-1, 1, 1)
            won &= logits > 0
            won_area = won.flatten(1).sum(1)
            area = (logits > 0).flatten(1).sum(1)
            kept = won_area >= self.test_cfg['overlap_thr'] * area
            kept &= won_area > 0
            for mask, label, score, countable in zip(
                won[kept],
                labels[kept].tolist(),
                scores[kept].tolist(),
                is_thing[labels[kept]].tolist(),
                strict=True,
            ):
                segment = None if countable else _of_class(segments, label)
                if segment is None:
                    segment = {
                        'id': label + offset * (len(segments) + 1),
                        'label': label,
                        'score': score,
                    }
                    segments.append(segment)
                panoptic[mask] = segment['id']
        return PixelData(
            metainfo={'segments_info': segments}, sem_seg=panoptic[None]
        )


def _of_class(segments: list[dict], label: int) -> dict | None:
    """The segment that stuff of this class already has."""
    return next((s for s in segments if s['label'] == label), None)


def _full_resolution(logits: Tensor, meta: dict, rescale: bool) -> Tensor:
    """Upsample (T, N, h, w), cut the padding, go to the result's size."""
    full = F.interpolate(
        logits.float(), meta['batch_input_shape'], mode='bilinear'
    )
    height, width = meta['img_shape'][:2]
    full = full[..., :height, :width]
    if rescale and meta['ori_shape'][:2] != (height, width):
        full = F.interpolate(full, meta['ori_shape'][:2], mode='bilinear')
    return full
