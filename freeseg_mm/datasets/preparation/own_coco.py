"""Import of one's own data from COCO's panoptic or instances JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.coco_masks import annotation_code
from freeseg_mm.utils.coco_types import require_unique
from freeseg_mm.utils.files import naming_errors, read_json
from freeseg_mm.utils.image_files import require_size
from freeseg_mm.utils.panoptic_png import VOID_ID, decode_panoptic_png

from .image_ground_truth import (
    ImageGroundTruth,
    classes_of_segments,
    describe_object,
)
from .own_data import ImportOptions, run_import
from .split_preparation import PreparedSplit, Say, SourceImage
from .target_vocabulary import settle_vocabulary

_LISTS = ('images', 'annotations', 'categories')
_SHOWN = 5


def import_panoptic(
    options: ImportOptions,
    *,
    images: Path,
    json_path: Path,
    pngs: Path,
    things: Sequence[str] | None = None,
) -> PreparedSplit:
    """Import a COCO-panoptic JSON with its PNGs.

    Args:
        options: Target and manner.
        images: Folder that the JSON's image file names start from.
        json_path: The JSON.
        pngs: Folder of the PNGs that it names.
        things: Countable classes; default those with ``isthing``.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        FileExistsError: If the target holds something else already.
        ValueError: If a file is damaged or does not fit the others.
    """
    content = read_json(json_path, _LISTS)
    with naming_errors(json_path):
        names = _names_by_id(content['categories'])
        if things is None:
            things = [
                category['name']
                for category in content['categories']
                if category['isthing']
            ]
        vocabulary = _settle(options, names.values(), things)
        label_of = {id_: vocabulary.index(name) for id_, name in names.items()}
        _require_own_ids(content['images'])
        require_unique(content['annotations'], 'image_id')
        annotations = {a['image_id']: a for a in content['annotations']}
        source_images = [
            _annotated_image(image, annotations, pngs, label_of)
            for image in content['images']
        ]
    return run_import(
        options,
        source_images,
        image_folder=images,
        read_gt=PanopticReader(len(vocabulary)),
        vocabulary=vocabulary,
        source={'dataset': 'own panoptic'},
        tasks=list(Task),
        json_path=json_path,
    )


def import_instances(
    options: ImportOptions,
    *,
    images: Path,
    json_path: Path,
    rest: str | None = 'background',
) -> PreparedSplit:
    """Import a COCO instances JSON; all its categories are things.

    Pixels that no object covers become a stuff class of their own, for a
    mask must learn where its object ends: unlabelled pixels are ignored in
    training.

    Args:
        options: Target and manner.
        images: Folder that the JSON's image file names start from.
        json_path: The JSON.
        rest: Name of the class of the rest; ``None`` where not all objects
            are annotated, or not all have a mask, so that the rest has to
            be ignored.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        FileExistsError: If the target holds something else already.
        ValueError: If a file is damaged or does not fit the others.
    """
    content = read_json(json_path, _LISTS)
    with naming_errors(json_path):
        names = _names_by_id(_without_root(content, options.say))
        things = list(names.values())
        vocabulary = _settle(
            options, [*things, rest] if rest else things, things
        )
        source_images = annotated_images(
            content,
            {id_: vocabulary.index(name) for id_, name in names.items()},
            bool(rest),
            options.say,
        )
    return run_import(
        options,
        source_images,
        image_folder=images,
        read_gt=InstancesReader(
            len(vocabulary), vocabulary.index(rest) if rest else None
        ),
        vocabulary=vocabulary,
        source={'dataset': 'own instances', 'rest': rest},
        tasks=[Task.INSTANCE],
        why='the JSON has objects only'
        + (f'; the rest is {rest!r}' if rest else ''),
        json_path=json_path,
    )


def annotated_images(
    content: Mapping[str, Any],
    label_of: Mapping[int, int],
    has_rest: bool,
    say: Say,
) -> list[SourceImage]:
    """Images of an instances JSON with their objects.

    Args:
        content: Of the JSON.
        label_of: Position in the vocabulary by category id.
        has_rest: Whether what no object covers is a class of its own.
        say: Takes a line about annotations that are left out.

    Returns:
        The images in order, as :class:`InstancesReader` takes them.

    Raises:
        KeyError: If an entry lacks a key.
        ValueError: If an entry is damaged or does not fit the others.
    """
    _require_own_ids(content['images'])
    objects: dict[int, list] = {image['id']: [] for image in content['images']}
    for entry in content['annotations']:
        _require_known(entry, objects, label_of)
    sizes = {i['id']: (i['height'], i['width']) for i in content['images']}
    for entry in _with_codes(content, sizes, has_rest, say):
        objects[entry['image_id']].append(entry)
    return [
        SourceImage(
            image['id'],
            image['file_name'],
            content={
                'size': sizes[image['id']],
                'objects': [
                    {
                        'number': number,
                        'label': label_of[entry['category_id']],
                        'iscrowd': entry.get('iscrowd', 0),
                        'code': entry['code'],
                    }
                    for number, entry in enumerate(objects[image['id']], 1)
                ],
            },
        )
        for image in content['images']
    ]


def _settle(
    options: ImportOptions, names: Iterable[str], things: Iterable[str]
) -> Vocabulary:
    return settle_vocabulary(
        options.target,
        Vocabulary.from_names(names, things, (), name=options.target.name),
        unseen=options.unseen,
    )


def _names_by_id(categories: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Category names by ascending id.

    Raises:
        KeyError: If a category has no id or name.
        ValueError: If there is none, or an id occurs twice.
    """
    names = {category['id']: category['name'] for category in categories}
    if not names or len(names) < len(categories):
        raise ValueError(
            f'expected categories with an id each, got {len(categories)} '
            f'with {len(names)} ids'
        )
    return dict(sorted(names.items()))


