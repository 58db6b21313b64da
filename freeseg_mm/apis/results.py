"""Predictions on one image: plain data, other formats, and pictures."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import torch
from mmdet.structures import DetDataSample
from PIL import Image

from freeseg_mm.structures import Task, Vocabulary, void_label
from freeseg_mm.utils.files import write_json
from freeseg_mm.utils.masks import fitting, mask_boxes, nearest, segment_box
from freeseg_mm.utils.panoptic_png import encode_panoptic_png
from freeseg_mm.utils.run_lengths import encode_mask
from freeseg_mm.visualization import (
    Region,
    TaskRegions,
    class_patterns,
    draw_segments,
    panel,
    shrink,
)
from freeseg_mm.visualization.regions import semantic_regions

from .inputs import InputImage, is_remote

if TYPE_CHECKING:
    from freeseg_mm.models.segmentors.raw_prediction import RawPrediction

_PANEL_SIDE = 1024
_STEM_BYTES = 180


@dataclass(frozen=True, eq=False)
class Instance:
    """One object of the instance result.

    Only the part of its mask inside of the box is kept, so that a thousand
    small objects of a large image fit into memory.

    Attributes:
        label: Position of its class in the vocabulary.
        name: Of its class.
        score: In [0, 1].
        box: Left, top, right, bottom in pixels; right and bottom exclusive.
        crop: Its pixels inside of the box, (bottom - top, right - left),
            bool.
        size: (H, W) of the image.
        track: Number of the object in all frames of a video, from 1, if it
            was followed; see :class:`freeseg_mm.apis.video.Tracker`.
    """

    label: int
    name: str
    score: float
    box: tuple[int, int, int, int]
    crop: np.ndarray
    size: tuple[int, int]
    track: int | None = None

    @classmethod
    def from_mask(
        cls, label: int, name: str, score: float, mask: np.ndarray
    ) -> 'Instance':
        """Keep what lies inside of the box of a mask, (H, W) bool.

        Raises:
            ValueError: If no pixel is set.
        """
        left, top, width, height = segment_box(mask)
        right, bottom = left + width, top + height
        crop = mask[top:bottom, left:right].copy()
        box = (left, top, right, bottom)
        return cls(label, name, score, box, crop, mask.shape[:2])

    @property
    def mask(self) -> np.ndarray:
        """All pixels of the image, (H, W) bool; made anew each time."""
        mask = np.zeros(self.size, bool)
        left, top, right, bottom = self.box
        mask[top:bottom, left:right] = self.crop
        return mask

    @property
    def area(self) -> int:
        """Pixels."""
        return int(self.crop.sum())


@dataclass(frozen=True)
class PanopticSegment:
    """One segment of the panoptic result.

    Attributes:
        id: Its value in the segment map, from 1.
        label: Position of its class in the vocabulary.
        name: Of its class.
        is_thing: Whether it is one object, not all stuff of its class.
        score: In [0, 1].
        area: Pixels.
        track: Of a thing that was followed, as of :class:`Instance`.
    """

    id: int
    label: int
    name: str
    is_thing: bool
    score: float
    area: int
    track: int | None = None


@dataclass(frozen=True, eq=False)
class ClassifiedMask:
    """Class of a mask that came from elsewhere, by CLIP's view of it.

    Attributes:
        label: Position of its best class in the vocabulary.
        name: Of that class.
        score: Its probability.
        probs: Probability of each class, (C,), float32; they sum to 1, and
            are equal of a mask that is too small to be seen.
    """

    label: int
    name: str
    score: float
    probs: np.ndarray


@dataclass(frozen=True, eq=False)
class ImageResult:
    """Predictions on one image; those of other tasks are ``None``.

    Attributes:
        source: Path or URL of the image, or ``array 3``.
        image: RGB, (H, W, 3), uint8.
        vocabulary: The classes; labels are positions in it.
        label_map: Semantic: label of each pixel, (H, W), int32;
            ``void_label(C)`` of C classes where there is none.
        instances: Instance: objects, best first.
        segment_map: Panoptic: segment id of each pixel, (H, W), int32, 0
            where there is none.
        segments: Panoptic: the segments.
        raw: All scores behind the results, by task, if they were asked for.
        notes: Changes made to the image, as ``first of 12 frames``.
        frame: Its number in a video, from 0; of no video ``None``.
        seconds: Its time in the video, by the frame rate.
        member: Its name in an archive; of none ``None``.
        place: Number of its input, and its own within a video or an
            archive, both from 0.
    """

    source: str
    image: np.ndarray
    vocabulary: Vocabulary
    label_map: np.ndarray | None = None
    instances: tuple[Instance, ...] | None = None
    segment_map: np.ndarray | None = None
    segments: tuple[PanopticSegment, ...] | None = None
    raw: 'Mapping[Task, RawPrediction] | None' = None
    notes: tuple[str, ...] = ()
    frame: int | None = None
    seconds: float | None = None
    member: str | None = None
    place: tuple[int, int] = (0, 0)

    @property
    def title(self) -> str:
        """Source of the image, and the frame's number if it is one."""
        if self.frame is None:
            return self.source
        return f'{self.source} frame {self.frame}'

    @property
    def stem(self) -> str:
        """Name for files about the image: ``photo``, ``clip_000012``."""
        stem = file_stem(self.source)
        return stem if self.frame is None else f'{stem}_{self.frame:06d}'

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.image.shape[:2]
        return height, width

    @property
    def categories(self) -> list[dict[str, Any]]:
        """The vocabulary as COCO's categories; ids are labels + 1."""
        return categories_of(self.vocabulary)

    @property
    def void_share(self) -> dict[Task, float]:
        """Share of the pixels without a class or segment, in [0, 1].

        Of the semantic and the panoptic task, where they were predicted.
        """
        found = {}
        if self.label_map is not None:
            void = void_label(len(self.vocabulary))
            found[Task.SEMANTIC] = float(np.equal(self.label_map, void).mean())
        if self.segment_map is not None:
            found[Task.PANOPTIC] = float(np.equal(self.segment_map, 0).mean())
        return found

    def segment_mask(self, segment: PanopticSegment) -> np.ndarray:
        """Pixels of one of :attr:`segments`, (H, W), bool."""
        assert self.segment_map is not None  # segments come with it
        return np.equal(self.segment_map, segment.id)

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Convert all predictions to arrays.

        Returns:
            Of the predicted tasks: ``label_map`` (H, W); ``masks`` (n, H, W)
            bool with ``mask_labels``, ``mask_scores`` (n,) and
            ``mask_boxes`` (n, 4) xyxy; ``segment_map`` (H, W) with
            ``segment_ids``, ``segment_labels`` and ``segment_scores`` (m,).
        """
        arrays = {}
        if self.label_map is not None:
            arrays['label_map'] = self.label_map
        if self.instances is not None:
            masks = np.array([x.mask for x in self.instances], bool)
            boxes = np.array([x.box for x in self.instances], np.float32)
            arrays['masks'] = masks.reshape(-1, *self.size)
            arrays['mask_boxes'] = boxes.reshape(-1, 4)
            arrays |= _labels_and_scores('mask', self.instances)
        if self.segments is not None and self.segment_map is not None:
            ids = [segment.id for segment in self.segments]
            arrays['segment_map'] = self.segment_map
            arrays['segment_ids'] = np.array(ids, np.int64)
            arrays |= _labels_and_scores('segment', self.segments)
        return arrays

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """Convert the instances to COCO's results, for ``json.dump``.

        Args:
            image_id: Of the image in each of them.

        Returns:
            Of each object ``image_id``, ``category_id`` (its label + 1),
            ``segmentation`` (compressed RLE), ``bbox`` (x, y, width,
            height), ``score``, and ``area`` and ``iscrowd``, so that it
            serves as an annotation, too.

        Raises:
            ValueError: If the instance task was not predicted.
        """
        if self.instances is None:
            raise self._missing('instance')
        return [
            {
                'image_id': image_id,
                'category_id': found.label + 1,
                'segmentation': encode_mask(found.mask),
                'bbox': _xywh(found.box),
                'area': found.area,
                'iscrowd': 0,
                'score': found.score,
            }
            for found in self.instances
        ]

    def to_json(self, with_masks: bool = True) -> dict[str, Any]:
        """Convert all predictions to JSON's types.

        Args:
            with_masks: Whether each entry has its ``segmentation``,
                compressed RLE.
        """

        def entry(label: int, mask: np.ndarray) -> dict[str, Any]:
            return {
                'category_id': label + 1,
                'name': self.vocabulary.names[label],
                'area': int(mask.sum()),
                **({'segmentation': encode_mask(mask)} if with_masks else {}),
            }

        height, width = self.size
        content: dict[str, Any] = {
            'source': self.source,
            'height': height,
            'width': width,
            'notes': list(self.notes),
            'classes': self.categories,
        }
        if self.frame is not None:
            content.update(frame=self.frame, seconds=self.seconds)
        if self.label_map is not None:
            # row by row and mask by mask: images may be very large
            rows = [np.unique(row) for row in self.label_map]
            content['semantic'] = [
                entry(int(label), np.equal(self.label_map, label))
                for label in np.unique(np.concatenate(rows))
                if label < len(self.vocabulary)
            ]
        if self.instances is not None:
            content['instances'] = [
                {
                    **entry(found.label, found.mask),
                    **_track(found),
                    'score': found.score,
                    'bbox': _xywh(found.box),
                }
                for found in self.instances
            ]
        if self.segments is not None:
            content['panoptic'] = [
                {
                    'id': segment.id,
                    **entry(segment.label, self.segment_mask(segment)),
                    **_track(segment),
                    'isthing': int(segment.is_thing),
                    'score': segment.score,
                }
                for segment in self.segments
            ]
        return content

    def coco_image(self, image_id: int) -> dict[str, Any]:
        """COCO's entry of the image.

        A frame is called ``clip_000012.png``, an archive's image
        ``1.tar/dog.jpg``.
        """
        height, width = self.size
        name = Path(self.source).name
        if self.frame is not None:
            name = f'{self.stem}.png'
        elif self.member is not None:
            archive = self.source.removesuffix(f'/{self.member}')
            name = f'{Path(archive).name}/{self.member}'
        return {
            'id': image_id,
            'file_name': name,
            'height': height,
            'width': width,
        }

    def save_panoptic(
        self, path: str | Path, image_id: int = 1, *, with_json: bool = True
    ) -> dict[str, Any]:
        """Write the panoptic result as COCO does: a PNG of ids, and JSON.

        Args:
            path: The PNG; its JSON has the same name but for ``.json``.
            image_id: Of the image in both.
            with_json: Whether the JSON is written.

        Returns:
            The annotation: ``image_id``, ``file_name`` and
            ``segments_info``, with scores.

        Raises:
            ValueError: If the panoptic task was not predicted, or ``path``
                does not end in ``.png``.
        """
        path = Path(path)
        if path.suffix != '.png':
            raise ValueError(f'{path}: expected a name that ends in .png')
        if self.segment_map is None or self.segments is None:
            raise self._missing('panoptic')
        encode_panoptic_png(self.segment_map, path)
        annotation = {
            'image_id': image_id,
            'file_name': path.name,
            'segments_info': [
                {
                    'id': segment.id,
                    'category_id': segment.label + 1,
                    'area': segment.area,
                    'bbox': segment_box(self.segment_mask(segment)),
                    'iscrowd': 0,
                    'score': segment.score,
                }
                for segment in self.segments
            ],
        }
        if with_json:
            content = {
                'images': [self.coco_image(image_id)],
                'annotations': [annotation],
                'categories': self.categories,
            }
            write_json(content, path.with_suffix('.json'))
        return annotation

    def to_supervision(self) -> Any:
        """Instances, else panoptic segments, as ``supervision.Detections``.

        Returns:
            With ``xyxy``, ``mask``, ``confidence``, ``class_id`` and, in
            ``data``, ``class_name``; of a frame whose objects were followed
            with ``tracker_id``, -1 of stuff.

        Raises:
            ImportError: If supervision is not installed.
            ValueError: If neither task was predicted.
        """
        try:
            detections = import_module('supervision').Detections
        except ImportError as error:
            raise ImportError(
                'to_supervision needs the package supervision; run '
                '`pip install supervision`'
            ) from error
        found: Sequence[tuple[np.ndarray, Instance | PanopticSegment]]
        if self.instances is not None:
            found = [(x.mask, x) for x in self.instances]
        elif self.segments is not None:
            found = [(self.segment_mask(x), x) for x in self.segments]
        else:
            raise self._missing('instance or panoptic')
        if not found:
            return detections.empty()
        masks = np.array([mask for mask, _ in found])
        return detections(
            xyxy=mask_boxes(torch.from_numpy(masks)).float().numpy(),
            mask=masks,
            confidence=np.array([x.score for _, x in found], np.float32),
            class_id=np.array([x.label for _, x in found], np.int64),
            tracker_id=_tracker_ids([x.track for _, x in found]),
            data={'class_name': np.array([x.name for _, x in found])},
        )

    def regions(
        self, size: tuple[int, int] | None = None
    ) -> dict[Task, TaskRegions]:
        """Regions of each predicted task, for drawing.

        Args:
            size: (H', W') that they are brought to, by the nearest pixel;
                default the image's own.
        """
        size = size or self.size
        found = {}
        if self.label_map is not None:
            found[Task.SEMANTIC] = semantic_regions(
                nearest(self.label_map, size), void_label(len(self.vocabulary))
            )
        if self.instances is not None:
            found[Task.INSTANCE] = TaskRegions(
                [
                    Region(nearest(x.mask, size), x.label, x.score, x.track)
                    for x in self.instances
                ]
            )
        if self.segments is not None and self.segment_map is not None:
            segment_map = nearest(self.segment_map, size)
            found[Task.PANOPTIC] = TaskRegions(
                [
                    Region(
                        np.equal(segment_map, x.id), x.label, x.score, x.track
                    )
                    for x in self.segments
                ],
                np.equal(segment_map, 0),
            )
        return found

    def plot(
        self, task: str | Task | None = None, max_side: int | None = None
    ) -> Image.Image:
        """Draw the image with its predictions.

        A class has one colour in all pictures, and one pattern in all
        overlays of a video's frames.

        Args:
            task: The task to draw over the image, with names; ``None`` for
                image, all tasks and a legend side by side.
            max_side: A larger image is shrunk to this longer side in pixels;
                ``None`` for 1024 side by side, and for the image's own size
                in an overlay.

        Returns:
            An RGB picture.

        Raises:
            ValueError: If the task is unknown or was not predicted, or
                ``max_side`` is not positive.
        """
        if max_side is None:
            max_side = _PANEL_SIDE if task is None else max(self.size)
        if max_side < 1:
            raise ValueError(f'max_side: expected at least 1, got {max_side}')
        views = self.regions(fitting(self.size, max_side))
        names = self.vocabulary.names
        if task is None:
            image, views = shrink(self.image, views, max_side)
            title = Path(self.title).name
            rows = {'prediction': views}
            return Image.fromarray(
                panel(image, rows, self.vocabulary, title=title)
            )
        (member,) = Task.parse_many(task)
        if member not in views:
            raise self._missing(member.value)
        image, views = shrink(self.image, {member: views[member]}, max_side)
        # those of a picture by itself would flicker
        patterns = (
            None
            if self.frame is None
            else class_patterns(range(len(names)), names)
        )
        return Image.fromarray(
            draw_segments(
                image, views[member], self.vocabulary, patterns=patterns
            )
        )

    def _missing(self, task: str) -> ValueError:
        return ValueError(
            f'{self.title}: there is no {task} result; predict it with '
            f'tasks=[..., {task.split()[0]!r}]'
        )


@dataclass(frozen=True)
class ImageError:
    """An image that could not be read or predicted.

    Attributes:
        source: Path or URL of the image.
        reason: A sentence that names it.
        place: As of an :class:`ImageResult`.
    """

    source: str
    reason: str
    place: tuple[int, int] = (0, 0)


class InferenceError(ValueError):  # noqa: N818 - it says what happened
    """Some images failed; the others were predicted.

    Attributes:
        failed: Those that failed.
        results: The results of the others, in their order.
    """

    def __init__(
        self, failed: Sequence[ImageError], results: Sequence[ImageResult]
    ) -> None:
        self.failed = tuple(failed)
        self.results = tuple(results)
        total = len(failed) + len(results)
        super().__init__(
            f'{len(failed)} of {total} images failed: '
            + '; '.join(failure.reason for failure in failed)
        )


def categories_of(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """A vocabulary as COCO's categories; ids are labels + 1."""
    return [
        {'id': label, 'name': name, 'isthing': int(is_thing)}
        for label, (name, is_thing) in enumerate(
            zip(vocabulary.names, vocabulary.is_thing, strict=True), start=1
        )
    ]


