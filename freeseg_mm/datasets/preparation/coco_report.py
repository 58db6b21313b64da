"""Where the pixels of the merged COCO truth came from."""

from collections.abc import Iterable, Mapping
from typing import Any

from freeseg_mm.datasets.preparation.coco_categories import fine_categories


def build_merge_report(
    split: str,
    num_pixels: int,
    annotations: Iterable[Mapping[str, Any]],
    num_kept_segments: int,
) -> dict[str, Any]:
    """Count pixels by source, in all and per class.

    Args:
        split: Name of the split.
        num_pixels: Pixels of all its images.
        annotations: Merged annotations.
        num_kept_segments: Official segments whose class is kept.

    Returns:
        A JSON object: ``images``, ``segments``; ``segments_without_pixels``,
        official ones listed in the JSON but absent from the PNG; ``pixels``
        by source; ``coco_stuff``, how many of COCO-Stuff's labelled pixels
        have a segment; ``classes``, pixels by source of each class, in
        vocabulary order.
    """
    annotations = list(annotations)
    segments = [
        segment
        for annotation in annotations
        for segment in annotation['segments_info']
    ]
    classes = {
        category: {'panoptic': 0, 'coco_stuff': 0}
        for category in fine_categories()
    }
    for segment in segments:
        counts = classes[segment['category_id']]
        counts['panoptic'] += segment['area'] - segment['refilled']
        counts['coco_stuff'] += segment['refilled']
    panoptic = sum(counts['panoptic'] for counts in classes.values())
    refilled = sum(counts['coco_stuff'] for counts in classes.values())
    with_panoptic_pixels = sum(
        segment['area'] > segment['refilled'] for segment in segments
    )
    return {
        'split': split,
        'images': len(annotations),
        'segments': len(segments),
        'segments_without_pixels': num_kept_segments - with_panoptic_pixels,
        'pixels': {
            'all': num_pixels,
            'panoptic': panoptic,
            'coco_stuff': refilled,
            'void': num_pixels - panoptic - refilled,
        },
        'coco_stuff': {
            key: sum(entry['coco_stuff'][key] for entry in annotations)
            for key in ('labelled', 'covered')
        },
        'classes': {
            fine_categories()[category]: counts
            for category, counts in classes.items()
        },
    }


def summarise(report: Mapping[str, Any], num_classes: int = 5) -> list[str]:
    """Say in a few lines what a merge report holds.

    Args:
        report: See :func:`build_merge_report`.
        num_classes: How many of the largest classes to list.
    """
    pixels = report['pixels']
    stuff = report['coco_stuff']
    lines = [
        f'{report["split"]}: {report["images"]:,} images, '
        f'{report["segments"]:,} segments',
        '  pixels: '
        + ', '.join(
            f'{_percent(pixels[key], pixels["all"])} {text}'
            for key, text in (
                ('panoptic', 'kept from panoptic'),
                ('coco_stuff', 'refilled from COCO-Stuff'),
                ('void', 'void'),
            )
        ),
        f'  {_percent(stuff["covered"], stuff["labelled"])} of the pixels '
        'that COCO-Stuff labels are covered',
    ]
    if report['segments_without_pixels']:
        lines.append(
            f'  {report["segments_without_pixels"]} official segments have '
            'no pixel in their PNG and were left out'
        )
    return lines + _largest_classes(report['classes'], num_classes)


def _largest_classes(
    classes: Mapping[str, Mapping[str, int]], num_classes: int
) -> list[str]:
    largest = sorted(
        classes.items(), key=lambda entry: -sum(entry[1].values())
    )
    return [
        f'  {name:<18}{counts["panoptic"]:>15,} panoptic'
        f'{counts["coco_stuff"]:>15,} COCO-Stuff'
        for name, counts in largest[:num_classes]
    ]


def _percent(part: int, whole: int) -> str:
    return f'{100 * part / whole:.2f} %' if whole else 'none'
