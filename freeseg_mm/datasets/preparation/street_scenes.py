"""Cityscapes and Mapillary Vistas in the format of every dataset.

Both number the objects of a street scene in a 16-bit PNG, in which a pixel
also tells its label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import (
    file_sizes,
    naming_errors,
    read_json,
    require_files,
)
from freeseg_mm.utils.image_files import IGNORE_INDEX, read_wide_label_map

from .image_ground_truth import ImageGroundTruth, gt_of_labels
from .labelled_split import LabelledSplit
from .own_data import list_pairs
from .split_preparation import (
    DatasetLayout,
    PreparedSplit,
    Say,
    SourceImage,
    numbered,
    refuse_source_as_target,
    require_count,
)
from .target_vocabulary import named_in_target, write_vocabulary

CITYSCAPES_IMAGES = {'train': 2_975, 'val': 500}
MAPILLARY_IMAGES = {'training': 18_000, 'validation': 2_000}
# Labels of the official PNGs, in the order of the vocabulary
CITYSCAPES_LABELS = (
    *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23),
    *(24, 25, 26, 27, 28, 31, 32, 33),
)
_CITY_IMAGE, _CITY_OBJECTS = '_leftImg8bit.png', '_gtFine_instanceIds.png'
# Below a split, and beside the splits; v1.2 came alone before v2.0
_INSTANCES = {
    'v1.2': ('v1.2/instances', 'instances'),
    'v2.0': ('v2.0/instances',),
}
_CONFIGS = {
    'v1.2': ('config_v1.2.json', 'config.json'),
    'v2.0': ('config_v2.0.json',),
}
_NUM_CODES = 1 << 16


@dataclass(frozen=True)
class StreetSceneReader:
    """Reads the ground truth of one image.

    Attributes:
        is_thing: Whether each class of the vocabulary is countable.
        class_of_label: Position in the vocabulary by label; other labels
            are ignored.
        factor: A pixel is its label times this, plus the object's number.
        lone_labels: Whether a pixel below ``factor`` is a label alone, of no
            object that was told apart.
    """

    is_thing: tuple[bool, ...]
    class_of_label: Mapping[int, int]
    factor: int
    lone_labels: bool

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """One segment an object, else one a class."""
        (path,) = image.labels
        values = read_wide_label_map(path)
        classes = np.full(_NUM_CODES, IGNORE_INDEX, np.uint8)
        objects = np.zeros(_NUM_CODES, np.int32)
        labels = {}
        for code in np.flatnonzero(np.bincount(values.ravel())).tolist():
            is_lone = self.lone_labels and code < self.factor
            label = code if is_lone else code // self.factor
            place = self.class_of_label.get(label)
            if place is None:
                continue
            classes[code] = place
            if self.is_thing[place] and not is_lone:
                objects[code] = code + 1  # Mapillary counts from 0
                labels[code + 1] = place
        return gt_of_labels(
            classes[values], self.is_thing, objects[values], labels
        )


def prepare_cityscapes(
    source: Path,
    target: Path,
    *,
    splits: Sequence[str] = tuple(CITYSCAPES_IMAGES),
    workers: int = 1,
    copy: bool = False,
    subset: bool = False,
    say: Say = print,
) -> list[PreparedSplit]:
    """Turn the public Cityscapes download into the package's format.

    The 19 classes that are evaluated, 8 of them things; other labels are
    ignored. A thing's pixels without a number, as of a group, become an
    exact crowd (see :class:`~freeseg_mm.structures.Segment`).

    A vocabulary that lies in the target already is kept if it has as many
    classes and the same things: names and synonyms are free.

    Everything is listed before anything is written. Work that an earlier
    run finished is not repeated; the result does not depend on that, nor on
    the number of workers.

    Args:
        source: Folder with ``leftImg8bit/`` and ``gtFine/``.
        target: Folder to write, see ``DatasetLayout``.
        splits: ``train``, ``val`` or both.
        workers: Number of processes.
        copy: Copy images rather than link to them.
        subset: Accept another number of images than the official one.
        say: Takes a line about the work and the disk space it needs.

    Raises:
        FileNotFoundError: If a part of the download is missing.
        FileExistsError: If the target holds something else already.
        OSError: If the disk is too small.
        ValueError: If a file is damaged or does not fit the others.
    """
    refuse_source_as_target(source, target)
    vocabulary = named_in_target(target, Vocabulary.load('cityscapes19'))
    folders = {split: source / 'leftImg8bit' / split for split in splits}
    images = {split: _city_images(source, split) for split in splits}
    for split, found in images.items():
        where = str(folders[split])
        require_count(len(found), CITYSCAPES_IMAGES[split], subset, where)
    labels = {label: place for place, label in enumerate(CITYSCAPES_LABELS)}
    reader = StreetSceneReader(vocabulary.is_thing, labels, 1000, True)
    return [
        part.run(workers, say)
        for part in _parts(
            'cityscapes', target, folders, images, vocabulary, reader, copy
        )
    ]


def _city_images(source: Path, split: str) -> list[SourceImage]:
    """Images of all cities of a split, each with its instance PNG."""
    images, labels = (
        source / name / split for name in ('leftImg8bit', 'gtFine')
    )
    for folder in (images, labels):
        if not folder.is_dir():
            raise FileNotFoundError(
                f'missing folder {folder}; expected leftImg8bit and gtFine '
                'as unpacked from the public download'
            )
    names: list[str] = []
    paths: list[tuple[Path, ...]] = []
    for city in sorted(folder.name for folder in images.iterdir()):
        stems = [
            name.removesuffix(_CITY_IMAGE)
            for name in sorted(file_sizes(images / city))
            if name.endswith(_CITY_IMAGE)
        ]
        objects = [stem + _CITY_OBJECTS for stem in stems]
        require_files(objects, file_sizes(labels / city), labels / city)
        names += [f'{city}/{stem}{_CITY_IMAGE}' for stem in stems]
        paths += [(labels / city / name,) for name in objects]
    return numbered(names, paths)


def prepare_mapillary(
    source: Path,
    target: Path,
    *,
    version: str,
    splits: Sequence[str] = tuple(MAPILLARY_IMAGES),
    workers: int = 1,
    copy: bool = False,
    subset: bool = False,
    say: Say = print,
) -> list[PreparedSplit]:
    """Turn the public download of Mapillary Vistas into the package's format.

    Classes, and which of them are things, are read from the JSON that comes
    with the labels; those that it does not evaluate are ignored. For the
    rest see :func:`prepare_cityscapes`.

    Args:
        source: Folder with ``training/``, ``validation/`` and the JSON.
        target: Folder to write, see ``DatasetLayout``.
        version: Of the labels, ``v1.2`` or ``v2.0``.
        splits: ``training``, ``validation`` or both.
        workers: Number of processes.
        copy: Copy images rather than link to them.
        subset: Accept another number of images than the official one.
        say: Takes a line about the work and the disk space it needs.

    Raises:
        FileNotFoundError: If a part of the download is missing.
        FileExistsError: If the target holds something else already.
        OSError: If the disk is too small.
        ValueError: If a file is damaged or does not fit the others.
    """
    refuse_source_as_target(source, target)
    wanted, labels = _mapillary_classes(_first(source, _CONFIGS[version]))
    vocabulary = named_in_target(target, wanted)
    folders = {split: source / split / 'images' for split in splits}
    images = {
        split: list_pairs(folder, _first(source / split, _INSTANCES[version]))
        for split, folder in folders.items()
    }
    for split, found in images.items():
        where = str(folders[split])
        require_count(len(found), MAPILLARY_IMAGES[split], subset, where)
    reader = StreetSceneReader(vocabulary.is_thing, labels, 256, False)
    return [
        part.run(workers, say)
        for part in _parts(
            f'mapillary {version}',
            target,
            folders,
            images,
            vocabulary,
            reader,
            copy,
        )
    ]


def _first(folder: Path, names: Sequence[str]) -> Path:
    """First of some files or folders that exists."""
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(
        f'no {" or ".join(names)} in {folder}; expected Mapillary Vistas as '
        'unpacked from the public download'
    )


def _mapillary_classes(path: Path) -> tuple[Vocabulary, dict[int, int]]:
    """Read the classes that are evaluated, and their positions by label."""
    listed = read_json(path, ['labels'], check_entries=False)['labels']
    with naming_errors(path):
        if not all(isinstance(entry, dict) for entry in listed):
            raise ValueError("expected 'labels' to be a list of objects")
        labels = [i for i, entry in enumerate(listed) if entry['evaluate']]
        vocabulary = Vocabulary.from_names(
            [listed[label]['readable'] for label in labels],
            [
                listed[label]['readable']
                for label in labels
                if listed[label]['instances']
            ],
            (),
            name='mapillary',
        )
    return vocabulary, {label: i for i, label in enumerate(labels)}


def _parts(
    name: str,
    target: Path,
    folders: Mapping[str, Path],
    images: Mapping[str, Sequence[SourceImage]],
    vocabulary: Vocabulary,
    reader: StreetSceneReader,
    copy: bool,
) -> list[LabelledSplit]:
    """The splits to run; writes the vocabulary."""
    write_vocabulary(target, vocabulary)
    return [
        LabelledSplit(
            DatasetLayout(target, split),
            found,
            image_folder=folders[split],
            read_gt=reader,
            vocabulary=vocabulary,
            tasks=list(Task),
            source={'dataset': name},
            copy=copy,
        )
        for split, found in images.items()
    ]