def _without_root(
    content: Mapping[str, Any], say: Say
) -> list[dict[str, Any]]:
    """Categories without one that only groups the others, and has no object.

    Roboflow writes such a one, with id 0.
    """
    used = {entry['category_id'] for entry in content['annotations']}
    groups = [c.get('supercategory') for c in content['categories']]
    kept = []
    for category in content['categories']:
        if (
            category['id'] not in used
            and category.get('supercategory') == 'none'
            and category['name'] in groups
        ):
            say(
                f'left out: category {category["name"]!r} (id '
                f'{category["id"]}), which groups others and has no object'
            )
        else:
            kept.append(category)
    return kept


def _with_codes(
    content: Mapping[str, Any],
    sizes: Mapping[int, tuple[int, int]],
    has_rest: bool,
    say: Say,
) -> list[dict[str, Any]]:
    """Annotations with the run-length code of their mask under ``code``.

    Those without a pixel are left out, as by COCO's own tools. Those without
    a segmentation are objects somewhere in the rest.

    Raises:
        ValueError: If a segmentation is damaged, or there is none and the
            rest would be taught as showing no object.
    """
    kept, flat, bare = [], [], []
    for entry in content['annotations']:
        if not entry.get('segmentation'):
            bare.append(entry['id'])
            continue
        code = annotation_code(entry, sizes[entry['image_id']])
        if coco_mask.area(code):
            kept.append({**entry, 'code': code})
        else:
            flat.append(entry['id'])
    if bare and has_rest:
        raise ValueError(
            f'annotations {bare[:_SHOWN]} ({len(bare)} in all) have no '
            'segmentation, so that the class of the rest would cover their '
            'objects; give their masks, or let the rest be ignored '
            '(--ignore-rest), which leaves these annotations out'
        )
    for ids, why in ((flat, 'no pixel'), (bare, 'no segmentation')):
        if ids:
            say(
                f'left out: {len(ids)} annotations with {why}, as '
                f'{ids[:_SHOWN]}'
            )
    return kept


def _require_own_ids(images: Sequence[Mapping[str, Any]]) -> None:
    """Refuse an id of two images; one listed twice is found by its name."""
    files = {(image['id'], image['file_name']): image for image in images}
    require_unique(list(files.values()), 'id')


