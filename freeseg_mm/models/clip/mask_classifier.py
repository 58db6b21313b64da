"""Base of all ways to show masks to CLIP (Sec. 3.1)."""

from abc import ABCMeta, abstractmethod

from mmengine.model import BaseModule
from torch import Tensor

from .frozen_clip import FrozenCLIP

# What all masks of an image hold where a batch pads it.
PADDING_LOGIT = -1e4


class MaskClassifier(BaseModule, metaclass=ABCMeta):
    """Embeds the region of each mask into CLIP's joint space.

    Attributes:
        uses_backbone_map: Whether it takes the last map of a
            :class:`CLIPBackbone` in the place of images.
        masks_reach_padding: Whether it takes masks as they are where a batch
            pads an image, instead of ``PADDING_LOGIT`` there.
        takes_full_size: Whether masks have to have the images' size.
    """

    uses_backbone_map: bool = False
    masks_reach_padding: bool = False
    takes_full_size: bool = False

    def check(self, clip: FrozenCLIP) -> None:  # noqa: B027
        """Refuse a CLIP whose image tower this cannot use.

        Most towers suit: by default none is refused.

        Raises:
            TypeError: If the tower is of the wrong kind.
        """

    def graph_problem(self, clip: FrozenCLIP) -> str | None:
        """Reason why a traced graph would not hold for all images.

        ``None`` if it does, which a subclass has to say.
        """
        return 'what it computes depends on the size of the image'

    @abstractmethod
    def forward(
        self, clip: FrozenCLIP, images: Tensor, mask_logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embed masks.

        Args:
            clip: The frozen CLIP.
            images: RGB in [0, 255], (B, 3, H, W); or the backbone's last
                map, (B, C, H / 32, W / 32), where that is what it uses.
            mask_logits: Masks of each image, (B, M, h, w), at any
                resolution of the same frame; ``PADDING_LOGIT`` where an
                image is padding.

        Returns:
            Unit-norm embeddings, (B, M, D), zero for masks that are empty;
            and whether a mask is not empty, (B, M), bool.
        """
