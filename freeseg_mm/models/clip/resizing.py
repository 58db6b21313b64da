"""Image towers of CLIP at other sizes than the one they were trained at."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

ImageSize = int | Sequence[int] | None


def check_image_size(image_size: ImageSize) -> None:
    """Refuse what :func:`tower_size` cannot use.

    Raises:
        TypeError: If it is neither ``None``, an integer nor two of them.
        ValueError: If a side is not positive.
    """
    if image_size is None:
        return
    sides = [image_size] if isinstance(image_size, int) else list(image_size)
    is_pair = not isinstance(image_size, int) and len(sides) == 2
    if not (is_pair or isinstance(image_size, int)) or not all(
        type(side) is int for side in sides
    ):
        raise TypeError(
            'expected image_size to be None, a short side or (height, width) '
            f'in pixels, got {image_size!r}'
        )
    if min(sides) < 1:
        raise ValueError(f'expected a positive image_size, got {image_size}')


def tower_size(
    frame: tuple[int, int], image_size: int | Sequence[int], stride: int
) -> tuple[int, int]:
    """Size at which to show a frame to an image tower.

    Args:
        frame: Height and width of what there is.
        image_size: The short side, the other one keeping the aspect; or
            height and width.
        stride: Pixels per patch or cell. Sides are rounded to multiples of
            it, at least one.

    Returns:
        Height and width in pixels.
    """
    if isinstance(image_size, int):
        sides = [image_size * side / min(frame) for side in frame]
    else:
        sides = [float(side) for side in image_size]
    height, width = (max(1, round(side / stride)) * stride for side in sides)
    return height, width


def resize_images(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize as CLIP's own preprocessing does: bicubic, antialiased.

    Args:
        images: (B, 3, H, W), 0 to 255.
        size: Height and width.

    Returns:
        (B, 3, *size), float32, 0 to 255; untouched if they have that size.
    """
    images = images.float()
    if images.shape[-2:] == size:
        return images
    resized = F.interpolate(
        images, size, mode='bicubic', align_corners=False, antialias=True
    )
    return resized.clamp(0, 255)


def resize_positions(
    positions: Tensor, trained: tuple[int, int], grid: tuple[int, int]
) -> Tensor:
    """Interpolate position embeddings, as open_clip does for its weights.

    Args:
        positions: That of the class token, then those of the patches row by
            row, (1 + t_h * t_w, C).
        trained: Grid of the patches, (t_h, t_w).
        grid: The grid wanted, (g_h, g_w).

    Returns:
        (1 + g_h * g_w, C).
    """
    if trained == grid:
        return positions
    plane = positions[1:].float().unflatten(0, trained).permute(2, 0, 1)
    plane = F.interpolate(
        plane[None],
        grid,
        mode='bicubic',
        align_corners=False,
        antialias=True,
    )[0]
    patches = plane.flatten(1).T.to(positions.dtype)
    return torch.cat([positions[:1], patches])
