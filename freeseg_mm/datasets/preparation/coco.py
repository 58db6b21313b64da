"""COCO 2017 in the format every dataset of this package has.

The rule that merges COCO's two annotations is in ``coco_merge``.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import (
    bytes_to_copy,
    file_sizes,
    naming_errors,
    place,
    read_json,
    require_files,
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
    panoptic_categories,
)
from .image_ground_truth import ImageGroundTruth, gt_of_labels
from .labelled_split import LabelledSplit
from .split_preparation import (
    DatasetLayout,
    PreparedSplit,
    Say,
    SourceImage,
    SplitPreparation,
    prepare_builtin,
    refuse_source_as_target,
    require_count,
)

NUM_IMAGES = {'train2017': 118_287, 'val2017': 5_000}
# Counted up when the same download gives another result, so that the work
# of an older version is not taken for finished.
_MERGE_RULE = 1
# Bytes written for a byte read: 1.24 on 200 images, plus the rounding of the
# file system per file.
_GROWTH = 1.3
_BYTES_PER_BLOCK = 4096


@dataclass(frozen=True)
class CocoSource:
    """One split of the download.

    Attributes:
        root: Folder with ``train2017/``, ``annotations/`` and
            ``stuffthingmaps/``.
        split: ``train2017`` or ``val2017``.
    """

    root: Path
    split: str

    def __post_init__(self) -> None:
        if self.split not in NUM_IMAGES:
            raise ValueError(
                f'unknown split {self.split!r}; COCO has {list(NUM_IMAGES)}'
            )

    @property
    def images(self) -> Path:
        """Folder of the images."""
        return self.root / self.split

    @property
    def panoptic_json(self) -> Path:
        """Official panoptic JSON, 133 classes."""
        return self.root / 'annotations' / f'panoptic_{self.split}.json'

    @property
    def panoptic_pngs(self) -> Path:
        """Folder of the official panoptic PNGs."""
        return self.root / 'annotations' / f'panoptic_{self.split}'

    @property
    def instances_json(self) -> Path:
        """Official instances JSON."""
        return self.root / 'annotations' / f'instances_{self.split}.json'

    @property
    def stuffthingmaps(self) -> Path:
        """Folder of COCO-Stuff's label PNGs."""
        return self.root / 'stuffthingmaps' / self.split

    def require_layout(self) -> None:
        """Raise FileNotFoundError unless all parts of the split are there."""
        parts = {
            path: path.is_file()
            for path in (self.panoptic_json, self.instances_json)
        }
        for path in (self.images, self.panoptic_pngs, self.stuffthingmaps):
            parts[path] = path.is_dir()
        missing = [str(path) for path, found in parts.items() if not found]
        if missing:
            raise FileNotFoundError(
                f'{self.root} is no whole COCO 2017 download, missing: '
                f'{", ".join(missing)}'
            )

    def digest(self) -> str:
        """SHA-256 of the panoptic JSON, hexadecimal."""
        return hashlib.sha256(self.panoptic_json.read_bytes()).hexdigest()

    def read(self, subset: bool) -> tuple[dict[str, Any], list[SourceImage]]:
        """Read the panoptic JSON and check that all its files are there.

        Args:
            subset: Accept another number of images than the official one.

        Returns:
            The JSON object, and its images in order: their ``labels`` are
            the panoptic PNG and the stuffthingmap, their ``content`` has
            ``size``, (H, W), and the official ``segments``.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If the JSON is not COCO's 133-class panoptic one, or
                has not the official number of images.
        """
        self.require_layout()
        content = read_json(
            self.panoptic_json, ['images', 'annotations', 'categories']
        )
        with naming_errors(self.panoptic_json):
            self._check_categories(content['categories'])
            images = self._pair(content['images'], content['annotations'])
        if not subset and len(images) != NUM_IMAGES[self.split]:
            raise ValueError(
                f'{self.panoptic_json} lists {len(images):,} images but '
                f'{self.split} has {NUM_IMAGES[self.split]:,}; if it is meant '
                'to be a part of COCO, pass --subset'
            )
        for folder, names in (
            (self.images, [image.file_name for image in images]),
            (self.panoptic_pngs, [image.labels[0].name for image in images]),
            (self.stuffthingmaps, [image.labels[1].name for image in images]),
        ):
            require_files(names, file_sizes(folder), folder)
        return content, images

    def read_maps(self, subset: bool) -> list[SourceImage]:
        """List COCO-Stuff's maps and check that their images are there.

        Args:
            subset: Accept another number of images than the official one.

        Raises:
            FileNotFoundError: If a folder or an image is missing.
            ValueError: If there is not the official number of maps, or one
                is not named by an image id.
        """
        for folder in (self.images, self.stuffthingmaps):
            if not folder.is_dir():
                raise FileNotFoundError(f'no folder {folder}')
        maps = sorted(
            name
            for name in file_sizes(self.stuffthingmaps)
            if name.endswith('.png')
        )
        where = str(self.stuffthingmaps)
        require_count(len(maps), NUM_IMAGES[self.split], subset, where)
        odd = [name for name in maps if not Path(name).stem.isdecimal()]
        if odd:
            raise ValueError(
                f'{where} holds {odd[:5]}; maps are named by image ids, as '
                '000000000139.png'
            )
        images = [
            SourceImage(
                int(Path(name).stem),
                f'{Path(name).stem}.jpg',
                (self.stuffthingmaps / name,),
            )
            for name in maps
        ]
        names = [image.file_name for image in images]
        require_files(names, file_sizes(self.images), self.images)
        return images

    @staticmethod
    def _check_categories(categories: list[dict[str, Any]]) -> None:
        for category in categories:
            id_, name = category['id'], category['name']
            expected = panoptic_categories().get(id_)
            if name != expected:
                raise ValueError(
                    f'unknown category id {id_} ({name!r}); expected the 133 '
                    'of COCO panoptic'
                    + (f', where it is {expected!r}' if expected else '')
                )

    def _pair(
        self, images: list[dict[str, Any]], annotations: list[dict[str, Any]]
    ) -> list[SourceImage]:
        by_image = {entry['image_id']: entry for entry in annotations}
        ids = {entry['id'] for entry in images}
        if not len(ids) == len(images) == len(annotations) == len(by_image):
            raise ValueError(
                'expected one annotation per image, got '
                f'{len(images)} images ({len(ids)} ids) and '
                f'{len(annotations)} annotations (of {len(by_image)} images)'
            )
        if ids != set(by_image):
            raise ValueError(
                f'image ids {sorted(ids - set(by_image))[:5]} have no '
                'annotation'
            )
        return [
            SourceImage(
                entry['id'],
                entry['file_name'],
                (
                    self.panoptic_pngs / by_image[entry['id']]['file_name'],
                    self.stuffthingmaps
                    / f'{Path(entry["file_name"]).stem}.png',
                ),
                {
                    'size': (entry['height'], entry['width']),
                    'segments': by_image[entry['id']]['segments_info'],
                },
            )
            for entry in images
        ]


