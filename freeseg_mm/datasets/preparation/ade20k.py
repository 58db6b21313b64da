"""ADE20K (SceneParse-150) in the format every dataset of this package has."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import file_sizes
from freeseg_mm.utils.image_files import (
    IGNORE_INDEX,
    read_label_map,
    require_size,
)
from freeseg_mm.utils.panoptic_png import decode_png

from .image_ground_truth import ImageGroundTruth, gt_of_labels
from .labelled_split import LabelledSplit
from .split_preparation import (
    DatasetLayout,
    PreparedSplit,
    Say,
    SourceImage,
    numbered,
    prepare_builtin,
    refuse_source_as_target,
    require_count,
)

VOCABULARY_NAME = 'ade20k150'
NUM_IMAGES = {'training': 20_210, 'validation': 2_000}
FOLDER = 'ADEChallengeData2016'
# Names under which the table of instance classes is passed on.
MAPPING_NAMES = ('categoryMapping.txt', 'ade20k_instance_catid_mapping.txt')
_OTHER = 0  # of a semantic PNG


def prepare_ade20k(
    source: Path,
    target: Path,
    *,
    splits: Sequence[str] = tuple(NUM_IMAGES),
    workers: int = 1,
    copy: bool = False,
    subset: bool = False,
    say: Say = print,
) -> list[PreparedSplit]:
    """Turn the public ADE20K download into the package's format.

    Stuff comes from the semantic PNGs; things from the instance PNGs, which
    win where both have a label. Pixels of a thing class in the semantic PNG
    that no object covers become an exact crowd (see
    :class:`~freeseg_mm.structures.Segment`), so that semantic segmentation
    still knows them. Without instance PNGs that is every thing, and no
    instances JSON is written.

    Everything is listed before anything is written. Work that an earlier
    run finished is not repeated; the result does not depend on that, nor on
    the number of workers.

    Args:
        source: ``ADEChallengeData2016`` or the folder it is in.
        target: Folder to write, see ``DatasetLayout``.
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
    root = source / FOLDER if (source / FOLDER).is_dir() else source
    for folder in (source, root):
        refuse_source_as_target(folder, target)
    vocabulary = Vocabulary.load(VOCABULARY_NAME)
    reader = AdeGroundTruthReader(
        vocabulary.is_thing, instance_labels(root, vocabulary)
    )
    prepared = []
    for part in (AdeSource(root, split) for split in splits):
        has_objects = part.instances.is_dir()
        prepared.append(
            LabelledSplit(
                DatasetLayout(target, part.split),
                part.read(subset),
                image_folder=part.images,
                read_gt=reader,
                vocabulary=vocabulary,
                tasks=list(Task) if has_objects else [Task.SEMANTIC],
                why=''
                if has_objects
                else f'no {part.instances}, so nothing tells objects apart',
                source={
                    'dataset': 'ade20k',
                    'instance_classes': list(reader.label_of_instance.items()),
                },
                copy=copy,
            )
        )
    return prepare_builtin(VOCABULARY_NAME, target, prepared, workers, say)


@dataclass(frozen=True)
class AdeSource:
    """One split of the download.

    Attributes:
        root: Folder with ``images/``, ``annotations/`` and perhaps
            ``annotations_instance/``.
        split: ``training`` or ``validation``.
    """

    root: Path
    split: str

    @property
    def images(self) -> Path:
        """Folder of the images."""
        return self.root / 'images' / self.split

    @property
    def semantic(self) -> Path:
        """Folder of the semantic PNGs."""
        return self.root / 'annotations' / self.split

    @property
    def instances(self) -> Path:
        """Folder of the instance PNGs."""
        return self.root / 'annotations_instance' / self.split

    def read(self, subset: bool) -> list[SourceImage]:
        """List the images and check that all their files are there.

        Raises:
            FileNotFoundError: If a file or folder is missing.
            ValueError: If there are not as many images as there should be.
        """
        for folder in (self.images, self.semantic):
            if not folder.is_dir():
                raise FileNotFoundError(
                    f'missing folder {folder}; expected {FOLDER} as unpacked '
                    'from the public download'
                )
        suffixes = {self.images: '.jpg', self.semantic: '.png'}
        if self.instances.is_dir():
            suffixes[self.instances] = '.png'
        stems = {
            folder: {
                Path(name).stem
                for name in file_sizes(folder)
                if name.endswith(suffix)
            }
            for folder, suffix in suffixes.items()
        }
        every = sorted(set().union(*stems.values()))
        for folder, found in stems.items():
            for stem in every:
                if stem not in found:
                    raise FileNotFoundError(
                        f'missing file {folder / stem}{suffixes[folder]}; '
                        f'{len(set(every) - found)} of {len(every)} files are '
                        'missing there'
                    )
        require_count(
            len(every), NUM_IMAGES[self.split], subset, str(self.images)
        )
        label_folders = [
            folder for folder in suffixes if folder != self.images
        ]
        return numbered(
            [f'{stem}.jpg' for stem in every],
            [
                tuple(folder / f'{stem}.png' for folder in label_folders)
                for stem in every
            ],
        )


