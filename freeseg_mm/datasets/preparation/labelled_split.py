"""Preparing a split whose truth is read from label files, image by image."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from freeseg_mm.datasets.preparation.files import (
    bytes_to_copy,
    place,
    read_json,
    write_json,
)
from freeseg_mm.datasets.preparation.image_truth import (
    ImageTruth,
    encode_objects,
    write_truth,
)
from freeseg_mm.datasets.preparation.images import (
    IGNORE_INDEX,
    check_image_file,
)
from freeseg_mm.datasets.preparation.layout import DatasetLayout
from freeseg_mm.datasets.preparation.split_preparation import SplitPreparation
from freeseg_mm.structures import Vocabulary

# Counted up when the same labels give another result.
_RULE = 1
# What is written of a byte of labels, and besides for an image (blocks that
# are not full, JSON): a bit more than on 34 images of ADE20K and 16 of VOC.
_GROWTH = 2.3
_BYTES_PER_IMAGE = 6144
# Besides, where polygons become PNGs: as on 100 images of COCO.
_BYTES_PER_PAINTED_IMAGE = 8192


@dataclass(frozen=True)
class SourceImage:
    """An image with what its truth is read from.

    Attributes:
        id: Id of the image in the JSON files.
        file_name: Of the image, from the folder of images.
        labels: The files that its truth is read from.
        content: What a JSON file says about it.
    """

    id: int
    file_name: str
    labels: tuple[Path, ...] = ()
    content: Any = field(default=None, compare=False)

    @property
    def png_name(self) -> str:
        """Of the PNGs made of it; folders become part of the name."""
        return '-'.join(Path(self.file_name).with_suffix('.png').parts)

    @property
    def label_name(self) -> str:
        """The same."""
        return self.png_name


class LabelledSplit(SplitPreparation[SourceImage]):
    """One split of a data set that has its truth in label files.

    Args:
        layout: Where everything goes.
        images: What is prepared, in order.
        image_folder: Where the images are.
        read_truth: Reads the truth of an image; sent to other processes.
        vocabulary: The classes.
        has_objects: Whether to write an instances JSON.
        source: JSON object that names what else decides the truth.
        copy: Copy images rather than link to them.
        num_bytes: Bytes of the JSON that the truth is read from.
    """

    def __init__(
        self,
        layout: DatasetLayout,
        images: Sequence[SourceImage],
        *,
        image_folder: Path,
        read_truth: Callable[[SourceImage], ImageTruth],
        vocabulary: Vocabulary,
        has_objects: bool,
        source: Mapping[str, Any],
        copy: bool = False,
        num_bytes: int = 0,
    ) -> None:
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
        self.read_truth = read_truth
        self.vocabulary = vocabulary
        self.has_objects = has_objects
        self.has_semantic = len(vocabulary) <= IGNORE_INDEX
        self.copy = copy
        self.num_bytes = num_bytes

    def image_worker(self) -> Callable[[SourceImage], dict[str, Any]]:
        """Write an image's PNGs; give size, annotation and objects."""
        return partial(
            _prepare_image,
            self.layout,
            self.image_folder,
            self.read_truth,
            self.vocabulary.is_thing if self.has_objects else None,
        )

    def is_done(self, image: SourceImage) -> bool:
        """Whether no label file is newer than what was made of it."""
        made = self.layout.panoptic_pngs / image.png_name
        return all(
            path.stat().st_mtime_ns <= made.stat().st_mtime_ns
            for path in image.labels
        )

    def estimate_bytes(self, todo: Sequence[SourceImage]) -> int:
        """More than is read, for ids take more room than classes."""
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

    def place_files(self, workers: int) -> None:
        """Link to the images or copy them."""
        place(
            self.image_folder,
            self.layout.images,
            self.copy,
            workers,
            self._file_names(),
        )

    def is_whole(self) -> bool:
        """Whether the instances JSON is there too, where one is written."""
        return super().is_whole() and (
            not self.has_objects or self.layout.instances_json.is_file()
        )

    def finished_records(
        self, content: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Put together again what :meth:`write` took apart."""
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
                'images': images,
                'annotations': [
                    {'id': number, 'image_id': image_id, **entry}
                    for number, (image_id, entry) in enumerate(objects, 1)
                ],
                'categories': [c for c in categories if c['isthing']],
            }
            write_json(instances, self.layout.instances_json)
        panoptic = {
            'info': info,
            'images': images,
            'annotations': [record['annotation'] for record in records],
            'categories': categories,
        }
        write_json(panoptic, self.layout.panoptic_json)

    def _file_names(self) -> list[str]:
        return [image.file_name for image in self.images]


# What write() adds to the objects of an image.
_ADDED = ('id', 'image_id')


def _prepare_image(
    layout: DatasetLayout,
    image_folder: Path,
    read_truth: Callable[[SourceImage], ImageTruth],
    is_thing: Sequence[bool] | None,
    image: SourceImage,
) -> dict[str, Any]:
    truth = read_truth(image)
    size = truth.ids.shape
    check_image_file(image_folder / image.file_name, (size[0], size[1]))
    return {
        'image_id': image.id,
        'size': list(size),
        'annotation': {
            'image_id': image.id,
            'file_name': image.png_name,
            'segments_info': write_truth(truth, layout, image.png_name),
        },
        'objects': encode_objects(truth, is_thing) if is_thing else [],
    }