def file_stem(source: str) -> str:
    """Part of the name of files about an input."""
    path = source
    if is_remote(path):
        with suppress(ValueError):  # it was read by another name then
            path = urlsplit(path).path
    stem = re.sub(r'[\s\\/:\0]', '_', Path(path).stem)
    # a file name may have 255 bytes, endings and numbers included
    stem = stem.encode(errors='ignore')[:_STEM_BYTES].decode(errors='ignore')
    return stem if stem.strip('.') else 'image'


def image_result(
    sample: DetDataSample,
    image: InputImage,
    vocabulary: Vocabulary,
) -> ImageResult:
    """Collect the predictions of a model on an image.

    Args:
        sample: With any of ``pred_sem_seg``, ``pred_instances`` and
            ``pred_panoptic_seg``, resized to the image where they are
            smaller.
        image: The image.
        vocabulary: Classes of the labels.
    """
    sample = sample.cpu()
    height, width = image.pixels.shape[:2]
    size = (height, width)
    notes = image.notes
    if tuple(sample.ori_shape) != size:
        rows, columns = sample.ori_shape
        notes = (*notes, f'predicted at {columns} x {rows}, then enlarged')
    label_map = instances = segment_map = segments = None
    if 'pred_sem_seg' in sample:
        labels = sample.pred_sem_seg.sem_seg[0].numpy().astype(np.int32)
        label_map = nearest(labels, size)
    if 'pred_instances' in sample:
        found = sample.pred_instances
        columns = (found.labels.tolist(), found.scores.tolist(), found.masks)
        instances = tuple(
            Instance.from_mask(
                label,
                vocabulary.names[label],
                score,
                nearest(mask.numpy(), size),
            )
            for label, score, mask in zip(*columns, strict=True)
        )
    if 'pred_panoptic_seg' in sample:
        segment_map, segments = _segments(sample, vocabulary, size)
    return ImageResult(
        source=image.source,
        image=np.ascontiguousarray(image.pixels[..., ::-1]),
        vocabulary=vocabulary,
        label_map=label_map,
        instances=instances,
        segment_map=segment_map,
        segments=segments,
        raw=sample.get('raw'),
        notes=notes,
        frame=image.frame,
        seconds=image.seconds,
        member=image.member,
        place=image.place,
    )


