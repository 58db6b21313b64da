"""Switches that trade a little exactness for speed."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

PRECISIONS = {
    'float32': torch.float32,
    'bfloat16': torch.bfloat16,
    'float16': torch.float16,
}


@dataclass(frozen=True)
class Acceleration:
    """Precision, layout and compilation of the image part of a network.

    Text embeddings, scores and post-processing stay in float32.
    ``docs/reports/benchmarks.md`` says how far results move.

    Attributes:
        precision: Of prediction, one of :data:`PRECISIONS`; training has
            mmengine's ``--amp`` for it.
        channels_last: Whether the backbone's maps lie channels last.
        compile: Whether ``torch.compile`` shall compile the backbone and
            CLIP's image tower; the first image of each size then takes
            minutes.

    Raises:
        ValueError: If the precision is unknown.
    """

    precision: str = 'float32'
    channels_last: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(
                f'precision {self.precision!r} is none of {list(PRECISIONS)}'
            )

    def prepare(self, backbone: nn.Module, image_tower: nn.Module) -> None:
        """Apply the switches that are properties of modules, in place."""
        if self.channels_last:
            # missing in the type stubs
            backbone.to(memory_format=torch.channels_last)  # type: ignore
        if self.compile:
            backbone.compile()
            image_tower.compile()

    def arrange(self, images: Tensor) -> Tensor:
        """Lay (B, 3, H, W) images out as the backbone wants them."""
        if self.channels_last:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def autocast(self, device: torch.device) -> torch.autocast:
        """Context to predict in."""
        dtype = PRECISIONS[self.precision]
        return torch.autocast(
            device.type, dtype, enabled=dtype is not torch.float32
        )