def _annotated_image(
    image: Mapping[str, Any],
    annotations: Mapping[int, Mapping[str, Any]],
    pngs: Path,
    label_of: Mapping[int, int],
) -> SourceImage:
    if image['id'] not in annotations:
        raise ValueError(f'image {image["file_name"]} has no annotation')
    annotation = annotations[image['id']]
    path = pngs / annotation['file_name']
    if not path.is_file():
        raise FileNotFoundError(f'missing file {path}')
    for segment in annotation['segments_info']:
        if segment['category_id'] not in label_of:
            raise ValueError(
                f'segment {segment["id"]} of {annotation["file_name"]} has '
                f'category id {segment["category_id"]}, which is not among '
                'the categories'
            )
    return SourceImage(
        image['id'],
        image['file_name'],
        (path,),
        {
            'size': (image['height'], image['width']),
            'segments': [
                {
                    'id': segment['id'],
                    'label': label_of[segment['category_id']],
                    'iscrowd': segment.get('iscrowd', 0),
                    'exact': segment.get('exact', 0),
                }
                for segment in annotation['segments_info']
            ],
        },
    )


def _require_known(
    entry: Mapping[str, Any],
    images: Mapping[int, Any],
    categories: Mapping[int, Any],
) -> None:
    for key, known, kind in (
        ('image_id', images, 'images'),
        ('category_id', categories, 'categories'),
    ):
        if entry[key] not in known:
            raise ValueError(
                f'annotation {entry["id"]} has {key} {entry[key]}, which is '
                f'not among the {kind}'
            )


@dataclass(frozen=True)
class PanopticReader:
    """Reads the ground truth of one image.

    Attributes:
        num_classes: Size of the vocabulary.
    """

    num_classes: int

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """Read the segments as they are."""
        (path,) = image.labels
        ids = decode_panoptic_png(path)
        require_size(path, ids.shape, image.content['size'])
        segments = image.content['segments']
        listed = [segment['id'] for segment in segments]
        if len(set(listed)) < len(listed) or VOID_ID in listed:
            raise ValueError(
                f'segment ids {sorted(listed)}; expected each once and none '
                f'{VOID_ID} (void)'
            )
        unknown = np.setdiff1d(ids, [VOID_ID, *listed])
        if unknown.size:
            raise ValueError(
                f'{path}: pixels have segment ids {unknown[:5].tolist()} '
                'that the JSON does not list for this image'
            )
        classes = classes_of_segments(ids, segments, self.num_classes)
        return ImageGroundTruth(ids, segments, classes)


@dataclass(frozen=True)
class InstancesReader:
    """Paints the objects of one image.

    Attributes:
        num_classes: Size of the vocabulary.
        rest: Position in the vocabulary of the pixels that no object
            covers; ``None`` leaves them unlabelled.
    """

    num_classes: int
    rest: int | None

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """Paint small objects over large ones, those over crowds."""
        size = image.content['size']
        masks = {}
        for entry in image.content['objects']:
            mask = coco_mask.decode(entry['code'])
            masks[entry['number']] = mask.astype(bool)
        painted = sorted(
            image.content['objects'],
            key=lambda entry: (
                not entry['iscrowd'],
                -int(masks[entry['number']].sum()),
                entry['number'],
            ),
        )
        ids = np.full(size, VOID_ID, np.int32)
        for entry in painted:
            ids[masks[entry['number']]] = entry['number']
        segments = [
            {
                'id': entry['number'],
                'label': entry['label'],
                'iscrowd': entry['iscrowd'],
            }
            for entry in image.content['objects']
        ]
        if self.rest is not None:
            id_ = len(segments) + 1
            ids[ids == VOID_ID] = id_
            segments.append({'id': id_, 'label': self.rest, 'iscrowd': 0})
        return ImageGroundTruth(
            ids,
            segments,
            classes_of_segments(ids, segments, self.num_classes),
            [
                describe_object(
                    masks[entry['number']], entry['label'], entry['iscrowd']
                )
                for entry in image.content['objects']
            ],
        )
