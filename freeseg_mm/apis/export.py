"""Answers in the forms that other tools read."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from freeseg_mm.structures import Task
from freeseg_mm.utils.panoptic_png import encode_panoptic_png
from freeseg_mm.visualization import (
    TaskRegions,
    draw_segments,
    panel,
    prediction_regions,
)
from freeseg_mm.visualization.patterns import class_patterns

from .resampling import fitting, nearest
from .results import ImageResult


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
    answers: dict[str, Any] = {}
    if 'label_map' in arrays:
        answers['pred_sem_seg'] = {
            'sem_seg': nearest(arrays['label_map'], size)
        }
    if 'masks' in arrays:
        answers['pred_instances'] = {
            'masks': nearest(arrays['masks'], size),
            'labels': arrays['mask_labels'],
            'scores': arrays['mask_scores'],
        }
    if result.segments is not None:
        answers['pred_panoptic_seg'] = {
            'sem_seg': nearest(arrays['segment_map'], size),
            'segments_info': [vars(segment) for segment in result.segments],
        }
    return prediction_regions(answers, score_thr=0.0)


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
