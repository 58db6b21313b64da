"""What an image was answered, as plain data."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from mmdet.structures import DetDataSample
from PIL import Image
from pycocotools import mask as coco_mask

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.mask_boxes import mask_boxes
from freeseg_mm.utils.panoptic_png import encode_panoptic_png
from freeseg_mm.utils.resampling import fitting, nearest
from freeseg_mm.visualization import (
    TaskRegions,
    draw_segments,
    panel,
    prediction_regions,
)
from freeseg_mm.visualization.patterns import class_patterns

from .inputs import InputImage


@dataclass(frozen=True, eq=False)
class Instance:
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
class PanopticSegment:
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
    masks: tuple[Instance, ...] | None = None
    segment_map: np.ndarray | None = None
    segments: tuple[PanopticSegment, ...] | None = None
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

    def segment_mask(self, segment: PanopticSegment) -> np.ndarray:
        """Pixels of one of :attr:`segments`, (H, W), bool."""
        assert self.segment_map is not None  # segments come with it
        return np.equal(self.segment_map, segment.id)

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Arrays; see :func:`freeseg_mm.apis.results.to_numpy`."""
        return to_numpy(self)

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """COCO's results; see :func:`freeseg_mm.apis.results.to_coco`."""
        return to_coco(self, image_id)

    def to_json(self, with_masks: bool = True) -> dict[str, Any]:
        """All of it; see :func:`freeseg_mm.apis.results.to_json`."""
        return to_json(self, with_masks)

    def save_panoptic(
        self, path: str | Path, image_id: int = 1
    ) -> dict[str, Any]:
        """PNG and JSON; see :func:`freeseg_mm.apis.results.save_panoptic`."""
        return save_panoptic(self, path, image_id)

    def to_supervision(self) -> Any:
        """Detections; see :func:`freeseg_mm.apis.results.to_supervision`."""
        return to_supervision(self)

    def picture(self, max_side: int = 1024) -> np.ndarray:
        """With a legend; see :func:`freeseg_mm.apis.results.picture`."""
        return picture(self, max_side)

    def overlay(self, task: str | Task = Task.PANOPTIC) -> np.ndarray:
        """One answer drawn; see :func:`freeseg_mm.apis.results.overlay`."""
        (member,) = Task.parse_many(task)
        return overlay(self, member)


@dataclass(frozen=True)
class ImageError:
    """An image that could not be answered.

    Attributes:
        source: Where it should have come from.
        reason: A sentence that names it.
    """

    source: str
    reason: str


