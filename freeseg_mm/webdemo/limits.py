"""How large an image may be."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

_MB = 10**6


@dataclass(frozen=True)
class Limits:
    """What the page accepts.

    Attributes:
        max_upload_mb: Largest file, in megabytes of 10^6 bytes.
        max_side: Longest side of an image in pixels.

    Raises:
        ValueError: If one of them is not positive.
    """

    max_upload_mb: float = 20
    max_side: int = 4096

    def __post_init__(self) -> None:
        if not self.max_upload_mb > 0:
            raise ValueError(
                f'max_upload_mb: expected more than 0, got '
                f'{self.max_upload_mb}'
            )
        if self.max_side < 1:
            raise ValueError(
                f'max_side: expected at least 1, got {self.max_side}'
            )

    @property
    def max_bytes(self) -> int:
        """Largest file in bytes, at least one."""
        return max(1, round(self.max_upload_mb * _MB))

    def check(self, path: Path) -> None:
        """Refuse a file that is too large, before it is decoded.

        A file that is no image passes: who reads it can say what is wrong.

        Args:
            path: The file.

        Raises:
            ValueError: If it has too many bytes or pixels; the message has
                the name without the folder.
        """
        size = path.stat().st_size
        if size > self.max_bytes:
            raise ValueError(
                f'{path.name} has {size / _MB:.1f} MB, this page takes up to '
                f'{self.max_upload_mb:g}; save it smaller'
            )
        try:
            with Image.open(path) as image:
                width, height = image.size
        except Image.DecompressionBombError:
            raise ValueError(
                f'{path.name} has far more pixels than this page takes, '
                f'{self.max_side} a side; make it smaller'
            ) from None
        except (OSError, SyntaxError, ValueError):
            return
        if max(width, height) > self.max_side:
            raise ValueError(
                f'{path.name} has {width} x {height} pixels, this page takes '
                f'up to {self.max_side} a side; make it smaller'
            )