def prepare_coco(
    source: Path,
    target: Path,
    *,
    splits: Sequence[str] = tuple(NUM_IMAGES),
    workers: int = 1,
    copy: bool = False,
    subset: bool = False,
    say: Say = print,
) -> list[PreparedSplit]:
    """Turn the public COCO 2017 download into the package's format.

    Where the download has COCO-Stuff's maps but no folder ``annotations`` at
    all, the maps alone are prepared, for semantic segmentation only: they
    tell no objects apart.

    Everything is checked before anything is written. Work that an earlier
    run finished is not repeated; the result does not depend on that, nor on
    the number of workers.

    Args:
        source: Folder of the download: ``train2017/``, ``val2017/``,
            ``annotations/`` (panoptic JSON and PNGs, instances JSON) and
            ``stuffthingmaps/``.
        target: Folder to write, see ``DatasetLayout``.
        splits: ``train2017``, ``val2017`` or both.
        workers: Number of processes.
        copy: Copy images and instances JSON rather than link to them.
        subset: Accept another number of images than the official one.
        say: Takes a line about the work and the disk space it needs.

    Raises:
        FileNotFoundError: If a part of the download is missing.
        FileExistsError: If the target holds something else already.
        OSError: If the disk is too small.
        ValueError: If a file is damaged or does not fit the others.
    """
    refuse_source_as_target(source, target)
    parts = [CocoSource(source, split) for split in splits]
    layouts = [DatasetLayout(target, split) for split in splits]
    prepared: list[SplitPreparation] = []
    if has_maps_alone(source):
        vocabulary = Vocabulary.load(VOCABULARY_NAME)
        for part, layout in zip(parts, layouts, strict=True):
            prepared.append(
                LabelledSplit(
                    layout,
                    part.read_maps(subset),
                    image_folder=part.images,
                    read_gt=CocoStuffReader(vocabulary.is_thing),
                    vocabulary=vocabulary,
                    tasks=[Task.SEMANTIC],
                    why='there is no annotations folder, so no objects are '
                    'known',
                    source={'dataset': 'coco', 'masks': 'stuffthingmaps'},
                    copy=copy,
                )
            )
    else:
        for part in parts:
            part.require_layout()
        for part, layout in zip(parts, layouts, strict=True):
            say(f'reading {part.panoptic_json}')
            official, images = part.read(subset)
            prepared.append(
                CocoPreparation(part, layout, official, images, copy=copy)
            )
    return prepare_builtin(VOCABULARY_NAME, target, prepared, workers, say)


def has_maps_alone(source: Path) -> bool:
    """Tell whether a download has maps and no ``annotations``."""
    return (source / 'stuffthingmaps').is_dir() and not (
        source / 'annotations'
    ).exists()


