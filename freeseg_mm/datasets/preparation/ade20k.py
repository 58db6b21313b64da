"""ADE20K (SceneParse-150) in the format every dataset of this package has."""

from collections.abc import Sequence
from pathlib import Path

from freeseg_mm.structures import Task, Vocabulary

from .ade20k_source import (
    FOLDER,
    NUM_IMAGES,
    AdeGroundTruthReader,
    AdeSource,
    instance_labels,
)
from .labelled_split import (
    LabelledSplit,
    PreparedLabels,
    refuse_source_as_target,
    run_split,
)
from .split_preparation import DatasetLayout, Say
from .target_vocabulary import write_builtin_vocabulary

VOCABULARY_NAME = 'ade20k150'


def prepare_ade20k(
    source: Path,
    target: Path,
    *,
    splits: Sequence[str] = tuple(NUM_IMAGES),
    workers: int = 1,
    copy: bool = False,
    subset: bool = False,
    say: Say = print,
) -> list[PreparedLabels]:
    """Turn the public ADE20K download into the package's format.

    Stuff comes from the semantic PNGs; things from the instance PNGs, which
    win where both say something. What the semantic PNG calls a thing without
    any object there becomes an exact crowd (see
    :class:`~freeseg_mm.structures.Segment`), so that semantic segmentation
    still knows it. Without instance PNGs that is every thing, and no
    instances JSON is written.

    Everything is listed before anything is written. What an earlier run
    finished is not made again; the result does not depend on that, nor on
    the number of workers.

    Args:
        source: ``ADEChallengeData2016`` or the folder it is in.
        target: Folder to write, see ``DatasetLayout``.
        splits: Which of ``training`` and ``validation``.
        workers: How many processes.
        copy: Copy images rather than link to them.
        subset: Accept another number of images than the official one.
        say: Where to tell what comes next and how much disk it takes.

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
    sources = [AdeSource(root, split) for split in splits]
    contents = [part.read(subset) for part in sources]
    target.mkdir(parents=True, exist_ok=True)
    write_builtin_vocabulary(VOCABULARY_NAME, target)
    prepared = []
    for part, images in zip(sources, contents, strict=True):
        has_objects = part.instances.is_dir()
        split = LabelledSplit(
            DatasetLayout(target, part.split),
            images,
            image_folder=part.images,
            read_gt=reader,
            vocabulary=vocabulary,
            has_objects=has_objects,
            source={
                'dataset': 'ade20k',
                'instance_classes': list(reader.label_of_instance.items()),
            },
            copy=copy,
        )
        why = f'no {part.instances}, so nothing tells objects apart'
        prepared.append(
            run_split(
                split,
                workers=workers,
                say=say,
                tasks=list(Task) if has_objects else [Task.SEMANTIC],
                why='' if has_objects else why,
            )
        )
    return prepared
