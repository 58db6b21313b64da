"""Import of a COCO instances JSON alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import read_json
from freeseg_mm.utils.panoptic_png import VOID_ID

from .image_ground_truth import (
    ImageGroundTruth,
    classes_of_segments,
    describe_object,
)
from .labelled_split import PreparedLabels, SourceImage
from .own_data import ImportOptions, require_upright, run_import
from .own_panoptic import names_by_id
from .target_vocabulary import settle_vocabulary

_CORNERS = 3  # of the smallest polygon


@dataclass(frozen=True)
class InstancesReader:
    """Paints the objects of one image.

    Attributes:
        image_folder: Where the images are.
        num_classes: Size of the vocabulary.
        rest: Position in the vocabulary of what no object covers; ``None``
            leaves it unlabelled.
    """

    image_folder: Path
    num_classes: int
    rest: int | None

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """Small objects over large ones, those over crowds."""
        require_upright(self.image_folder / image.file_name)
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
    """Whether it is a list of polygons, each of three corners or more."""
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


def import_instances(
    options: ImportOptions,
    *,
    images: Path,
    json_path: Path,
    rest: str | None = 'background',
) -> PreparedLabels:
    """Import a COCO instances JSON; all its categories are things.

    What no object covers becomes a stuff class of its own, for a mask must
    learn where its object ends: unlabelled pixels are ignored in training.

    Args:
        options: Where and how.
        images: Folder that the JSON's image file names start from.
        json_path: The JSON.
        rest: Name of the class of the rest; ``None`` where not all objects
            are annotated, so that the rest has to be ignored.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        FileExistsError: If the target holds something else already.
        ValueError: If a file is damaged or does not fit the others.
    """
    content = read_json(json_path, ['images', 'annotations', 'categories'])
    try:
        names = names_by_id(content['categories'])
        objects: dict[int, list] = {
            image['id']: [] for image in content['images']
        }
        for entry in content['annotations']:
            _require_known(entry, objects, names)
            objects[entry['image_id']].append(entry)
        things = list(names.values())
        vocabulary = settle_vocabulary(
            options.target,
            Vocabulary.from_names(
                [*things, rest] if rest else things,
                things,
                (),
                name=options.target.name,
            ),
            unseen=options.unseen,
        )
        label_of = {id_: vocabulary.index(name) for id_, name in names.items()}
        source_images = [
            SourceImage(
                image['id'],
                image['file_name'],
                (),
                {
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
    except KeyError as error:
        raise ValueError(
            f'{json_path}: an entry lacks the key {error}'
        ) from error
    except ValueError as error:
        raise ValueError(f'{json_path}: {error}') from error
    return run_import(
        options,
        source_images,
        image_folder=images,
        read_gt=InstancesReader(
            images, len(vocabulary), vocabulary.index(rest) if rest else None
        ),
        vocabulary=vocabulary,
        source={'dataset': 'own instances', 'rest': rest},
        tasks=[Task.INSTANCE],
        why='the JSON has objects only'
        + (f'; the rest is {rest!r}' if rest else ''),
        json_path=json_path,
    )


def _require_known(
    entry: Mapping[str, Any],
    images: Mapping[int, Any],
    names: Mapping[int, str],
) -> None:
    for key, known, what in (
        ('image_id', images, 'images'),
        ('category_id', names, 'categories'),
    ):
        if entry[key] not in known:
            raise ValueError(
                f'annotation {entry["id"]} has {key} {entry[key]}, which is '
                f'not among the {what}'
            )
