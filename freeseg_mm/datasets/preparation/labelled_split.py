"""Preparation of a split from label files, image by image."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import bytes_to_copy, place, read_json, write_json
from freeseg_mm.utils.image_files import IGNORE_INDEX, check_image_file

from .image_ground_truth import ImageGroundTruth, encode_objects, write_gt
from .split_preparation import DatasetLayout, SourceImage, SplitPreparation

# Counted up when the same labels give another result.
_RULE = 1
# Bytes written for a byte of labels, and besides for an image (blocks that
# are not full, JSON): a bit more than on 34 images of ADE20K and 16 of VOC.
_GROWTH = 2.3
_BYTES_PER_IMAGE = 6144
# Besides, where polygons become PNGs: as on 100 images of COCO.
_BYTES_PER_PAINTED_IMAGE = 8192
_ADDED = ('id', 'image_id')  # by write() to the objects of an image
_MAX_NAMES = 8  # of absent classes in a summary


class LabelledSplit(SplitPreparation):
    """One split of a dataset that has its ground truth in label files.

    Args:
        layout: Paths of everything written.
        images: The images to prepare, in order.
        image_folder: Folder of the images.
        read_gt: Reads the ground truth of an image; sent to other processes.
        vocabulary: The classes.
        tasks: Tasks that the labels serve for; an instances JSON is written
            if instance segmentation is one of them.
        why: Reason for fewer than all tasks, for the summary.
        source: JSON object of all else that decides the ground truth.
        copy: Copy images rather than link to them.
        num_bytes: Bytes of the JSON that the ground truth is read from.
        notes: Keys that the instances JSON has besides, with their values,
            by its list (``images``, ``categories``) and the entry's id.
    """

    def __init__(
        self,
        layout: DatasetLayout,
        images: Sequence[SourceImage],
        *,
        image_folder: Path,
        read_gt: Callable[[SourceImage], ImageGroundTruth],
        vocabulary: Vocabulary,
        tasks: Sequence[Task],
        why: str = '',
        source: Mapping[str, Any],
        copy: bool = False,
        num_bytes: int = 0,
        notes: Mapping[str, Mapping[int, Mapping[str, Any]]] | None = None,
    ) -> None:
        has_objects = Task.INSTANCE in tasks
        names = '\n'.join(f'{image.id} {image.file_name}' for image in images)
        subject = {
            'rule': _RULE,
            'vocabulary': vocabulary.content_hash,
            'images_sha256': hashlib.sha256(names.encode()).hexdigest(),
            'objects': has_objects,
            **source,
        }
        super().__init__(layout, images, subject)
        self.image_folder = image_folder
        self.read_gt = read_gt
        self.vocabulary = vocabulary
        self.tasks = tasks
        self.why = why
        self.has_objects = has_objects
        self.has_semantic = len(vocabulary) <= IGNORE_INDEX
        self.copy = copy
        self.num_bytes = num_bytes
        self.notes = notes or {}

    def image_worker(self) -> Callable[[SourceImage], dict[str, Any]]:
        """Write an image's PNGs; give size, annotation and objects."""
        return partial(
            _prepare_image,
            self.layout,
            self.image_folder,
            self.read_gt,
            self.vocabulary.is_thing if self.has_objects else None,
        )

    def is_done(self, image: SourceImage) -> bool:
        """Tell whether no label file is newer than the PNG made of it."""
        made = self.layout.panoptic_pngs / image.png_name
        return all(
            path.stat().st_mtime_ns <= made.stat().st_mtime_ns
            for path in image.labels
        )

    def estimate_bytes(self, todo: Sequence[SourceImage]) -> int:
        """Estimate more than is read: ids take more room than classes."""
        labels = sum(
            path.stat().st_size for image in todo for path in image.labels
        )
        num_bytes = _GROWTH * labels + _BYTES_PER_IMAGE * len(todo)
        if todo:
            num_bytes += self.num_bytes
        if not labels:
            num_bytes += _BYTES_PER_PAINTED_IMAGE * len(todo)
        if self.copy:
            num_bytes += bytes_to_copy(
                self.image_folder, self.layout.images, self._file_names()
            )
        return int(num_bytes)

    def place_files(self) -> None:
        """Link to the images or copy them."""
        place(
            self.image_folder,
            self.layout.images,
            self.copy,
            self._file_names(),
        )

    def is_whole(self) -> bool:
        """Tell whether the instances JSON, if one is due, is there too."""
        return super().is_whole() and (
            not self.has_objects or self.layout.instances_json.is_file()
        )

    def finished_records(
        self, content: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Build the records from the files that :meth:`write` made."""
        if not self.is_whole():
            return []
        objects: dict[int, list] = {}
        if self.has_objects:
            instances = read_json(self.layout.instances_json, ['annotations'])
            for entry in instances['annotations']:
                kept = {k: v for k, v in entry.items() if k not in _ADDED}
                objects.setdefault(entry['image_id'], []).append(kept)
        return [
            {
                'image_id': annotation['image_id'],
                'size': [image['height'], image['width']],
                'annotation': annotation,
                'objects': objects.get(annotation['image_id'], []),
            }
            for image, annotation in zip(
                content['images'], content['annotations'], strict=True
            )
        ]

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the panoptic JSON and, of objects, the instances JSON."""
        info = {'prepared': self.subject}
        images = [
            {
                'id': image.id,
                'file_name': image.file_name,
                'height': record['size'][0],
                'width': record['size'][1],
            }
            for image, record in zip(self.images, records, strict=True)
        ]
        categories = [
            {'id': index + 1, 'name': name, 'isthing': int(is_thing)}
            for index, (name, is_thing) in enumerate(
                zip(
                    self.vocabulary.names,
                    self.vocabulary.is_thing,
                    strict=True,
                )
            )
        ]
        if self.has_objects:
            objects = [
                (record['image_id'], entry)
                for record in records
                for entry in record['objects']
            ]
            instances = {
                'info': info,
                'images': self._noted('images', images),
                'annotations': [
                    {'id': number, 'image_id': image_id, **entry}
                    for number, (image_id, entry) in enumerate(objects, 1)
                ],
                'categories': self._noted(
                    'categories', [c for c in categories if c['isthing']]
                ),
            }
            write_json(instances, self.layout.instances_json)
        panoptic = {
            'info': info,
            'images': images,
            'annotations': [record['annotation'] for record in records],
            'categories': categories,
        }
        write_json(panoptic, self.layout.panoptic_json)

    def summarize(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Describe images, classes and tasks."""
        return summarize_labels(
            self.layout.split, records, self.vocabulary, self.tasks, self.why
        )

    def _noted(
        self, kind: str, entries: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        notes = self.notes.get(kind, {})
        return [{**entry, **notes.get(entry['id'], {})} for entry in entries]

    def _file_names(self) -> list[str]:
        return [image.file_name for image in self.images]


def _prepare_image(
    layout: DatasetLayout,
    image_folder: Path,
    read_gt: Callable[[SourceImage], ImageGroundTruth],
    is_thing: Sequence[bool] | None,
    image: SourceImage,
) -> dict[str, Any]:
    gt = read_gt(image)
    size = gt.ids.shape
    check_image_file(image_folder / image.file_name, (size[0], size[1]))
    return {
        'image_id': image.id,
        'size': list(size),
        'annotation': {
            'image_id': image.id,
            'file_name': image.png_name,
            'segments_info': write_gt(gt, layout, image.png_name),
        },
        'objects': encode_objects(gt, is_thing) if is_thing else [],
    }


def summarize_labels(
    split: str,
    records: Sequence[Mapping[str, Any]],
    vocabulary: Vocabulary,
    tasks: Sequence[Task],
    why: str = '',
) -> list[str]:
    """Describe the images, the classes that occur, and unlabelled pixels.

    Args:
        split: Name of the split.
        records: Records that ``LabelledSplit`` made of its images.
        vocabulary: The classes.
        tasks: Tasks that the labels serve for.
        why: Reason for fewer than all tasks.

    Returns:
        Lines to print.
    """
    segments = [
        segment
        for record in records
        for segment in record['annotation']['segments_info']
    ]
    pixels = sum(record['size'][0] * record['size'][1] for record in records)
    labelled = sum(segment['area'] for segment in segments)
    present = {segment['category_id'] - 1 for segment in segments}
    absent = [
        name
        for index, name in enumerate(vocabulary.names)
        if index not in present
    ]
    objects = sum(
        vocabulary.is_thing[segment['category_id'] - 1]
        and not segment['iscrowd']
        for segment in segments
    )
    lines = [
        f'{split}: {len(records):,} images, {len(segments):,} segments, '
        f'{objects:,} of them single objects',
        f'  classes that occur: {len(present)} of {len(vocabulary)}',
        f'  unlabelled: {100 * (1 - labelled / pixels):.2f} % of the pixels',
        f'  serves for: {", ".join(task.value for task in tasks)}'
        + (f' ({why})' if why else ''),
    ]
    if absent:
        more = ', ...' if len(absent) > _MAX_NAMES else ''
        lines[1] += f'; absent: {"; ".join(absent[:_MAX_NAMES])}{more}'
    return lines
