"""CLIP looks at the image once; its last map is pooled under each mask.

Pooling the map of a frozen convolutional CLIP follows FC-CLIP (Yu et al.,
"Convolutions Die Hard: Open-Vocabulary Segmentation with Single Frozen
Convolutional CLIP", NeurIPS 2023).
"""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor

from freeseg_mm.registry import MODELS

from .clip_backbone import pooled_map_problem
from .frozen_clip import FrozenCLIP
from .one_pass_classifier import (
    ImageSize,
    OnePassMaskClassifier,
    Regions,
    resize_positions,
    unit_embeds,
)

POOLINGS = ('area', 'binary')
SOURCES = ('images', 'backbone')

# of all the towers that :meth:`MaskPoolClassifier.check` lets pass
_STRIDE = 32


@MODELS.register_module()
class MaskPoolClassifier(OnePassMaskClassifier):
    """Embed masks by what a convolutional CLIP's last map has under them.

    A cell counts as much as the mask covers of it, and the tower's own head
    follows, so that a mask of the whole image has CLIP's own embedding of
    it. Where that head pools by attention (ResNets), the mean under the mask
    is the query and the cells under the mask are the keys.

    For open_clip's ResNets and timm's ConvNeXt. Cells near a mask's edge, or
    near padding, have seen some of what lies beyond.

    Pooling ``binary`` is FC-CLIP's own: a cell belongs to a mask wholly or
    not at all, as its bilinearly resized logit says, and masks may reach
    into padding. Where a mask has no cell, a ConvNeXt's head is given zero,
    and the mask counts as shown; for a ResNet it does not. A ResNet's query
    is the mean of the whole image, and its positions are resized bilinearly.

    Args:
        image_size: See :class:`OnePassMaskClassifier`; ``None`` leaves
            images their size, as convolutions bear it well. Of no effect
            with the backbone's map.
        mask_thr: Mask probability from which a pixel belongs to the mask.
        pooling: ``area``, the exact share of a cell that is covered, or
            ``binary``.
        source: ``images`` to show to the tower, or ``backbone`` for the last
            map of a :class:`CLIPBackbone`: one pass of the tower in all.

    Raises:
        TypeError: See :class:`OnePassMaskClassifier`.
        ValueError: See there, and if ``pooling`` or ``source`` is unknown.
    """

    def __init__(
        self,
        *,
        image_size: ImageSize = None,
        mask_thr: float = 0.5,
        pooling: str = 'area',
        source: str = 'images',
    ) -> None:
        super().__init__(image_size=image_size, mask_thr=mask_thr)
        if pooling not in POOLINGS:
            raise ValueError(f'pooling {pooling!r} is none of {POOLINGS}')
        if source not in SOURCES:
            raise ValueError(f'source {source!r} is none of {SOURCES}')
        self.pooling = pooling
        self.masks_reach_padding = pooling == 'binary'
        self.uses_backbone_map = source == 'backbone'

    def check(self, clip: FrozenCLIP) -> None:
        """Refuse image towers that have no map to pool.

        Raises:
            TypeError: Unless the tower is open_clip's ``ModifiedResNet`` or
                timm's ``ConvNeXt`` with average pooling.
        """
        problem = pooled_map_problem(clip.clip.visual)
        if problem:
            raise TypeError(
                f'MaskPoolClassifier cannot use the image tower of '
                f'{clip.model_name}: {problem}; it needs a ResNet of '
                'open_clip or a ConvNeXt, such as RN50 or convnext_base_w. '
                'CropMaskClassifier takes any tower, MaskTokenClassifier '
                'vision transformers'
            )

    def graph_problem(self, clip: FrozenCLIP) -> str | None:
        """See :class:`MaskClassifier`."""
        if not self.uses_backbone_map:
            return "images are resized for it; set its source to 'backbone'"
        if self.pooling == 'area' and isinstance(
            clip.clip.visual, ModifiedResNet
        ):
            return (
                "a ResNet's positions are interpolated bicubically; set its "
                "pooling to 'binary'"
            )
        return None

    def _usual_short_side(
        self, frame: tuple[int, int], trained: tuple[int, int]
    ) -> int:
        return min(frame)

    def _stride(self, visual: Any) -> int:
        return _STRIDE

    @torch.no_grad()
    def forward(
        self, clip: FrozenCLIP, images: Tensor, mask_logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embed masks; see :class:`MaskClassifier`.

        Raises:
            TypeError: See :meth:`check`.
        """
        if not self.uses_backbone_map:
            return super().forward(clip, images, mask_logits)
        visual = clip.clip.visual
        grid = (images.shape[-2], images.shape[-1])
        regions = self._regions(mask_logits, grid, visual)
        return unit_embeds(self._pool(visual, images, regions), regions)

    def _regions(
        self, mask_logits: Tensor, grid: tuple[int, int], visual: Any
    ) -> Regions:
        if self.pooling == 'area':
            return super()._regions(mask_logits, grid, visual)
        regions = Regions.binary(mask_logits, grid, self.threshold_logit)
        if isinstance(visual, ModifiedResNet):
            return regions
        return replace(regions, valid=torch.ones_like(regions.valid))

    def _embed(self, visual: Any, pixels: Tensor, regions: Regions) -> Tensor:
        maps = visual.forward_intermediates(
            pixels, indices=1, intermediates_only=True
        )
        return self._pool(visual, maps['image_intermediates'][0], regions)

    def _pool(self, visual: Any, last_map: Tensor, regions: Regions) -> Tensor:
        """Embed regions (B, M, D) of a tower's last map, (B, C, g_h, g_w)."""
        if isinstance(visual, ModifiedResNet):
            return _pool_by_attention(visual, last_map, regions, self.pooling)
        cells = visual.trunk.norm_pre(last_map)
        pooled = _means(cells.flatten(2).transpose(1, 2), regions)
        as_maps = pooled.flatten(0, 1)[..., None, None]
        embeds = visual.head(visual.trunk.forward_head(as_maps))
        return embeds.unflatten(0, pooled.shape[:2])


def _means(cells: Tensor, regions: Regions) -> Tensor:
    """Mean of cells (B, L, C) under each mask, (B, M, C); 0 if empty."""
    weights = regions.coverage.flatten(2)
    total = weights.sum(-1, keepdim=True)
    weights = weights / torch.where(total > 0, total, 1)
    return weights.to(cells.dtype) @ cells


def _pool_by_attention(
    visual: ModifiedResNet, x: Tensor, regions: Regions, pooling: str
) -> Tensor:
    """Pool a map (B, C, h, w) as a ResNet's head does, for each mask."""
    pool: Any = visual.attnpool
    grid = (x.shape[2], x.shape[3])
    trained = round((len(pool.positional_embedding) - 1) ** 0.5)
    positions = resize_positions(
        pool.positional_embedding,
        (trained, trained),
        grid,
        'bicubic' if pooling == 'area' else 'bilinear',
    ).to(x.dtype)
    cells = x.flatten(2).transpose(1, 2)  # (B, L, C)
    keys = cells + positions[1:]
    if pooling == 'area':
        queries = _means(cells, regions) + positions[0]
        keys = torch.cat([keys, queries], 1)
        bias = regions.attention_bias()
    else:
        num_masks = regions.valid.shape[1]
        queries = cells.mean(1, keepdim=True) + positions[0]
        queries = queries.expand(-1, num_masks, -1)
        # an empty mask blocks nothing, or its softmax were over nothing
        bias = regions.coverage.flatten(2).log()[:, None]
        bias = bias.where(regions.valid[:, None, :, None], 0)
    query, key, value = (
        project(source).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
        for project, source in (
            (pool.q_proj, queries),
            (pool.k_proj, keys),
            (pool.v_proj, keys),
        )
    )
    pooled = F.scaled_dot_product_attention(
        query, key, value, bias.to(query.dtype)
    )
    return pool.c_proj(pooled.transpose(1, 2).flatten(2))
