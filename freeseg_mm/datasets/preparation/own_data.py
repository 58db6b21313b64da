"""Import of one's own data; here from a folder of semantic PNGs.

``own_coco`` imports COCO's JSON files.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import file_sizes, require_file, require_files
from freeseg_mm.utils.image_files import IGNORE_INDEX, read_wide_label_map
from freeseg_mm.utils.names import normal_name, require_visible

from .image_ground_truth import ImageGroundTruth, gt_of_labels
from .labelled_split import LabelledSplit
from .split_preparation import (
    DatasetLayout,
    PreparedSplit,
    Say,
    SourceImage,
    numbered,
    read_list,
)
from .target_vocabulary import settle_vocabulary, write_vocabulary

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
MASK_SUFFIXES = ('.png', '.tif', '.tiff')


@dataclass(frozen=True)
class ImportOptions:
    """Target and manner of an import.

    Attributes:
        target: Folder of the dataset, see ``DatasetLayout``.
        split: Name of the split, ``train`` and ``val`` in the configs.
        unseen: Classes that training may not use; ``None`` leaves it to the
            vocabulary that is there, or marks none.
        workers: Number of processes.
        copy: Copy images rather than link to them.
        say: Takes a line about the work and the disk space it needs.
    """

    target: Path
    split: str = 'train'
    unseen: Sequence[str] | None = None
    workers: int = 1
    copy: bool = False
    say: Say = print


def run_import(
    options: ImportOptions,
    images: Sequence[SourceImage],
    *,
    image_folder: Path,
    read_gt: Callable[[SourceImage], ImageGroundTruth],
    vocabulary: Vocabulary,
    source: Mapping[str, Any],
    tasks: Sequence[Task],
    why: str = '',
    json_path: Path | None = None,
) -> PreparedSplit:
    """Write a split of one's own data in the package's format.

    Args:
        options: Target and manner.
        images: The images to import, in order.
        image_folder: Folder of the images.
        read_gt: Reads the ground truth of an image; sent to other processes.
        vocabulary: The classes.
        source: JSON object of all else that decides the ground truth.
        tasks: Tasks that the labels serve for.
        why: Reason for fewer than all tasks.
        json_path: File that the ground truth is read from, if there is one.

    Raises:
        FileNotFoundError: If an image or a label file is missing.
        FileExistsError: If the target holds something else already.
        ValueError: If there is no image, two would get labels of one name,
            or a file is damaged or does not fit the others.
    """
    if not images:
        raise ValueError(f'{json_path or image_folder}: there are no images')
    _require_own_names(images)
    names = [image.file_name for image in images]
    present = {name: 0 for name in names if (image_folder / name).is_file()}
    require_files(names, present, image_folder)
    layout = DatasetLayout(options.target, options.split)
    _require_apart(layout, images, image_folder, json_path)
    write_vocabulary(options.target, vocabulary)
    digest = json_path and hashlib.sha256(json_path.read_bytes()).hexdigest()
    split = LabelledSplit(
        layout,
        images,
        image_folder=image_folder,
        read_gt=read_gt,
        vocabulary=vocabulary,
        tasks=tasks,
        why=why,
        source={**source, 'json_sha256': digest},
        copy=options.copy,
        num_bytes=json_path.stat().st_size if json_path else 0,
    )
    return split.run(options.workers, options.say)


def _require_apart(
    layout: DatasetLayout,
    images: Sequence[SourceImage],
    image_folder: Path,
    json_path: Path | None,
) -> None:
    """Refuse sources that lie where the results will be written."""
    sources = {image_folder / image.file_name for image in images}
    sources.update(path for image in images for path in image.labels)
    if json_path is not None:
        sources.add(json_path)
    folders = (layout.panoptic_pngs, layout.semantic_pngs)
    written = {path.resolve() for path in folders}
    jsons = (layout.panoptic_json, layout.instances_json)
    files = {path.resolve() for path in jsons}
    for path in sources:
        if path.resolve() in files or path.resolve().parent in written:
            raise ValueError(
                f'{path} would be written over by its own import; choose '
                'another target than the folder of the sources'
            )


def _require_own_names(images: Sequence[SourceImage]) -> None:
    first: dict[str, str] = {}
    for image in images:
        require_visible(image.file_name)
        if first.get(image.png_name) == image.file_name:
            raise ValueError(f'image {image.file_name} is listed twice')
        other = first.setdefault(image.png_name, image.file_name)
        if other != image.file_name:
            raise ValueError(
                f'images {other} and {image.file_name} would both have '
                f'labels {image.png_name}; rename one of them'
            )


@dataclass(frozen=True)
class SemanticReader:
    """Reads the ground truth of one image.

    Attributes:
        is_thing: Whether each class of the vocabulary is countable.
        first_label: Value of the first class; smaller ones are ignored.
        ignore_label: Value that is ignored; ``None`` for the largest that
            the file can hold, 255 or 65535.
    """

    is_thing: tuple[bool, ...]
    first_label: int
    ignore_label: int | None

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """One region a class."""
        (path,) = image.labels
        values = read_wide_label_map(path)
        ignore = self.ignore_label
        if ignore is None:
            ignore = int(np.iinfo(values.dtype).max)
        labels = values.astype(int)
        positions = labels - self.first_label
        ignored = (labels == ignore) | (positions < 0)
        unknown = ~ignored & (positions >= len(self.is_thing))
        if unknown.any():
            last = self.first_label + len(self.is_thing) - 1
            raise ValueError(
                f'{path} has label {labels[unknown].max()}; expected '
                f'{self.first_label} to {last} for the '
                f'{len(self.is_thing)} classes and {ignore} (ignored)'
            )
        few = len(self.is_thing) <= IGNORE_INDEX
        kind = np.uint8 if few else np.uint16
        classes = np.where(ignored, np.iinfo(kind).max, positions)
        return gt_of_labels(classes.astype(kind), self.is_thing)


def import_semantic(
    options: ImportOptions,
    *,
    images: Path,
    masks: Path,
    classes: Path,
    things: Sequence[str] | None = None,
    names: Path | None = None,
    first_label: int = 0,
    ignore_label: int | None = None,
) -> PreparedSplit:
    """Import images and label maps of the same names.

    Args:
        options: Target and manner.
        images: Folder of the images.
        masks: Folder of PNGs or TIFFs of 8 or 16 bits, grey or with a
            palette.
        classes: The classes in the order of their labels: a text file with
            one name a line, or a vocabulary JSON.
        things: Countable classes; default those of a JSON, none of a text
            file.
        names: List of the images to import, one a line; default all.
        first_label: Label of the first class; smaller ones are ignored.
        ignore_label: Label that is ignored; default the largest that a file
            can hold, 255 or 65535.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        FileExistsError: If the target holds something else already.
        ValueError: If a file is damaged or does not fit the others.
    """
    wanted = read_classes(classes, things, options.target.name)
    stems = None if names is None else read_list(names)
    content = list_pairs(images, masks, stems)
    vocabulary = settle_vocabulary(
        options.target, wanted, unseen=options.unseen, in_order=True
    )
    any_thing = any(vocabulary.is_thing)
    return run_import(
        options,
        content,
        image_folder=images,
        read_gt=SemanticReader(vocabulary.is_thing, first_label, ignore_label),
        vocabulary=vocabulary,
        source={
            'dataset': 'own semantic',
            'first_label': first_label,
            'ignore_label': ignore_label,
        },
        tasks=[Task.SEMANTIC] + ([] if any_thing else [Task.PANOPTIC]),
        why='semantic PNGs tell no objects apart'
        if any_thing
        else 'there are no things',
    )


def read_classes(
    path: Path, things: Sequence[str] | None, name: str
) -> Vocabulary:
    """Read a list of classes.

    Args:
        path: A vocabulary JSON, or a text file with one name a line (empty
            lines are left out).
        things: Countable classes; ``None`` for those of a JSON, none of a
            text file.
        name: Name of the vocabulary of a text file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file has no names or makes no vocabulary, or a
            thing is none of its classes.
    """
    require_file(path)
    if path.suffix == '.json':
        vocabulary = Vocabulary.load(path)
    else:
        try:
            lines = path.read_text('utf-8-sig').split('\n')
            names = [line.strip() for line in lines if line.strip()]
            vocabulary = Vocabulary.from_names(names, (), (), name=name)
        except ValueError as error:  # UnicodeDecodeError is one
            raise ValueError(
                f'{path}: {error}; expected UTF-8 text with one class a line'
            ) from error
    if things is None:
        return vocabulary
    things = [normal_name(thing) for thing in things]
    unknown = [thing for thing in things if thing not in vocabulary.names]
    if unknown:
        raise ValueError(f'{path}: things {unknown} are none of its classes')
    flags = tuple(name in things for name in vocabulary.names)
    return replace(vocabulary, is_thing=flags)


def list_pairs(
    images: Path, masks: Path, stems: Sequence[str] | None = None
) -> list[SourceImage]:
    """List images with the PNG or TIFF of the same name.

    Args:
        images: Folder of the images.
        masks: Folder of the label maps.
        stems: Names, without ending, of those to list; ``None`` for all.

    Raises:
        FileNotFoundError: If a folder, a mask of an image or an image of a
            mask is missing.
        ValueError: If a folder has two files of one name.
    """
    found: list[dict[str, str]] = []
    for folder, suffixes in (
        (images, IMAGE_SUFFIXES),
        (masks, MASK_SUFFIXES),
    ):
        if not folder.is_dir():
            raise FileNotFoundError(f'missing folder {folder}')
        by_stem: dict[str, str] = {}
        for name in sorted(file_sizes(folder)):
            if Path(name).suffix.lower() in suffixes:
                other = by_stem.setdefault(Path(name).stem, name)
                if other != name:
                    raise ValueError(
                        f'{folder}: image and labels are paired by their '
                        f'names, but {other} and {name} have one; rename or '
                        'remove one of them'
                    )
        found.append(by_stem)
    ours, theirs = found
    wanted = sorted({*ours, *theirs}) if stems is None else stems
    for present, where, suffix in (
        (theirs, masks, '.png or .tif'),
        (ours, images, '.jpg or the like'),
    ):
        missing = [stem for stem in wanted if stem not in present]
        if missing:
            raise FileNotFoundError(
                f'missing file {where / missing[0]}{suffix}; {len(missing)} '
                f'of {len(wanted)} files are missing there'
            )
    return numbered(
        [ours[stem] for stem in wanted],
        [(masks / theirs[stem],) for stem in wanted],
    )
