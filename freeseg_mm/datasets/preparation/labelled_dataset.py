"""From label files to a prepared data set: all its splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from freeseg_mm.datasets.preparation.label_report import summarise_labels
from freeseg_mm.datasets.preparation.labelled_split import (
    LabelledSplit,
    SourceImage,
)
from freeseg_mm.datasets.preparation.split_preparation import Say
from freeseg_mm.structures import Task


@dataclass(frozen=True)
class PreparedLabels:
    """What a preparation did.

    Attributes:
        summary: What the split holds, lines to print.
        num_written: Images whose annotations this run wrote; 0 if all was
            there.
    """

    summary: list[str]
    num_written: int


def run_split(
    split: LabelledSplit,
    *,
    workers: int,
    say: Say,
    tasks: Sequence[Task],
    why: str = '',
) -> PreparedLabels:
    """Prepare a split and sum it up.

    Args:
        split: What to prepare.
        workers: How many processes.
        say: Where to tell what comes next.
        tasks: What the labels serve for.
        why: Why not for all tasks.
    """
    records, num_written = split.run(workers, say)
    return PreparedLabels(
        summary=summarise_labels(
            split.layout.split, records, split.vocabulary, tasks, why
        ),
        num_written=num_written,
    )


def refuse_source_as_target(source: Path, target: Path) -> None:
    """Raise ValueError if a download would be written into."""
    if source.resolve() == target.resolve():
        raise ValueError(
            f'source and target are both {source}; the official files would '
            'be overwritten, choose another target'
        )


def require_count(found: int, official: int, subset: bool, where: str) -> None:
    """Raise ValueError unless there are as many images as there should be."""
    if not found:
        raise ValueError(f'{where}: there are no images')
    if not subset and found != official:
        raise ValueError(
            f'{where} has {found:,} images, officially {official:,}; if it '
            'is meant to be a part, pass --subset'
        )


def numbered(
    names: Sequence[str], labels: Sequence[tuple[Path, ...]]
) -> list[SourceImage]:
    """Images with the ids 1, 2, ... in the order given."""
    return [
        SourceImage(index, name, files)
        for index, (name, files) in enumerate(
            zip(names, labels, strict=True), 1
        )
    ]
