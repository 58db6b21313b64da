"""CLIP's own image tower as the backbone: one pass serves masks and CLIP.

A frozen convolutional CLIP as the backbone follows FC-CLIP (Yu et al.,
"Convolutions Die Hard: Open-Vocabulary Segmentation with Single Frozen
Convolutional CLIP", NeurIPS 2023).
"""

from typing import Any

import torch
from mmdet.utils import OptMultiConfig
from mmengine.model import BaseModule, ImgDataPreprocessor
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from torch import Tensor, nn

from freeseg_mm.registry import MODELS

from .frozen_clip import FrozenCLIP, HiddenModule


def pooled_map_problem(visual: nn.Module) -> str | None:
    """Reason why an image tower has no map to pool, if it has none.

    Good are open_clip's ``ModifiedResNet`` and timm's ``ConvNeXt`` with
    average pooling.
    """
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


@MODELS.register_module()
class CLIPBackbone(BaseModule):
    """The image tower of the network's own CLIP, lent to it as a backbone.

    With a ``MaskPoolClassifier`` that takes its last map, an image passes
    the tower once in all. The tower stays in eval mode.

    Args:
        clip: The CLIP whose tower it is; ``FreeSeg`` fills it in.
        frozen: Whether the tower stays CLIP's: not trained, and in no
            checkpoint. If not, it belongs to the network: its parameters
            are ``backbone.tower.*`` of the checkpoint, and all but those of
            its head, which losses do not reach, are trained. CLIP's view of
            masks uses what they become.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        TypeError: If the tower has no maps at strides 4 to 32.
    """

    def __init__(
        self,
        *,
        clip: FrozenCLIP,
        frozen: bool = True,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        visual = clip.clip.visual
        problem = pooled_map_problem(visual)
        if problem:
            raise TypeError(
                f'CLIPBackbone cannot use the image tower of '
                f'{clip.model_name}: {problem}; it needs a ResNet of '
                'open_clip or a ConvNeXt, such as RN50 or convnext_base_w'
            )
        self.frozen = frozen
        self._lent = HiddenModule(visual)
        self._inputs = (255 * clip.mean, 255 * clip.std)
        if not frozen:
            self.tower = visual.requires_grad_(True)
            is_resnet = isinstance(visual, ModifiedResNet)
            for head in (
                [visual.attnpool]
                if is_resnet
                else [visual.trunk.head, visual.head]
            ):
                head.requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps after each of the four stages.

        Args:
            images: Normalised as CLIP does it, (B, 3, H, W), H and W
                multiples of 32.

        Returns:
            Each (B, C, H / stride, W / stride), strides 4, 8, 16, 32.
        """
        visual: Any = self._lent.module
        maps = visual.forward_intermediates(
            images, indices=4, intermediates_only=True
        )
        return tuple(maps['image_intermediates'])

    def train(self, mode: bool = True) -> 'CLIPBackbone':
        """Set the mode of everything but the tower."""
        super().train(mode)
        self._lent.module.eval()
        return self

    def check_inputs(self, preprocessor: ImgDataPreprocessor) -> None:
        """Refuse images that are not normalised as CLIP does it.

        Raises:
            ValueError: If mean, standard deviation or channel order differ.
        """
        given = (
            getattr(preprocessor, 'mean', None),
            getattr(preprocessor, 'std', None),
        )
        if not getattr(preprocessor, '_channel_conversion', False) or any(
            ours is None or not torch.allclose(ours, clips, atol=0.01)
            for ours, clips in zip(given, self._inputs, strict=True)
        ):
            mean, std = (x.flatten().tolist() for x in self._inputs)
            raise ValueError(
                'a CLIPBackbone wants images as CLIP does: set model.data_'
                f'preprocessor to mean={mean}, std={std}, bgr_to_rgb=True'
            )
