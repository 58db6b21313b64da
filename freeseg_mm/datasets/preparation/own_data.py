"""What importing one's own data shares, whatever it is like."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import require_files

from .image_ground_truth import ImageGroundTruth
from .labelled_split import (
    LabelledSplit,
    PreparedLabels,
    SourceImage,
    run_split,
)
from .split_preparation import DatasetLayout, Say
from .target_vocabulary import write_vocabulary

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = 1


@dataclass(frozen=True)
class ImportOptions:
    """Where an import goes, and how.

    Attributes:
        target: Folder of the data set, see ``DatasetLayout``.
        split: Name of the split, ``train`` and ``val`` in the configs.
        unseen: Classes that training may not use; ``None`` leaves it to the
            vocabulary that is there, or marks none.
        workers: How many processes.
        copy: Copy images rather than link to them.
        say: Where to tell what comes next and how much disk it takes.
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
) -> PreparedLabels:
    """Write a split of one's own data in the package's format.

    Args:
        options: Where and how.
        images: What is imported, in order.
        image_folder: Where the images are.
        read_gt: Reads the truth of an image; sent to other processes.
        vocabulary: The classes.
        source: JSON object that names what else decides the truth.
        tasks: What the labels serve for.
        why: Why not for all tasks.
        json_path: File that the truth is read from, if there is one.

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
    write_vocabulary(options.target, vocabulary)
    digest = json_path and hashlib.sha256(json_path.read_bytes()).hexdigest()
    split = LabelledSplit(
        DatasetLayout(options.target, options.split),
        images,
        image_folder=image_folder,
        read_gt=read_gt,
        vocabulary=vocabulary,
        has_objects=Task.INSTANCE in tasks,
        source={**source, 'json_sha256': digest},
        copy=options.copy,
        num_bytes=json_path.stat().st_size if json_path else 0,
    )
    return run_split(
        split, workers=options.workers, say=options.say, tasks=tasks, why=why
    )


def require_upright(path: Path) -> None:
    """Refuse an image that a viewer turns.

    Training turns it too, and nothing says whether its labels were drawn
    before or after.

    Raises:
        ValueError: If its EXIF data has an orientation.
    """
    try:
        with Image.open(path) as image:
            orientation = image.getexif().get(_EXIF_ORIENTATION, _UPRIGHT)
    except (OSError, SyntaxError, ValueError):
        return  # the check of the image itself says what is wrong
    if orientation != _UPRIGHT:
        raise ValueError(
            f'image {path} has EXIF orientation {orientation}, so programs '
            'disagree about which side is up; turn it for good (for example '
            'with PIL.ImageOps.exif_transpose) so that it fits its labels'
        )


def _require_own_names(images: Sequence[SourceImage]) -> None:
    first: dict[str, str] = {}
    for image in images:
        if first.get(image.png_name) == image.file_name:
            raise ValueError(f'image {image.file_name} is listed twice')
        other = first.setdefault(image.png_name, image.file_name)
        if other != image.file_name:
            raise ValueError(
                f'images {other} and {image.file_name} would both have '
                f'labels {image.png_name}; rename one of them'
            )
