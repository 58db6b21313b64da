"""What an image was answered, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from freeseg_mm.structures import Task, Vocabulary


@dataclass(frozen=True, eq=False)
class FoundMask:
    """One object of the instance result.

    Attributes:
        label: Position of its class in the vocabulary.
        name: Of its class.
        score: In [0, 1].
        mask: (H, W), bool.
        box: Left, top, right, bottom in pixels; right and bottom exclusive.
    """

    label: int
    name: str
    score: float
    mask: np.ndarray
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class FoundSegment:
    """One segment of the panoptic result.

    Attributes:
        id: Its value in the segment map, from 1.
        label: Position of its class in the vocabulary.
        name: Of its class.
        is_thing: Whether it is one object, not all stuff of its class.
        score: In [0, 1].
        area: Pixels.
    """

    id: int
    label: int
    name: str
    is_thing: bool
    score: float
    area: int


@dataclass(frozen=True, eq=False)
class ImageResult:
    """The answers on one image; a task not asked for is ``None``.

    Attributes:
        source: Where the image came from: path, URL, ``array 3``.
        image: RGB, (H, W, 3), uint8.
        vocabulary: What was asked for; labels are positions in it.
        label_map: Semantic: label of each pixel, (H, W), int32.
        masks: Instance: objects, best first.
        segment_map: Panoptic: segment id of each pixel, (H, W), int32, 0
            where there is none.
        segments: Panoptic: the segments.
        notes: What was done to the image, as ``first of 12 frames``.
        frame: Its number in a video, from 0; of no video ``None``.
        seconds: When the video shows it, by its frame rate.
    """

    source: str
    image: np.ndarray
    vocabulary: Vocabulary
    label_map: np.ndarray | None = None
    masks: tuple[FoundMask, ...] | None = None
    segment_map: np.ndarray | None = None
    segments: tuple[FoundSegment, ...] | None = None
    notes: tuple[str, ...] = ()
    frame: int | None = None
    seconds: float | None = None

    @property
    def title(self) -> str:
        """What to call the image: its source, and which frame it is."""
        if self.frame is None:
            return self.source
        return f'{self.source} frame {self.frame}'

    @property
    def stem(self) -> str:
        """A name for files about it: ``photo``, ``clip_000012``."""
        path = urlsplit(self.source).path or self.source
        stem = PurePosixPath(path).stem.replace(' ', '_') or 'image'
        return stem if self.frame is None else f'{stem}_{self.frame:06d}'

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.image.shape[:2]
        return height, width

    def segment_mask(self, segment: FoundSegment) -> np.ndarray:
        """Pixels of one of :attr:`segments`, (H, W), bool."""
        assert self.segment_map is not None  # segments come with it
        return np.equal(self.segment_map, segment.id)

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Arrays; see :func:`freeseg_mm.apis.export.to_numpy`."""
        from .export import to_numpy

        return to_numpy(self)

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """COCO's results; see :func:`freeseg_mm.apis.export.to_coco`."""
        from .export import to_coco

        return to_coco(self, image_id)

    def to_json(self, with_masks: bool = True) -> dict[str, Any]:
        """All of it; see :func:`freeseg_mm.apis.export.to_json`."""
        from .export import to_json

        return to_json(self, with_masks)

    def save_panoptic(
        self, path: str | Path, image_id: int = 1
    ) -> dict[str, Any]:
        """PNG and JSON; see :func:`freeseg_mm.apis.export.save_panoptic`."""
        from .export import save_panoptic

        return save_panoptic(self, path, image_id)

    def to_supervision(self) -> Any:
        """Detections; see :func:`freeseg_mm.apis.export.to_supervision`."""
        from .export import to_supervision

        return to_supervision(self)

    def picture(self, max_side: int = 1024) -> np.ndarray:
        """With a legend; see :func:`freeseg_mm.apis.export.picture`."""
        from .export import picture

        return picture(self, max_side)

    def overlay(self, task: str | Task = Task.PANOPTIC) -> np.ndarray:
        """One answer drawn; see :func:`freeseg_mm.apis.export.overlay`."""
        from .export import overlay

        (member,) = Task.parse_many(task)
        return overlay(self, member)


@dataclass(frozen=True)
class FailedImage:
    """An image that could not be answered.

    Attributes:
        source: Where it should have come from.
        reason: A sentence that names it.
    """

    source: str
    reason: str


class ImagesFailed(ValueError):  # noqa: N818 - it says what happened
    """Some images could not be answered; the others were.

    Attributes:
        failed: Those that could not.
        results: Those that could, in the order asked.
    """

    def __init__(
        self, failed: Sequence[FailedImage], results: Sequence[ImageResult]
    ) -> None:
        self.failed = tuple(failed)
        self.results = tuple(results)
        total = len(failed) + len(results)
        super().__init__(
            f'{len(failed)} of {total} images failed: '
            + '; '.join(failure.reason for failure in failed)
        )
