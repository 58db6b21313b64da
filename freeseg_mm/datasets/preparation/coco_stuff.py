"""COCO's semantic labels alone: COCO-Stuff's maps without the annotations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import file_sizes, require_files
from freeseg_mm.utils.image_files import read_label_map

from .coco import semantic_labels
from .coco_merge import VOCABULARY_NAME
from .coco_source import NUM_IMAGES, CocoSource
from .image_ground_truth import ImageGroundTruth, gt_of_labels
from .labelled_split import (
    LabelledSplit,
    PreparedLabels,
    SourceImage,
    refuse_source_as_target,
    require_count,
    run_split,
)
from .split_preparation import DatasetLayout, Say
from .target_vocabulary import write_builtin_vocabulary


def has_maps_alone(source: Path) -> bool:
    """Whether a download has COCO-Stuff's maps and no ``annotations``."""
    return (source / 'stuffthingmaps').is_dir() and not (
        source / 'annotations'
    ).exists()


@dataclass(frozen=True)
class CocoStuffReader:
    """Reads the truth of one image.

    Attributes:
        is_thing: Per class of the vocabulary.
    """

    is_thing: tuple[bool, ...]

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """One region a class, an exact crowd if it is a thing's."""
        (path,) = image.labels
        try:
            classes = semantic_labels(read_label_map(path))
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        return gt_of_labels(classes, self.is_thing)


def prepare_coco_stuff(
    source: Path,
    target: Path,
    *,
    splits: Sequence[str] = tuple(NUM_IMAGES),
    workers: int = 1,
    copy: bool = False,
    subset: bool = False,
    say: Say = print,
) -> list[PreparedLabels]:
    """Turn images and COCO-Stuff's maps into the package's format.

    For semantic segmentation only: the maps tell no objects apart.

    Args:
        source: Folder with ``train2017/``, ``val2017/`` and
            ``stuffthingmaps/``.
        target: Folder to write, see ``DatasetLayout``.
        splits: Which of ``train2017`` and ``val2017``.
        workers: How many processes.
        copy: Copy images rather than link to them.
        subset: Accept another number of images than the official one.
        say: Where to tell what comes next and how much disk it takes.

    Raises:
        FileNotFoundError: If a part is missing.
        FileExistsError: If the target holds something else already.
        OSError: If the disk is too small.
        ValueError: If a file is damaged or does not fit the others.
    """
    refuse_source_as_target(source, target)
    vocabulary = Vocabulary.load(VOCABULARY_NAME)
    parts = [CocoSource(source, split) for split in splits]
    contents = [_read(part, subset) for part in parts]
    target.mkdir(parents=True, exist_ok=True)
    write_builtin_vocabulary(VOCABULARY_NAME, target)
    return [
        run_split(
            LabelledSplit(
                DatasetLayout(target, part.split),
                images,
                image_folder=part.images,
                read_gt=CocoStuffReader(vocabulary.is_thing),
                vocabulary=vocabulary,
                has_objects=False,
                source={'dataset': 'coco', 'masks': 'stuffthingmaps'},
                copy=copy,
            ),
            workers=workers,
            say=say,
            tasks=[Task.SEMANTIC],
            why='there is no annotations folder, so no objects are known',
        )
        for part, images in zip(parts, contents, strict=True)
    ]


def _read(part: CocoSource, subset: bool) -> list[SourceImage]:
    """List the maps of a split and check that their images are there."""
    for folder in (part.images, part.stuffthingmaps):
        if not folder.is_dir():
            raise FileNotFoundError(f'no folder {folder}')
    maps = sorted(
        name
        for name in file_sizes(part.stuffthingmaps)
        if name.endswith('.png')
    )
    where = str(part.stuffthingmaps)
    require_count(len(maps), NUM_IMAGES[part.split], subset, where)
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
            (part.stuffthingmaps / name,),
        )
        for name in maps
    ]
    names = [image.file_name for image in images]
    require_files(names, file_sizes(part.images), part.images)
    return images