class InferenceError(ValueError):  # noqa: N818 - it says what happened
    """Some images could not be answered; the others were.

    Attributes:
        failed: Those that could not.
        results: Those that could, in the order asked.
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


def image_result(
    sample: DetDataSample,
    image: InputImage,
    vocabulary: Vocabulary,
) -> ImageResult:
    """Collect what a model answered on an image.

    Args:
        sample: With any of ``pred_sem_seg``, ``pred_instances`` and
            ``pred_panoptic_seg``; what is not of the image's size is
            brought to it.
        image: The image.
        vocabulary: What was asked for.
    """
    sample = sample.cpu()
    height, width = image.pixels.shape[:2]
    size = (height, width)
    notes = image.notes
    if tuple(sample.ori_shape) != size:
        rows, columns = sample.ori_shape
        notes = (*notes, f'answered at {columns} x {rows}, then enlarged')
    label_map = masks = segment_map = segments = None
    if 'pred_sem_seg' in sample:
        labels = sample.pred_sem_seg.sem_seg[0].numpy().astype(np.int32)
        label_map = nearest(labels, size)
    if 'pred_instances' in sample:
        masks = _masks(sample, vocabulary, size)
    if 'pred_panoptic_seg' in sample:
        segment_map, segments = _segments(sample, vocabulary, size)
    return ImageResult(
        source=image.source,
        image=np.ascontiguousarray(image.pixels[..., ::-1]),
        vocabulary=vocabulary,
        label_map=label_map,
        masks=masks,
        segment_map=segment_map,
        segments=segments,
        notes=notes,
        frame=image.frame,
        seconds=image.seconds,
    )


def _masks(
    sample: DetDataSample,
    vocabulary: Vocabulary,
    size: tuple[int, int],
) -> tuple[Instance, ...]:
    found = sample.pred_instances
    masks = nearest(found.masks.numpy(), size)
    boxes = mask_boxes(torch.from_numpy(masks)).float()
    return tuple(
        Instance(label, vocabulary.names[label], score, mask, tuple(box))
        for label, score, mask, box in zip(
            found.labels.tolist(),
            found.scores.tolist(),
            masks,
            boxes.tolist(),
            strict=True,
        )
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


def to_numpy(result: ImageResult) -> dict[str, np.ndarray]:
    """All answers as arrays.

    Returns:
        Of the tasks that were asked for: ``label_map`` (H, W); ``masks`` (n,
        H, W) bool with ``mask_labels``, ``mask_scores`` (n,) and
        ``mask_boxes`` (n, 4) xyxy; ``segment_map`` (H, W) with
        ``segment_ids``, ``segment_labels`` and ``segment_scores`` (m,).
    """
    arrays = {}
    if result.label_map is not None:
        arrays['label_map'] = result.label_map
    if result.masks is not None:
        found = result.masks
        arrays['masks'] = np.array([x.mask for x in found], bool).reshape(
            -1, *result.size
        )
        arrays['mask_labels'] = np.array([x.label for x in found], np.int64)
        arrays['mask_scores'] = np.array([x.score for x in found], np.float32)
        arrays['mask_boxes'] = np.array(
            [x.box for x in found], np.float32
        ).reshape(-1, 4)
    if result.segments is not None and result.segment_map is not None:
        arrays['segment_map'] = result.segment_map
        for field in ('id', 'label', 'score'):
            arrays[f'segment_{field}s'] = np.array(
                [getattr(segment, field) for segment in result.segments],
                np.float32 if field == 'score' else np.int64,
            )
    return arrays


def to_coco(result: ImageResult, image_id: int) -> list[dict[str, Any]]:
    """Instances as COCO's results, ready for ``json.dump``.

    Returns:
        Of each object ``image_id``, ``category_id`` (its label + 1),
        ``segmentation`` (compressed RLE), ``bbox`` (x, y, width, height),
        ``score``, and ``area`` and ``iscrowd``, so that it serves as an
        annotation, too.

    Raises:
        ValueError: If the instance task was not asked for.
    """
    if result.masks is None:
        raise ValueError(_not_asked(result, 'instance'))
    return [
        {
            'image_id': image_id,
            'category_id': found.label + 1,
            'segmentation': rle(found.mask),
            'bbox': _xywh(found.box),
            'area': int(found.mask.sum()),
            'iscrowd': 0,
            'score': found.score,
        }
        for found in result.masks
    ]


def to_json(result: ImageResult, with_masks: bool) -> dict[str, Any]:
    """All that was answered as JSON's types.

    Args:
        result: The result.
        with_masks: Whether each entry has its ``segmentation``, compressed
            RLE.
    """

    def shape(mask: np.ndarray) -> dict[str, Any]:
        return {'segmentation': rle(mask)} if with_masks else {}

    height, width = result.size
    content: dict[str, Any] = {
        'source': result.source,
        'height': height,
        'width': width,
        'notes': list(result.notes),
        'classes': categories(result),
    }
    if result.frame is not None:
        content.update(frame=result.frame, seconds=result.seconds)
    if result.label_map is not None:
        content['semantic'] = [
            {
                'category_id': int(label) + 1,
                'name': result.vocabulary.names[label],
                'area': int((result.label_map == label).sum()),
                **shape(result.label_map == label),
            }
            for label in np.unique(result.label_map)
        ]
    if result.masks is not None:
        content['instances'] = [
            {
                'category_id': found.label + 1,
                'name': found.name,
                'score': found.score,
                'bbox': _xywh(found.box),
                'area': int(found.mask.sum()),
                **shape(found.mask),
            }
            for found in result.masks
        ]
    if result.segments is not None:
        content['panoptic'] = [
            {
                'id': segment.id,
                'category_id': segment.label + 1,
                'name': segment.name,
                'isthing': int(segment.is_thing),
                'score': segment.score,
                'area': segment.area,
                **shape(result.segment_mask(segment)),
            }
            for segment in result.segments
        ]
    return content


def save_panoptic(
    result: ImageResult, path: str | Path, image_id: int
) -> dict[str, Any]:
    """Write the panoptic result as COCO does: a PNG of ids, and JSON.

    Args:
        result: The result.
        path: The PNG; its JSON has the same name but for ``.json``.
        image_id: Of the image in both.

    Returns:
        The annotation: ``image_id``, ``file_name`` and ``segments_info``.

    Raises:
        ValueError: If the panoptic task was not asked for, or ``path`` does
            not end in ``.png``.
    """
    path = Path(path)
    if path.suffix != '.png':
        raise ValueError(f'{path}: expected a name that ends in .png')
    annotation = write_panoptic_png(result, path, image_id)
    content = {
        'images': [image_entry(result, image_id)],
        'annotations': [annotation],
        'categories': categories(result),
    }
    path.with_suffix('.json').write_text(json.dumps(content) + '\n')
    return annotation


def write_panoptic_png(
    result: ImageResult, path: Path, image_id: int
) -> dict[str, Any]:
    """Write the PNG alone and return its annotation."""
    if result.segment_map is None or result.segments is None:
        raise ValueError(_not_asked(result, 'panoptic'))
    encode_panoptic_png(result.segment_map, path)
    return {
        'image_id': image_id,
        'file_name': path.name,
        'segments_info': [
            {
                'id': segment.id,
                'category_id': segment.label + 1,
                'area': segment.area,
                'bbox': _box_of(result.segment_mask(segment)),
                'iscrowd': 0,
                'score': segment.score,
            }
            for segment in result.segments
        ],
    }


def write_label_map(result: ImageResult, path: Path) -> None:
    """Write the semantic result as a grey PNG of labels, 8 or 16 bits.

    Raises:
        ValueError: If the semantic task was not asked for.
    """
    if result.label_map is None:
        raise ValueError(_not_asked(result, 'semantic'))
    kind = np.uint8 if len(result.vocabulary) <= 255 else np.uint16
    Image.fromarray(result.label_map.astype(kind)).save(path)


def to_supervision(result: ImageResult) -> Any:
    """Instances, else panoptic segments, as ``supervision.Detections``.

    Returns:
        With ``xyxy``, ``mask``, ``confidence``, ``class_id`` and, in
        ``data``, ``class_name``.

    Raises:
        ImportError: If supervision is not installed.
        ValueError: If neither task was asked for.
    """
    try:
        detections = import_module('supervision').Detections
    except ImportError as error:
        raise ImportError(
            'to_supervision needs the package supervision; run '
            '`pip install supervision`'
        ) from error
    if result.masks is not None:
        found = [(x.mask, x.label, x.score, x.box) for x in result.masks]
    elif result.segments is not None:
        found = []
        for segment in result.segments:
            mask = result.segment_mask(segment)
            x, y, width, height = _box_of(mask)
            box = (x, y, x + width, y + height)
            found.append((mask, segment.label, segment.score, box))
    else:
        raise ValueError(_not_asked(result, 'instance or panoptic'))
    if not found:
        return detections.empty()
    masks, labels, scores, boxes = zip(*found, strict=True)
    return detections(
        xyxy=np.array(boxes, np.float32),
        mask=np.array(masks, bool),
        confidence=np.array(scores, np.float32),
        class_id=np.array(labels, np.int64),
        data={
            'class_name': np.array(
                [result.vocabulary.names[i] for i in labels]
            )
        },
    )


def picture(result: ImageResult, max_side: int) -> np.ndarray:
    """Draw the image, its answers side by side and a legend.

    Args:
        result: The result.
        max_side: A larger image is drawn smaller, to this longer side.

    Returns:
        RGB, (H', W', 3), uint8.

    Raises:
        ValueError: If ``max_side`` is not positive.
    """
    if max_side < 1:
        raise ValueError(f'max_side: expected at least 1, got {max_side}')
    size = fitting(result.size, max_side)
    image = np.asarray(Image.fromarray(result.image).resize(size[::-1]))
    name = Path(result.title).name
    return panel(
        image,
        {'answer': _regions(result, size)},
        result.vocabulary,
        title=name,
    )


def overlay(result: ImageResult, task: Task) -> np.ndarray:
    """Draw one task's answer over the image, names on it.

    A name has one colour in all pictures of a vocabulary, and one pattern in
    all frames of a video.

    Returns:
        RGB, (H, W, 3), uint8.

    Raises:
        ValueError: If the task was not asked for.
    """
    regions = _regions(result, result.size)
    if task not in regions:
        raise ValueError(_not_asked(result, task.value))
    names = result.vocabulary.names
    return draw_segments(
        result.image,
        regions[task],
        result.vocabulary,
        # those of a picture by itself would flicker
        patterns=None
        if result.frame is None
        else class_patterns(range(len(names)), names),
    )


def _regions(
    result: ImageResult, size: tuple[int, int]
) -> dict[Task, TaskRegions]:
    """What is drawn of each task, at a size (H', W')."""
    arrays = to_numpy(result)
    predictions: dict[str, Any] = {}
    if 'label_map' in arrays:
        predictions['pred_sem_seg'] = {
            'sem_seg': nearest(arrays['label_map'], size)
        }
    if 'masks' in arrays:
        predictions['pred_instances'] = {
            'masks': nearest(arrays['masks'], size),
            'labels': arrays['mask_labels'],
            'scores': arrays['mask_scores'],
        }
    if result.segments is not None:
        predictions['pred_panoptic_seg'] = {
            'sem_seg': nearest(arrays['segment_map'], size),
            'segments_info': [vars(segment) for segment in result.segments],
        }
    return prediction_regions(predictions, score_thr=0.0)


def image_entry(result: ImageResult, image_id: int) -> dict[str, Any]:
    """COCO's entry of the image; a frame is called ``clip_000012.png``."""
    height, width = result.size
    name = Path(result.source).name
    if result.frame is not None:
        name = f'{result.stem}.png'
    return {
        'id': image_id,
        'file_name': name,
        'height': height,
        'width': width,
    }


def categories(result: ImageResult) -> list[dict[str, Any]]:
    """COCO's categories of the vocabulary; ids are labels + 1."""
    words = result.vocabulary
    return [
        {'id': label + 1, 'name': name, 'isthing': int(words.is_thing[label])}
        for label, name in enumerate(words.names)
    ]


def rle(mask: np.ndarray) -> dict[str, Any]:
    """Compressed run lengths of a mask, (H, W) bool, as JSON's types."""
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {
        'size': [int(side) for side in encoded['size']],
        'counts': encoded['counts'].decode('ascii'),
    }


def _xywh(box: tuple[float, float, float, float]) -> list[float]:
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]


def _box_of(mask: np.ndarray) -> list[int]:
    """Left, top, width, height of a mask that is not empty."""
    left, top, width, height = coco_mask.toBbox(
        coco_mask.encode(np.asfortranarray(mask, np.uint8))
    ).astype(int)
    return [int(left), int(top), int(width), int(height)]


def _not_asked(result: ImageResult, task: str) -> str:
    return (
        f'{result.title}: there is no {task} result; ask for it with '
        f'tasks=[..., {task.split()[0]!r}]'
    )
