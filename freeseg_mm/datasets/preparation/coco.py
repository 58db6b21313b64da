"""COCO 2017 in the format every dataset of this package has.

The rule that merges COCO's two annotations is in ``coco_merge``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.files import (
    atomic_path,
    bytes_to_copy,
    file_sizes,
    place,
    write_json,
)
from freeseg_mm.utils.image_files import (
    IGNORE_INDEX,
    check_image_file,
    read_label_map,
    require_size,
    write_label_map,
)
from freeseg_mm.utils.panoptic_png import (
    VOID_ID,
    decode_panoptic_png,
    encode_panoptic_png,
)

from .coco_merge import (
    LABEL_OFFSET,
    UNLABELLED,
    VOCABULARY_NAME,
    fine_categories,
    is_thing_id,
    merge_coco_stuff,
)
from .coco_source import CocoImage, CocoSource
from .split_preparation import DatasetLayout, Say, SplitPreparation
from .target_vocabulary import write_builtin_vocabulary


def build_merge_report(
    split: str,
    num_pixels: int,
    annotations: Iterable[Mapping[str, Any]],
    num_kept_segments: int,
) -> dict[str, Any]:
    """Count pixels by source, in all and per class.

    Args:
        split: Name of the split.
        num_pixels: Pixels of all its images.
        annotations: Merged annotations.
        num_kept_segments: Official segments whose class is kept.

    Returns:
        A JSON object: ``images``, ``segments``; ``segments_without_pixels``,
        official ones listed in the JSON but absent from the PNG; ``pixels``
        by source; ``coco_stuff``, how many of COCO-Stuff's labelled pixels
        have a segment; ``classes``, pixels by source of each class, in
        vocabulary order.
    """
    annotations = list(annotations)
    segments = [
        segment
        for annotation in annotations
        for segment in annotation['segments_info']
    ]
    classes = {
        category: {'panoptic': 0, 'coco_stuff': 0}
        for category in fine_categories()
    }
    for segment in segments:
        counts = classes[segment['category_id']]
        counts['panoptic'] += segment['area'] - segment['refilled']
        counts['coco_stuff'] += segment['refilled']
    panoptic = sum(counts['panoptic'] for counts in classes.values())
    refilled = sum(counts['coco_stuff'] for counts in classes.values())
    with_panoptic_pixels = sum(
        segment['area'] > segment['refilled'] for segment in segments
    )
    return {
        'split': split,
        'images': len(annotations),
        'segments': len(segments),
        'segments_without_pixels': num_kept_segments - with_panoptic_pixels,
        'pixels': {
            'all': num_pixels,
            'panoptic': panoptic,
            'coco_stuff': refilled,
            'void': num_pixels - panoptic - refilled,
        },
        'coco_stuff': {
            key: sum(entry['coco_stuff'][key] for entry in annotations)
            for key in ('labelled', 'covered')
        },
        'classes': {
            fine_categories()[category]: counts
            for category, counts in classes.items()
        },
    }


def summarize(report: Mapping[str, Any], num_classes: int = 5) -> list[str]:
    """Say in a few lines what a merge report holds.

    Args:
        report: See :func:`build_merge_report`.
        num_classes: How many of the largest classes to list.
    """
    pixels = report['pixels']
    stuff = report['coco_stuff']
    lines = [
        f'{report["split"]}: {report["images"]:,} images, '
        f'{report["segments"]:,} segments',
        '  pixels: '
        + ', '.join(
            f'{_percent(pixels[key], pixels["all"])} {text}'
            for key, text in (
                ('panoptic', 'kept from panoptic'),
                ('coco_stuff', 'refilled from COCO-Stuff'),
                ('void', 'void'),
            )
        ),
        f'  {_percent(stuff["covered"], stuff["labelled"])} of the pixels '
        'that COCO-Stuff labels are covered',
    ]
    if report['segments_without_pixels']:
        lines.append(
            f'  {report["segments_without_pixels"]} official segments have '
            'no pixel in their PNG and were left out'
        )
    return lines + _largest_classes(report['classes'], num_classes)


def _largest_classes(
    classes: Mapping[str, Mapping[str, int]], num_classes: int
) -> list[str]:
    largest = sorted(
        classes.items(), key=lambda entry: -sum(entry[1].values())
    )
    return [
        f'  {name:<18}{counts["panoptic"]:>15,} panoptic'
        f'{counts["coco_stuff"]:>15,} COCO-Stuff'
        for name, counts in largest[:num_classes]
    ]


def _percent(part: int, whole: int) -> str:
    return f'{100 * part / whole:.2f} %' if whole else 'none'


# Counted up when the same download gives another result, so that what an
# older version prepared is not taken for finished.
_MERGE_RULE = 1
# What is written, as a multiple of what is read: 1.24 on 200 images, plus
# what the file system rounds up per file.
_GROWTH = 1.3
_BYTES_PER_BLOCK = 4096


@dataclass(frozen=True)
class PreparedSplit:
    """What a preparation did.

    Attributes:
        report: Content of the merge report, see ``build_merge_report``.
        num_written: Images whose annotations this run wrote; 0 if all was
            there.
        num_unlisted: Image files that the JSON does not list.
    """

    report: dict[str, Any]
    num_written: int
    num_unlisted: int


def prepare_coco(
    source: Path,
    target: Path,
    *,
    splits: Sequence[str] = ('train2017', 'val2017'),
    workers: int = 1,
    copy: bool = False,
    subset: bool = False,
    say: Say = print,
) -> list[PreparedSplit]:
    """Turn the public COCO 2017 download into the package's format.

    Everything is checked before anything is written. What an earlier run
    finished is not made again; the result does not depend on that, nor on
    the number of workers.

    Args:
        source: Folder of the download: ``train2017/``, ``val2017/``,
            ``annotations/`` (panoptic JSON and PNGs, instances JSON) and
            ``stuffthingmaps/``.
        target: Folder to write, see ``DatasetLayout``.
        splits: Which of ``train2017`` and ``val2017``.
        workers: How many processes.
        copy: Copy images and instances JSON rather than link to them.
        subset: Accept another number of images than the official one.
        say: Where to tell what comes next and how much disk it takes.

    Raises:
        FileNotFoundError: If a part of the download is missing.
        FileExistsError: If the target holds something else already.
        OSError: If the disk is too small.
        ValueError: If a file is damaged or does not fit the others.
    """
    if source.resolve() == target.resolve():
        raise ValueError(
            f'source and target are both {source}; the official annotations '
            'would be overwritten, choose another target'
        )
    sources = [CocoSource(source, split) for split in splits]
    for part in sources:
        part.require_layout()
    content = []
    for part in sources:
        say(f'reading {part.panoptic_json}')
        content.append(part.read(subset))
    target.mkdir(parents=True, exist_ok=True)
    write_builtin_vocabulary(VOCABULARY_NAME, target)
    prepared = []
    for part, (official, images) in zip(sources, content, strict=True):
        layout = DatasetLayout(target, part.split)
        split = CocoPreparation(part, layout, official, images, copy=copy)
        records, num_written = split.run(workers, say)
        prepared.append(
            PreparedSplit(
                report=split.report(records),
                num_written=num_written,
                num_unlisted=split.count_unlisted(),
            )
        )
    return prepared


class CocoPreparation(SplitPreparation[CocoImage]):
    """One split of COCO, its two annotations merged.

    Args:
        source: The download.
        layout: Where everything goes.
        official: Content of the panoptic JSON.
        images: The images it lists.
        copy: Copy images and instances JSON rather than link to them.
    """

    verb = 'merge'

    def __init__(
        self,
        source: CocoSource,
        layout: DatasetLayout,
        official: Mapping[str, Any],
        images: Sequence[CocoImage],
        *,
        copy: bool,
    ) -> None:
        subject = {
            'merge_rule': _MERGE_RULE,
            'vocabulary': Vocabulary.load(VOCABULARY_NAME).content_hash,
            'panoptic_json_sha256': source.digest(),
        }
        super().__init__(layout, images, subject)
        self.source = source
        self.official = official
        self.copy = copy

    def image_worker(self) -> Callable[[CocoImage], dict[str, Any]]:
        """Merge one image; its record is its panoptic annotation."""
        return partial(_prepare_image, self.source, self.layout)

    def estimate_bytes(self, todo: Sequence[CocoImage]) -> int:
        """As much as is read, and a bit."""
        panoptic = file_sizes(self.source.panoptic_pngs)
        labels = file_sizes(self.source.stuffthingmaps)
        num_bytes = _GROWTH * sum(
            panoptic[image.png_name] + labels[image.label_name]
            for image in todo
        )
        if todo:
            # two files per image, each half a block on average
            num_bytes += len(todo) * _BYTES_PER_BLOCK
            num_bytes += _GROWTH * self.source.panoptic_json.stat().st_size
        if self.copy:
            num_bytes += self.source.instances_json.stat().st_size
            num_bytes += bytes_to_copy(self.source.images, self.layout.images)
        return int(num_bytes)

    def place_files(self, workers: int) -> None:
        """Link or copy images and instances JSON."""
        place(self.source.images, self.layout.images, self.copy, workers)
        place(
            self.source.instances_json,
            self.layout.instances_json,
            self.copy,
            workers,
        )

    def is_whole(self) -> bool:
        """Whether the merge report is there too."""
        return self.layout.merge_report.is_file() and super().is_whole()

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the merge report and the panoptic JSON."""
        write_json(self.report(records), self.layout.merge_report, indent=1)
        write_json(
            _panoptic_json(self.official, records, self.subject),
            self.layout.panoptic_json,
        )

    def report(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Where the pixels came from."""
        return build_merge_report(
            self.source.split,
            sum(image.size[0] * image.size[1] for image in self.images),
            records,
            _count_kept_segments(self.images),
        )

    def count_unlisted(self) -> int:
        """Image files that the JSON does not list."""
        listed = {image.file_name for image in self.images}
        return len(set(file_sizes(self.source.images)) - listed)


def _prepare_image(
    source: CocoSource, target: DatasetLayout, image: CocoImage
) -> dict[str, Any]:
    """Write the annotations of one image; return its JSON annotation."""
    check_image_file(source.images / image.file_name, image.size)
    panoptic_path = source.panoptic_pngs / image.png_name
    label_path = source.stuffthingmaps / image.label_name
    panoptic_ids = decode_panoptic_png(panoptic_path)
    require_size(panoptic_path, panoptic_ids.shape, image.size)
    stuff_things = read_label_map(label_path)
    require_size(label_path, stuff_things.shape, image.size)
    try:
        semantic = semantic_labels(stuff_things)
    except ValueError as error:
        raise ValueError(f'{label_path}: {error}') from error
    try:
        ids, segments = merge_coco_stuff(
            panoptic_ids, image.segments, stuff_things
        )
    except ValueError as error:
        raise ValueError(f'{panoptic_path}: {error}') from error
    with atomic_path(target.panoptic_pngs / image.png_name) as name:
        encode_panoptic_png(ids, name)
    write_label_map(semantic, target.semantic_pngs / image.label_name)
    labelled = stuff_things != UNLABELLED
    return {
        'image_id': image.id,
        'file_name': image.png_name,
        'segments_info': segments,
        'coco_stuff': {
            'labelled': int(labelled.sum()),
            'covered': int((labelled & (ids != VOID_ID)).sum()),
        },
    }


def semantic_labels(stuff_things: np.ndarray) -> np.ndarray:
    """Turn COCO-Stuff's labels into class indices.

    Args:
        stuff_things: Official stuffthingmap, (H, W) uint8, category id minus
            1, 255 is unlabelled.

    Returns:
        Positions in the vocabulary of 171 classes, (H, W) uint8, 255 is
        ignored.

    Raises:
        ValueError: If a label is none of the 171 classes.
    """
    unknown = np.setdiff1d(np.unique(stuff_things), _known_labels())
    if unknown.size:
        raise ValueError(
            f'labels {unknown.tolist()} are unknown; COCO-Stuff has category '
            'id minus 1 of its 171 classes, and 255'
        )
    return _index_of_label()[stuff_things]


@cache
def _known_labels() -> np.ndarray:
    return np.array([*(i - LABEL_OFFSET for i in fine_categories()), 255])


@cache
def _index_of_label() -> np.ndarray:
    """Class index by label, (256,) uint8, 255 where there is no class."""
    indices = np.full(UNLABELLED + 1, IGNORE_INDEX, np.uint8)
    labels = [category - LABEL_OFFSET for category in fine_categories()]
    indices[labels] = np.arange(len(labels))
    return indices


def _count_kept_segments(images: Sequence[CocoImage]) -> int:
    return sum(
        segment['category_id'] in fine_categories()
        for image in images
        for segment in image.segments
    )


def _panoptic_json(
    official: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    subject: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        'info': {
            'description': 'COCO 2017 panoptic truth over 171 classes: '
            "COCO panoptic, refilled with COCO-Stuff's classes",
            'prepared': dict(subject),
        },
        'licenses': official.get('licenses', []),
        'images': official['images'],
        'annotations': list(annotations),
        'categories': [
            {'id': id_, 'name': name, 'isthing': int(is_thing_id(id_))}
            for id_, name in fine_categories().items()
        ],
    }
