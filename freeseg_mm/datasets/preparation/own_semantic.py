"""Import of a folder of semantic PNGs and a list of classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import file_sizes, require_file
from freeseg_mm.utils.image_files import IGNORE_INDEX, read_label_map

from .image_ground_truth import ImageGroundTruth, gt_of_labels
from .labelled_split import PreparedLabels, SourceImage, numbered
from .own_data import ImportOptions, require_upright, run_import
from .target_vocabulary import settle_vocabulary

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')


@dataclass(frozen=True)
class SemanticReader:
    """Reads the truth of one image.

    Attributes:
        image_folder: Where the images are.
        is_thing: Per class of the vocabulary.
        first_label: Value of the first class; smaller ones are ignored.
        ignore_label: Value that is ignored.
    """

    image_folder: Path
    is_thing: tuple[bool, ...]
    first_label: int
    ignore_label: int

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """One region a class."""
        require_upright(self.image_folder / image.file_name)
        (path,) = image.labels
        labels = read_label_map(path).astype(int)
        positions = labels - self.first_label
        ignored = (labels == self.ignore_label) | (positions < 0)
        unknown = ~ignored & (positions >= len(self.is_thing))
        if unknown.any():
            last = self.first_label + len(self.is_thing) - 1
            raise ValueError(
                f'{path} has label {labels[unknown].max()}; expected '
                f'{self.first_label} to {last} for the '
                f'{len(self.is_thing)} classes and {self.ignore_label} '
                '(ignored)'
            )
        classes = np.where(ignored, IGNORE_INDEX, positions)
        return gt_of_labels(classes.astype(np.uint8), self.is_thing)


def import_semantic(
    options: ImportOptions,
    *,
    images: Path,
    masks: Path,
    classes: Path,
    things: Sequence[str] | None = None,
    first_label: int = 0,
    ignore_label: int = IGNORE_INDEX,
) -> PreparedLabels:
    """Import images and semantic PNGs of the same names.

    Args:
        options: Where and how.
        images: Folder of the images.
        masks: Folder of 8-bit PNGs, grey or with a palette.
        classes: The classes in the order of their labels: a text file with
            one name a line, or a vocabulary JSON.
        things: Classes that are countable; default what a JSON says, none
            of a text file.
        first_label: Label of the first class; smaller ones are ignored.
        ignore_label: Label that is ignored.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        FileExistsError: If the target holds something else already.
        ValueError: If a file is damaged or does not fit the others.
    """
    wanted = read_classes(classes, things, options.target.name)
    content = list_pairs(images, masks)
    vocabulary = settle_vocabulary(
        options.target, wanted, unseen=options.unseen, in_order=True
    )
    any_thing = any(vocabulary.is_thing)
    return run_import(
        options,
        content,
        image_folder=images,
        read_gt=SemanticReader(
            images, vocabulary.is_thing, first_label, ignore_label
        ),
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
        things: Classes that are countable; ``None`` for what a JSON says,
            none of a text file.
        name: What to call the classes of a text file.

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
            lines = path.read_text('utf-8-sig').splitlines()
            names = [line.strip() for line in lines if line.strip()]
            vocabulary = Vocabulary.from_names(names, (), (), name=name)
        except ValueError as error:  # UnicodeDecodeError is one
            raise ValueError(
                f'{path}: {error}; expected UTF-8 text with one class a line'
            ) from error
    if things is None:
        return vocabulary
    unknown = [thing for thing in things if thing not in vocabulary.names]
    if unknown:
        raise ValueError(f'{path}: things {unknown} are none of its classes')
    flags = tuple(name in things for name in vocabulary.names)
    return replace(vocabulary, is_thing=flags)


def list_pairs(images: Path, masks: Path) -> list[SourceImage]:
    """List images with the PNG of the same name.

    Raises:
        FileNotFoundError: If a folder, a PNG of an image or an image of a
            PNG is missing.
    """
    for folder in (images, masks):
        if not folder.is_dir():
            raise FileNotFoundError(f'missing folder {folder}')
    names = sorted(
        name
        for name in file_sizes(images)
        if Path(name).suffix.lower() in IMAGE_SUFFIXES
    )
    found = {
        Path(name).stem for name in file_sizes(masks) if name.endswith('.png')
    }
    stems = {Path(name).stem for name in names}
    for wanted, present, where, suffix in (
        (stems, found, masks, '.png'),
        (found, stems, images, '.jpg or the like'),
    ):
        missing = sorted(wanted - present)
        if missing:
            raise FileNotFoundError(
                f'missing file {where / missing[0]}{suffix}; {len(missing)} '
                f'of {len(wanted)} files are missing there'
            )
    return numbered(
        names, [(masks / f'{Path(name).stem}.png',) for name in names]
    )
