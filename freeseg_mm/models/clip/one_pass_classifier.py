"""Mask classifiers that look at an image once, whatever its masks."""

import math
from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .frozen_clip import FrozenCLIP
from .mask_classifier import MaskClassifier
from .regions import Regions
from .resizing import ImageSize, check_image_size, resize_images, tower_size


class OnePassMaskClassifier(MaskClassifier):
    """One pass of the image tower per batch, then all masks together.

    The frame of the batch, padding included, is what is resized: an image
    stands alone only in a batch without padding.

    Args:
        image_size: Size the images are shown at: the short side, keeping
            the aspect; or (height, width), stretching. Rounded to whole
            patches. ``None`` takes what suits the kind of tower.
        mask_thr: Mask probability from which a pixel belongs to the mask.

    Raises:
        TypeError: If ``image_size`` is none of these.
        ValueError: If ``image_size`` is not positive or ``mask_thr`` not
            inside (0, 1).
    """

    def __init__(
        self, *, image_size: ImageSize = None, mask_thr: float = 0.5
    ) -> None:
        super().__init__()
        check_image_size(image_size)
        if not 0 < mask_thr < 1:
            raise ValueError(f'expected 0 < mask_thr < 1, got {mask_thr}')
        self.image_size = image_size
        self.threshold_logit = math.log(mask_thr / (1 - mask_thr))

    @torch.no_grad()
    def forward(
        self, clip: FrozenCLIP, images: Tensor, mask_logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embed masks; see :class:`MaskClassifier`.

        Raises:
            TypeError: See :meth:`check`.
        """
        self.check(clip)
        visual = clip.clip.visual
        stride = self._stride(visual)
        frame = (images.shape[-2], images.shape[-1])
        image_size = self.image_size
        if image_size is None:
            image_size = self._usual_short_side(frame, clip.image_size)
        height, width = size = tower_size(frame, image_size, stride)
        regions = Regions.from_logits(
            mask_logits,
            (height // stride, width // stride),
            self.threshold_logit,
        )
        pixels = clip.normalize(resize_images(images, size))
        weight = next(visual.parameters())
        embeds = self._embed(visual, pixels.to(weight.dtype), regions)
        embeds = F.normalize(embeds.float(), dim=-1)
        return embeds * regions.valid[..., None], regions.valid

    @abstractmethod
    def _usual_short_side(
        self, frame: tuple[int, int], trained: tuple[int, int]
    ) -> int:
        """Short side to show a frame at unless told otherwise, pixels.

        Args:
            frame: Height and width of the images.
            trained: Those the tower was trained at.
        """

    @abstractmethod
    def _stride(self, visual: Any) -> int:
        """Pixels per cell of the tower's last map."""

    @abstractmethod
    def _embed(self, visual: Any, pixels: Tensor, regions: Regions) -> Tensor:
        """Embed regions in one pass.

        Args:
            visual: open_clip's image tower.
            pixels: Normalised, in the tower's dtype, (B, 3, H, W).
            regions: The masks on the tower's grid.

        Returns:
            (B, M, D), of any length; finite for empty masks, too.
        """