@dataclass(frozen=True)
class AdeGroundTruthReader:
    """Reads the ground truth of one image.

    Attributes:
        is_thing: Whether each class of the vocabulary is countable.
        label_of_instance: Position in the vocabulary by the class id of an
            instance PNG, 1 to 100.
    """

    is_thing: tuple[bool, ...]
    label_of_instance: dict[int, int]

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """Stuff from the semantic PNG, objects from the instance PNG."""
        classes = read_semantic(image.labels[0], len(self.is_thing))
        if len(image.labels) == 1:
            return gt_of_labels(classes, self.is_thing)
        path = image.labels[1]
        values = decode_png(path, ('RGB',), 'instance PNG').astype(int)
        require_size(path, values.shape[:2], classes.shape)
        objects = values[..., 1]
        labels: dict[int, int] = {}
        pairs = np.unique(values[objects > 0][:, :2], axis=0)
        for category, number in pairs.tolist():
            if category not in self.label_of_instance:
                raise ValueError(
                    f'{path}: object {number} has class {category}; expected '
                    f'1 to {len(self.label_of_instance)}'
                )
            if number in labels:
                raise ValueError(
                    f'{path}: object {number} has several classes; expected '
                    'one class to a number'
                )
            labels[number] = self.label_of_instance[category]
        return gt_of_labels(classes, self.is_thing, objects, labels)


def read_semantic(path: Path, num_classes: int) -> np.ndarray:
    """Read a semantic PNG as positions in the vocabulary.

    Returns:
        (H, W) uint8; 0 of the file, 'other', becomes 255, ignored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or has a value beyond the classes.
    """
    labels = read_label_map(path)
    if labels.max() > num_classes:
        raise ValueError(
            f'{path} has label {labels.max()}; expected 0 (other) and 1 to '
            f'{num_classes}'
        )
    return np.where(labels == _OTHER, IGNORE_INDEX, labels - 1).astype(
        np.uint8
    )


def instance_labels(root: Path, vocabulary: Vocabulary) -> dict[int, int]:
    """Positions in the vocabulary of the classes of the instance PNGs.

    They are read from the table that comes with the instance annotations.
    Without it they are the things in the order of the vocabulary, which is
    the content of that table.

    Args:
        root: Folder of the download.
        vocabulary: The 150 classes.

    Raises:
        ValueError: If the table names a class that is no thing, or gives a
            class twice, differently.
    """
    things = [
        index for index, thing in enumerate(vocabulary.is_thing) if thing
    ]
    tables = [
        folder / name
        for folder in (root, root / 'annotations_instance', root.parent)
        for name in MAPPING_NAMES
        if (folder / name).is_file()
    ]
    if not tables:
        return dict(enumerate(things, 1))
    labels: dict[int, int] = {}
    for line in tables[0].read_text('utf-8').splitlines():
        parts = line.split()
        if len(parts) < 2 or not (parts[0] + parts[1]).isdigit():
            continue  # the title
        instance, label = int(parts[0]), int(parts[1]) - 1
        if label not in things:
            raise ValueError(
                f'{tables[0]}: instance class {instance} is class '
                f'{label + 1} of the 150, which is no thing of '
                f'{vocabulary.name}'
            )
        if labels.setdefault(instance, label) != label:
            raise ValueError(
                f'{tables[0]}: instance class {instance} has two classes'
            )
    if len(labels) != len(things):
        raise ValueError(
            f'{tables[0]}: expected {len(things)} instance classes, found '
            f'{len(labels)}; is it the right file?'
        )
    return labels