@dataclass(frozen=True)
class CocoStuffReader:
    """Reads the semantic ground truth of one image.

    Attributes:
        is_thing: Whether each class of the vocabulary is countable.
    """

    is_thing: tuple[bool, ...]

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """One region a class, an exact crowd if it is a thing's."""
        (path,) = image.labels
        labels = read_label_map(path)
        with naming_errors(path):
            classes = semantic_labels(labels)
        return gt_of_labels(classes, self.is_thing)


class CocoPreparation(SplitPreparation):
    """One split of COCO, its two annotations merged.

    Args:
        source: The download.
        layout: Paths of everything written.
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
        images: Sequence[SourceImage],
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

    def image_worker(self) -> Callable[[SourceImage], dict[str, Any]]:
        """Merge one image; its record is its panoptic annotation."""
        return partial(_prepare_image, self.source.images, self.layout)

    def estimate_bytes(self, todo: Sequence[SourceImage]) -> int:
        """Estimate a little more than is read."""
        panoptic = file_sizes(self.source.panoptic_pngs)
        labels = file_sizes(self.source.stuffthingmaps)
        num_bytes = _GROWTH * sum(
            panoptic[image.labels[0].name] + labels[image.labels[1].name]
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

    def place_files(self) -> None:
        """Link or copy images and instances JSON."""
        place(self.source.images, self.layout.images, self.copy)
        place(
            self.source.instances_json, self.layout.instances_json, self.copy
        )

    def is_whole(self) -> bool:
        """Tell whether the merge report is there too."""
        return self.layout.merge_report.is_file() and super().is_whole()

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the merge report and the panoptic JSON."""
        write_json(self.report(records), self.layout.merge_report, indent=1)
        write_json(
            _panoptic_json(self.official, records, self.subject),
            self.layout.panoptic_json,
        )

    def report(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Count pixels by source."""
        sizes = [image.content['size'] for image in self.images]
        return build_merge_report(
            self.source.split,
            sum(height * width for height, width in sizes),
            records,
            sum(
                segment['category_id'] in fine_categories()
                for image in self.images
                for segment in image.content['segments']
            ),
        )

    def summarize(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Describe the merge report, and count images that are not listed."""
        lines = summarize(self.report(records))
        listed = {image.file_name for image in self.images}
        num_unlisted = len(set(file_sizes(self.source.images)) - listed)
        if num_unlisted:
            lines.append(
                f'  {num_unlisted} image files are not in the JSON: unused'
            )
        return lines


def _prepare_image(
    image_folder: Path, target: DatasetLayout, image: SourceImage
) -> dict[str, Any]:
    """Write the annotations of one image; return its JSON annotation."""
    size = image.content['size']
    check_image_file(image_folder / image.file_name, size)
    panoptic_path, label_path = image.labels
    panoptic_ids = decode_panoptic_png(panoptic_path)
    require_size(panoptic_path, panoptic_ids.shape, size)
    stuff_things = read_label_map(label_path)
    require_size(label_path, stuff_things.shape, size)
    with naming_errors(label_path):
        semantic = semantic_labels(stuff_things)
    with naming_errors(panoptic_path):
        ids, segments = merge_coco_stuff(
            panoptic_ids, image.content['segments'], stuff_things
        )
    encode_panoptic_png(ids, target.panoptic_pngs / image.png_name)
    write_label_map(semantic, target.semantic_pngs / image.png_name)
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
    indices = _index_of_label()[stuff_things]
    unknown = np.unique(stuff_things[indices < 0])
    if unknown.size:
        raise ValueError(
            f'labels {unknown.tolist()} are unknown; COCO-Stuff has category '
            'id minus 1 of its 171 classes, and 255'
        )
    return indices.astype(np.uint8)


@cache
def _index_of_label() -> np.ndarray:
    """Class index by label, (256,) int16, negative where there is none."""
    indices = np.full(UNLABELLED + 1, -1, np.int16)
    labels = [category - LABEL_OFFSET for category in fine_categories()]
    indices[labels] = np.arange(len(labels))
    indices[UNLABELLED] = IGNORE_INDEX
    return indices


def _panoptic_json(
    official: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    subject: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        'info': {
            'description': 'COCO 2017 panoptic ground truth over 171 classes: '
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
    """Describe a merge report in a few lines.

    Args:
        report: Outcome of :func:`build_merge_report`.
        num_classes: Number of the largest classes to list.
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
    largest = sorted(
        report['classes'].items(), key=lambda entry: -sum(entry[1].values())
    )
    return lines + [
        f'  {name:<18}{counts["panoptic"]:>15,} panoptic'
        f'{counts["coco_stuff"]:>15,} COCO-Stuff'
        for name, counts in largest[:num_classes]
    ]


def _percent(part: int, whole: int) -> str:
    return f'{100 * part / whole:.2f} %' if whole else 'none'
