"""What is wrong with the instances JSON of a split."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from freeseg_mm.structures import Vocabulary

from .preparation.files import read_json

_LISTS = ('images', 'annotations', 'categories')


class InstancesJson:
    """The instances JSON that the instance metric reads.

    Args:
        path: The file.
        vocabulary: Its categories have to be things of it, by name.

    Attributes:
        reasons: What is wrong with the file as a whole.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON object with the lists of the format, or
            an entry lacks a key.
    """

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        self.path = path
        content = read_json(path, _LISTS)
        self.reasons: list[str] = []
        self._sizes: dict[int, tuple[int, int]] = {}
        self._objects: dict[int, list[tuple[int, Any]]] = defaultdict(list)
        try:
            self._read(content, vocabulary)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f'{path}: not a COCO instances file ({error!r})'
            ) from error

    def _read(
        self, content: dict[str, list[dict]], vocabulary: Vocabulary
    ) -> None:
        for image in content['images']:
            self._sizes[image['id']] = image['height'], image['width']
        things = {
            name
            for name, is_thing in zip(
                vocabulary.names, vocabulary.is_thing, strict=True
            )
            if is_thing
        }
        categories = {c['id']: c['name'] for c in content['categories']}
        strange = [name for name in categories.values() if name not in things]
        if strange:
            self.reasons.append(
                f'categories {strange} are no things of vocabulary '
                f'{vocabulary.name!r}'
            )
        times = Counter(entry['id'] for entry in content['annotations'])
        wrong = [key for key, count in times.items() if not key or count > 1]
        if wrong:
            self.reasons.append(
                f'annotation ids {wrong[:5]} ({len(wrong)} in all) are 0 or '
                'occur more than once'
            )
        for entry in content['annotations']:
            where = f'annotation {entry["id"]}'
            if entry['image_id'] not in self._sizes:
                self.reasons.append(
                    f'{where}: image id {entry["image_id"]} is not in the file'
                )
                continue
            if entry['category_id'] not in categories:
                self.reasons.append(
                    f'{where}: category id {entry["category_id"]} is not in '
                    'the file'
                )
            self._objects[entry['image_id']].append(
                (entry['id'], entry.get('segmentation'))
            )

    def problems_of(self, image_id: int, size: tuple[int, int]) -> list[str]:
        """What is wrong with the entries of one image.

        Args:
            image_id: Its id in the panoptic JSON.
            size: Its (H, W) there.
        """
        if image_id not in self._sizes:
            return [
                f'image {image_id} of the panoptic JSON is not in the file'
            ]
        problems = []
        if self._sizes[image_id] != size:
            problems.append(
                f'image {image_id} has size {self._sizes[image_id]} (H, W) '
                f'here, {size} in the panoptic JSON'
            )
        for key, outline in self._objects.get(image_id, ()):
            problem = _mask_problem(outline, size)
            if problem:
                problems.append(f'annotation {key}: {problem}')
        return problems


def _mask_problem(outline: Any, size: tuple[int, int]) -> str | None:
    """Why a COCO segmentation gives no mask of an image, or ``None``."""
    if not outline:
        return 'has no segmentation'
    try:
        if isinstance(outline, dict):
            own = tuple(outline['size'])
            if own != size:
                return f'its mask has size {own} (H, W), the image {size}'
            if isinstance(outline['counts'], list):
                outline = mask_utils.frPyObjects(outline, *size)
            area = mask_utils.area(outline)
        else:
            area = mask_utils.area(mask_utils.frPyObjects(outline, *size))
    # pycocotools raises plain exceptions
    except Exception as error:
        return f'its segmentation is unusable ({error})'
    return None if np.sum(area) else 'its mask has no pixel'
