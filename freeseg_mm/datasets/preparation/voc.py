"""PASCAL VOC 2012 in the format every dataset of this package has."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import file_sizes, require_files
from freeseg_mm.utils.image_files import IGNORE_INDEX, read_label_map

from .image_ground_truth import ImageGroundTruth, gt_of_labels
from .labelled_split import LabelledSplit
from .split_preparation import (
    DatasetLayout,
    PreparedSplit,
    Say,
    SourceImage,
    numbered,
    prepare_builtin,
    read_list,
    refuse_source_as_target,
    require_count,
)

VOCABULARY_NAME = 'voc20'
NUM_IMAGES = {'train': 10_582, 'val': 1_449}
# VOC's own 1,464 training images do not have SBD's labels.
LIST_NAMES = {
    'train': ('train_aug.txt', 'trainaug.txt'),
    'val': ('val.txt',),
}
# With SBD's labels first.
_MASK_FOLDERS = ('SegmentationClassAug', 'SegmentationClass')
_BACKGROUND = 0
_VOID = 255


def find_root(source: Path) -> Path:
    """Find the folder with ``JPEGImages``, given it or one above.

    Raises:
        FileNotFoundError: If it is not there.
    """
    places = [source, source / 'VOC2012', source / 'VOCdevkit' / 'VOC2012']
    for place in places:
        if (place / 'JPEGImages').is_dir():
            return place
    raise FileNotFoundError(
        f'no folder JPEGImages in any of {", ".join(map(str, places))}; '
        'expected VOC2012 as unpacked from the public download'
    )


@dataclass(frozen=True)
class VocSource:
    """The download.

    Attributes:
        root: Folder with ``JPEGImages/``, ``ImageSets/Segmentation/`` and
            ``SegmentationClassAug/`` or ``SegmentationClass/``.
    """

    root: Path

    @property
    def images(self) -> Path:
        """Folder of the images."""
        return self.root / 'JPEGImages'

    @property
    def masks(self) -> Path:
        """Folder of the masks.

        Raises:
            FileNotFoundError: If it is not there.
        """
        for name in _MASK_FOLDERS:
            if (self.root / name).is_dir():
                return self.root / name
        raise FileNotFoundError(
            f'no folder {" or ".join(_MASK_FOLDERS)} in {self.root}'
        )

    def read(self, split: str, subset: bool) -> list[SourceImage]:
        """List the images of a split and check that their files are there.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If there are not as many images as there should be,
                or one is listed twice.
        """
        path = self._find_list(split)
        stems = read_list(path)
        require_count(len(stems), NUM_IMAGES[split], subset, str(path))
        names = [f'{stem}.jpg' for stem in stems]
        masks = [f'{stem}.png' for stem in stems]
        require_files(names, file_sizes(self.images), self.images)
        require_files(masks, file_sizes(self.masks), self.masks)
        return numbered(names, [(self.masks / name,) for name in masks])

    def _find_list(self, split: str) -> Path:
        folder = self.root / 'ImageSets' / 'Segmentation'
        for name in LIST_NAMES[split]:
            if (folder / name).is_file():
                return folder / name
        raise FileNotFoundError(
            f'no list {" or ".join(LIST_NAMES[split])} in {folder}'
            + (
                "; it comes with SBD's augmented masks"
                if split == 'train'
                else ''
            )
        )


@dataclass(frozen=True)
class VocGroundTruthReader:
    """Reads the ground truth of one image.

    Attributes:
        is_thing: Whether each class of the vocabulary is countable.
    """

    is_thing: tuple[bool, ...]

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """One region a class; void is ignored, background is negative."""
        (path,) = image.labels
        labels = read_label_map(path)
        known = (labels <= len(self.is_thing)) | (labels == _VOID)
        if not known.all():
            raise ValueError(
                f'{path} has label {labels[~known].max()}; expected 0 '
                f'(background), 1 to {len(self.is_thing)}, and 255 (void)'
            )
        background = labels == _BACKGROUND
        ignored = background | (labels == _VOID)
        classes = np.where(ignored, IGNORE_INDEX, labels - 1)
        return gt_of_labels(
            classes.astype(np.uint8), self.is_thing, background=background
        )


def prepare_voc(
    source: Path,
    target: Path,
    *,
    splits: Sequence[str] = tuple(NUM_IMAGES),
    workers: int = 1,
    copy: bool = False,
    subset: bool = False,
    say: Say = print,
) -> list[PreparedSplit]:
    """Turn the public VOC 2012 download into the package's format.

    Semantic labels only: the pixels of each class become one exact crowd
    (see :class:`~freeseg_mm.structures.Segment`). Metrics ignore background
    and void; training ignores void, and takes background for a negative.

    Everything is listed before anything is written. Work that an earlier
    run finished is not repeated; the result does not depend on that, nor on
    the number of workers.

    Args:
        source: ``VOC2012``, or ``VOCdevkit``, or the folder it is in.
        target: Folder to write, see ``DatasetLayout``.
        splits: ``train`` (with SBD's), ``val`` or both.
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
    root = find_root(source)
    for folder in (source, root):
        refuse_source_as_target(folder, target)
    vocabulary = Vocabulary.load(VOCABULARY_NAME)
    part = VocSource(root)
    prepared = [
        LabelledSplit(
            DatasetLayout(target, split),
            part.read(split, subset),
            image_folder=part.images,
            read_gt=VocGroundTruthReader(vocabulary.is_thing),
            vocabulary=vocabulary,
            tasks=[Task.SEMANTIC],
            why='the masks tell no objects apart',
            source={'dataset': 'voc', 'masks': part.masks.name},
            copy=copy,
        )
        for split in splits
    ]
    return prepare_builtin(VOCABULARY_NAME, target, prepared, workers, say)
