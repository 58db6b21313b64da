"""CLIP looks at the image once; its last map is pooled under each mask.

Pooling the map of a frozen convolutional CLIP follows FC-CLIP (Yu et al.,
"Convolutions Die Hard: Open-Vocabulary Segmentation with Single Frozen
Convolutional CLIP", NeurIPS 2023).
"""

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from torch import Tensor, nn

from freeseg_mm.registry import MODELS

from .frozen_clip import FrozenCLIP
from .one_pass_classifier import (
    OnePassMaskClassifier,
    Regions,
    resize_positions,
)

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
    near padding, have seen some of what lies beyond. Arguments and errors
    are those of :class:`OnePassMaskClassifier`; an ``image_size`` of
    ``None`` leaves images their size, as convolutions bear it well.
    """

    def check(self, clip: FrozenCLIP) -> None:
        """Refuse image towers that have no map to pool.

        Raises:
            TypeError: Unless the tower is open_clip's ``ModifiedResNet`` or
                timm's ``ConvNeXt`` with average pooling.
        """
        problem = _problem(clip.clip.visual)
        if problem:
            raise TypeError(
                f'MaskPoolClassifier cannot use the image tower of '
                f'{clip.model_name}: {problem}; it needs a ResNet of '
                'open_clip or a ConvNeXt, such as RN50 or convnext_base_w. '
                'CropMaskClassifier takes any tower, MaskTokenClassifier '
                'vision transformers'
            )

    def _usual_short_side(
        self, frame: tuple[int, int], trained: tuple[int, int]
    ) -> int:
        return min(frame)

    def _stride(self, visual: Any) -> int:
        return _STRIDE

    def _embed(self, visual: Any, pixels: Tensor, regions: Regions) -> Tensor:
        if isinstance(visual, ModifiedResNet):
            return _pool_by_attention(visual, pixels, regions)
        cells = visual.trunk.forward_features(pixels)  # (B, C, g_h, g_w)
        pooled = _means(cells.flatten(2).transpose(1, 2), regions)
        as_maps = pooled.flatten(0, 1)[..., None, None]
        embeds = visual.head(visual.trunk.forward_head(as_maps))
        return embeds.unflatten(0, pooled.shape[:2])


def _problem(visual: nn.Module) -> str | None:
    """Why a tower has no map to pool, if it has none."""
    if isinstance(visual, ModifiedResNet):
        return None
    if not isinstance(visual, TimmModel):
        return f'it is a {type(visual).__name__}'
    # by name, for timm is not among our requirements
    trunk = type(visual.trunk).__name__
    if trunk != 'ConvNeXt':
        return f"it is timm's {trunk}"
    pooling = visual.trunk.head.global_pool.pool_type
    if pooling != 'avg':
        return f'its result is pooled by {pooling or "attention"!r}'
    return None


def _means(cells: Tensor, regions: Regions) -> Tensor:
    """Mean of cells (B, L, C) under each mask, (B, M, C); 0 if empty."""
    weights = regions.coverage.flatten(2)
    total = weights.sum(-1, keepdim=True)
    weights = weights / torch.where(total > 0, total, 1)
    return weights.to(cells.dtype) @ cells


def _pool_by_attention(
    visual: ModifiedResNet, pixels: Tensor, regions: Regions
) -> Tensor:
    """Pool as a ResNet's own head does, each mask with its own cells."""
    x = visual.stem(pixels)
    for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        x = layer(x)
    pool: Any = visual.attnpool
    grid = (x.shape[2], x.shape[3])
    cells = x.flatten(2).transpose(1, 2)  # (B, L, C)
    means = _means(cells, regions)
    trained = round((len(pool.positional_embedding) - 1) ** 0.5)
    positions = resize_positions(
        pool.positional_embedding, (trained, trained), grid
    ).to(x.dtype)
    means = means + positions[0]
    tokens = torch.cat([cells + positions[1:], means], 1)
    query, key, value = (
        project(source).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
        for project, source in (
            (pool.q_proj, means),
            (pool.k_proj, tokens),
            (pool.v_proj, tokens),
        )
    )
    pooled = F.scaled_dot_product_attention(
        query, key, value, regions.attention_bias().to(query.dtype)
    )
    return pool.c_proj(pooled.transpose(1, 2).flatten(2))
