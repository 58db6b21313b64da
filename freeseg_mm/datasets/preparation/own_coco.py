"""Import of one's own data from COCO's panoptic or instances JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from freeseg_mm.structures import Task, Vocabulary
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
from .split_preparation import PreparedSplit, SourceImage
from .target_vocabulary import settle_vocabulary

_LISTS = ('images', 'annotations', 'categories')
_CORNERS = 3  # of the smallest polygon


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
            are annotated, so that the rest has to be ignored.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        FileExistsError: If the target holds something else already.
        ValueError: If a file is damaged or does not fit the others.
    """
    content = read_json(json_path, _LISTS)
    with naming_errors(json_path):
        names = _names_by_id(content['categories'])
        _require_own_ids(content['images'])
        objects: dict[int, list] = {
            image['id']: [] for image in content['images']
        }
        for entry in content['annotations']:
            _require_known(entry, objects, names)
            objects[entry['image_id']].append(entry)
        things = list(names.values())
        vocabulary = _settle(
            options, [*things, rest] if rest else things, things
        )
        label_of = {id_: vocabulary.index(name) for id_, name in names.items()}
        source_images = [
            SourceImage(
                image['id'],
                image['file_name'],
                content={
                    'size': (image['height'], image['width']),
                    'objects': [
                        {
                            'id': entry['id'],
                            'number': number,
                            'label': label_of[entry['category_id']],
                            'iscrowd': entry.get('iscrowd', 0),
                            'segmentation': entry['segmentation'],
                        }
                        for number, entry in enumerate(objects[image['id']], 1)
                    ],
                },
            )
            for image in content['images']
        ]
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
    names: Mapping[int, str],
) -> None:
    for key, known, kind in (
        ('image_id', images, 'images'),
        ('category_id', names, 'categories'),
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
            mask = decode_segmentation(entry['segmentation'], size)
            if mask is None or not mask.any():
                raise ValueError(
                    f'annotation {entry["id"]}: its segmentation is no '
                    'polygon or run-length code of a pixel or more'
                )
            masks[entry['number']] = mask
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


def decode_segmentation(
    segmentation: Any, size: tuple[int, int]
) -> np.ndarray | None:
    """Mask of COCO's polygons or run-length code.

    Args:
        segmentation: List of polygons, each x, y, x, y ..., or an object
            with ``counts`` and ``size``.
        size: Of the image, (H, W).

    Returns:
        (H, W) bool; ``None`` if it is neither.
    """
    if _are_polygons(segmentation):
        code = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
    elif not isinstance(segmentation, dict) or segmentation.get(
        'size'
    ) != list(size):
        return None
    elif isinstance(segmentation.get('counts'), list):
        code = coco_mask.frPyObjects(segmentation, *size)
    elif isinstance(segmentation.get('counts'), str):
        code = segmentation
    else:
        return None
    return coco_mask.decode(code).astype(bool)


def _are_polygons(segmentation: Any) -> bool:
    """Tell a list of polygons, each of three corners or more."""
    return (
        isinstance(segmentation, list)
        and bool(segmentation)
        and all(
            isinstance(polygon, list)
            and len(polygon) >= _CORNERS * 2
            and len(polygon) % 2 == 0
            and all(isinstance(number, int | float) for number in polygon)
            for polygon in segmentation
        )
    )
