"""What a prepared split holds, in a few lines."""

from collections.abc import Mapping, Sequence
from typing import Any

from freeseg_mm.structures import Task, Vocabulary

_MAX_NAMES = 8


def summarise_labels(
    split: str,
    records: Sequence[Mapping[str, Any]],
    vocabulary: Vocabulary,
    tasks: Sequence[Task],
    why: str = '',
) -> list[str]:
    """Say how many images, which classes, and how much is unlabelled.

    Args:
        split: Name of the split.
        records: What ``LabelledSplit`` made of its images.
        vocabulary: The classes.
        tasks: What the labels serve for.
        why: Why not for all tasks.

    Returns:
        Lines to print.
    """
    segments = [
        segment
        for record in records
        for segment in record['annotation']['segments_info']
    ]
    pixels = sum(record['size'][0] * record['size'][1] for record in records)
    labelled = sum(segment['area'] for segment in segments)
    present = {segment['category_id'] - 1 for segment in segments}
    absent = [
        name
        for index, name in enumerate(vocabulary.names)
        if index not in present
    ]
    objects = sum(
        vocabulary.is_thing[segment['category_id'] - 1]
        and not segment['iscrowd']
        for segment in segments
    )
    lines = [
        f'{split}: {len(records):,} images, {len(segments):,} segments, '
        f'{objects:,} of them single objects',
        f'  classes that occur: {len(present)} of {len(vocabulary)}',
        f'  unlabelled: {100 * (1 - labelled / pixels):.2f} % of the pixels',
        f'  serves for: {", ".join(task.value for task in tasks)}'
        + (f' ({why})' if why else ''),
    ]
    if absent:
        more = ', ...' if len(absent) > _MAX_NAMES else ''
        lines[1] += f'; absent: {"; ".join(absent[:_MAX_NAMES])}{more}'
    return lines