def _segments(
    sample: DetDataSample, vocabulary: Vocabulary, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[PanopticSegment, ...]]:
    """Segments numbered from 1, as a PNG can hold them."""
    model_ids = nearest(sample.pred_panoptic_seg.sem_seg[0].numpy(), size)
    segment_map = np.zeros(model_ids.shape, np.int32)
    segments = []
    for number, info in enumerate(sample.pred_panoptic_seg.segments_info, 1):
        inside = model_ids == info['id']
        segment_map[inside] = number
        label = info['label']
        segments.append(
            PanopticSegment(
                id=number,
                label=label,
                name=vocabulary.names[label],
                is_thing=vocabulary.is_thing[label],
                score=info['score'],
                area=int(inside.sum()),
            )
        )
    return segment_map, tuple(segments)


def _track(found: Instance | PanopticSegment) -> dict[str, int]:
    return {} if found.track is None else {'track': found.track}


def _tracker_ids(tracks: list[int | None]) -> np.ndarray | None:
    if all(track is None for track in tracks):
        return None
    return np.array([-1 if x is None else x for x in tracks], np.int64)


def _labels_and_scores(
    prefix: str, found: Sequence[Instance | PanopticSegment]
) -> dict[str, np.ndarray]:
    return {
        f'{prefix}_labels': np.array([x.label for x in found], np.int64),
        f'{prefix}_scores': np.array([x.score for x in found], np.float32),
    }


def _xywh(box: tuple[float, float, float, float]) -> list[float]:
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]
