"""CLIP looks at the image once; each mask is one more class token.

Mask tokens in a frozen CLIP follow MaskCLIP (Ding et al., "Open-Vocabulary
Universal Image Segmentation with MaskCLIP", ICML 2023) and ODISE (Xu et al.,
"Open-Vocabulary Panoptic Segmentation with Text-to-Image Diffusion Models",
CVPR 2023).
"""

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from freeseg_mm.registry import MODELS

from .frozen_clip import FrozenCLIP
from .one_pass_classifier import (
    OnePassMaskClassifier,
    Regions,
    resize_positions,
)

# A little beyond the trained size more masks have patches of their own; far
# beyond it, positions and the number of tokens are strange to the tower.
_USUAL_SCALE = 1.5


@MODELS.register_module()
class MaskTokenClassifier(OnePassMaskClassifier):
    """Embed masks by class tokens that only see what their masks cover.

    In every layer a mask token attends to itself and to the patches under
    its mask, a patch counting as much as the mask covers of it. Neither
    patches nor the class token attend to mask tokens, so that they are what
    they are in CLIP, and a mask of the whole image has CLIP's own embedding
    of it. It does not attend to the class token, which knows the whole
    image; the patches know some of it as well. Patches that are padding
    are not attended to.

    Fit for a CLIP that was trained on whole photographs. One that was only
    trained on objects cut out, as that of the shapes benchmark, reads a
    figure from the blank around it and needs ``CropMaskClassifier``.

    For vision transformers with a class token. Arguments and errors are
    those of :class:`OnePassMaskClassifier`; an ``image_size`` of ``None``
    means one and a half times the short side the tower was trained at.
    """

    def check(self, clip: FrozenCLIP) -> None:
        """Refuse image towers without a class token to copy.

        Raises:
            TypeError: Unless the tower is open_clip's ``VisionTransformer``
                with plain blocks and its class token as the result.
        """
        problem = _problem(clip.clip.visual)
        if problem:
            raise TypeError(
                f'MaskTokenClassifier cannot use the image tower of '
                f'{clip.model_name}: {problem}; it needs a vision '
                'transformer whose class token is the result, such as '
                'ViT-B-16. CropMaskClassifier takes any tower, '
                'MaskPoolClassifier convolutional ones'
            )

    def _usual_short_side(
        self, frame: tuple[int, int], trained: tuple[int, int]
    ) -> int:
        return round(_USUAL_SCALE * min(trained))

    def _stride(self, visual: Any) -> int:
        return visual.patch_size[0]

    def _embed(self, visual: Any, pixels: Tensor, regions: Regions) -> Tensor:
        x = _embed_patches(visual, pixels)  # (B, 1 + L, C)
        num_masks = regions.valid.shape[1]
        num_image_tokens = x.shape[1]
        # all tokens in one sequence: class, patches, masks
        x = torch.cat([x, x[:, :1].expand(-1, num_masks, -1)], 1)
        content = F.pad(regions.content.flatten(1), (1, 0), value=1.0)
        image_bias = content.log()[:, None, None]  # (B, 1, 1, 1 + L)
        mask_bias = regions.attention_bias()
        for block in visual.transformer.resblocks:
            x = _run_block(block, x, num_image_tokens, image_bias, mask_bias)
        x = visual.ln_post(x[:, num_image_tokens:])
        return x if visual.proj is None else x @ visual.proj


def _problem(visual: nn.Module) -> str | None:
    """Why a tower has no mask tokens, if it has none."""
    if not isinstance(visual, VisionTransformer):
        return f'it is a {type(visual).__name__}'
    if visual.attn_pool is not None:
        return 'its result is pooled by attention'
    if visual.pool_type != 'tok':
        return f'its result is pooled by {visual.pool_type!r}'
    patch_height, patch_width = visual.patch_size
    if patch_height != patch_width:
        return f'its patches are {patch_height} x {patch_width}, not square'
    for block in visual.transformer.resblocks:
        if type(block) is not ResidualAttentionBlock:
            return f'it has blocks of type {type(block).__name__}'
    return None


def _embed_patches(visual: Any, pixels: Tensor) -> Tensor:
    """Class token and patches before the first block, (B, 1 + L, C)."""
    patches = visual.conv1(pixels)  # (B, C, g_h, g_w)
    grid = (patches.shape[2], patches.shape[3])
    positions = resize_positions(
        visual.positional_embedding, visual.grid_size, grid
    )
    patches = patches.flatten(2).transpose(1, 2)
    first = visual.class_embedding.to(patches.dtype)
    x = torch.cat([first.expand(len(patches), 1, -1), patches], 1)
    return visual.ln_pre(x + positions.to(x.dtype))


def _run_block(
    block: Any,
    x: Tensor,
    num_image_tokens: int,
    image_bias: Tensor,
    mask_bias: Tensor,
) -> Tensor:
    """A block of CLIP whose mask tokens see less than the others.

    Args:
        block: open_clip's ``ResidualAttentionBlock``.
        x: Class token, patches, mask tokens, (B, 1 + L + M, C).
        num_image_tokens: 1 + L.
        image_bias: Bias of the attention of class token and patches to each
            other, (B, 1, 1, 1 + L).
        mask_bias: Of mask tokens to patches and mask tokens, (B, 1, M,
            L + M).
    """
    attention = block.attn
    qkv = F.linear(
        block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias
    )
    # each (B, heads, 1 + L + M, C / heads)
    query, key, value = qkv.unflatten(
        -1, (3, attention.num_heads, -1)
    ).permute(2, 0, 3, 1, 4)
    of_image, of_masks = query.tensor_split([num_image_tokens], 2)
    attended = torch.cat(
        [
            F.scaled_dot_product_attention(
                of_image,
                key[:, :, :num_image_tokens],
                value[:, :, :num_image_tokens],
                image_bias.to(query.dtype),
            ),
            F.scaled_dot_product_attention(
                of_masks,
                key[:, :, 1:],
                value[:, :, 1:],
                mask_bias.to(query.dtype),
            ),
        ],
        2,
    )
    x = x + block.ls_1(attention.out_proj(attended.transpose(1, 2).flatten(2)))
    return x + block.ls_2(block.mlp(block.ln_2(x)))
