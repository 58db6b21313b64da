"""Checks of panoptic and instances JSON files, all findings at once."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pycocotools import mask as mask_utils

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.coco_masks import run_length_code
from freeseg_mm.utils.coco_types import entry_problems, require_unique
from freeseg_mm.utils.files import naming_errors, read_json
from freeseg_mm.utils.panoptic_png import MAX_ID, VOID_ID

_LISTS = ('images', 'annotations', 'categories')
_KEYS = {
    'images': ('id', 'file_name', 'height', 'width'),
    'annotations': ('image_id', 'file_name', 'segments_info'),
    'categories': ('id', 'name'),
}
_SEGMENT_KEYS = ('id', 'category_id')


@dataclass(frozen=True)
class Finding:
    """A broken or missing file.

    Attributes:
        file: Its path.
        reason: Sentence for the user.
    """

    file: str
    reason: str

    def __str__(self) -> str:
        """One line that names the file once."""
        if self.file in self.reason:
            return self.reason
        return f'{self.file}: {self.reason}'


@dataclass
class PanopticJson:
    """Usable content of a panoptic JSON, and its mistakes.

    Attributes:
        content: The file without the entries that have findings.
        reasons: Mistakes, one sentence each.
        without_annotation: Images that no annotation is of; they are not
            read, which is no mistake.
    """

    content: dict[str, list[dict[str, Any]]]
    reasons: list[str] = field(default_factory=list)
    without_annotation: int = 0


def check_panoptic_json(path: Path, vocabulary: Vocabulary) -> PanopticJson:
    """Look through all entries of a panoptic JSON.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON object with the lists of the format.
    """
    content = read_json(path, _LISTS, check_entries=False)
    reasons: list[str] = []
    whole = {key: _complete(content[key], key, reasons) for key in _LISTS}
    categories = _check_categories(whole['categories'], vocabulary, reasons)
    images = _check_images(whole['images'], reasons)
    annotations = _check_annotations(
        whole['annotations'],
        images,
        {entry['id'] for entry in whole['categories']},
        reasons,
    )
    known = {entry['id'] for entry in categories}
    usable = [
        entry
        for entry in annotations
        if all(s['category_id'] in known for s in entry['segments_info'])
    ]
    if len(usable) < len(annotations):
        reasons.append(
            f'{len(annotations) - len(usable)} annotations have segments of '
            'those categories and were not looked at further'
        )
    annotated = {entry['image_id'] for entry in whole['annotations']}
    return PanopticJson(
        {
            'images': list(images.values()),
            'annotations': usable,
            'categories': categories,
        },
        reasons,
        without_annotation=len(images.keys() - annotated),
    )


def _complete(
    entries: list[Any], key: str, reasons: list[str]
) -> list[dict[str, Any]]:
    """The entries that have the keys of their list, of the right types."""
    kept = []
    for place, entry in enumerate(entries):
        problems = list(entry_problems(entry, key, f'{key}[{place}]'))
        if problems:
            reasons += problems
            continue
        missing = [name for name in _KEYS[key] if name not in entry]
        if missing:
            reasons.append(f'{key}[{place}] lacks the keys {missing}')
        else:
            kept.append(entry)
    return kept


def _check_categories(
    categories: list[dict], vocabulary: Vocabulary, reasons: list[str]
) -> list[dict]:
    """The categories that are classes, each once."""
    for key in ('id', 'name'):
        times = Counter(entry[key] for entry in categories)
        for value, count in times.items():
            if count > 1:
                reasons.append(f'{count} categories have the {key} {value!r}')
    unknown = [
        entry['name']
        for entry in categories
        if entry['name'] not in vocabulary.names
    ]
    if unknown:
        reasons.append(
            f'categories {unknown} are not in vocabulary {vocabulary.name!r}'
        )
    return [entry for entry in categories if entry['name'] not in unknown]


def _check_images(
    images: list[dict], reasons: list[str]
) -> dict[int, dict[str, Any]]:
    by_id: dict[int, dict[str, Any]] = {}
    files: set[str] = set()
    for entry in images:
        where = f'image {entry["id"]} ({entry["file_name"]})'
        if entry['id'] in by_id:
            reasons.append(f'{where}: its id is listed before')
            continue
        if entry['file_name'] in files:
            reasons.append(f'{where}: its file is listed before')
        sides = entry['height'], entry['width']
        if min(sides) < 1:
            reasons.append(f'{where}: height and width are {sides}')
            continue
        files.add(entry['file_name'])
        by_id[entry['id']] = entry
    return by_id


def _check_annotations(
    annotations: list[dict],
    images: dict[int, dict[str, Any]],
    category_ids: set[int],
    reasons: list[str],
) -> list[dict]:
    kept = []
    seen: set[int] = set()
    for entry in annotations:
        problems = _annotation_problems(entry, images, category_ids)
        if entry['image_id'] in seen:
            problems.append(
                f'image id {entry["image_id"]} has an annotation before'
            )
        seen.add(entry['image_id'])
        where = f'annotation {entry["file_name"]}'
        reasons += [f'{where}: {problem}' for problem in problems]
        if not problems:
            kept.append(entry)
    return kept


def _annotation_problems(
    entry: dict, images: dict[int, dict[str, Any]], category_ids: set[int]
) -> list[str]:
    problems = []
    if entry['image_id'] not in images:
        problems.append(f'no usable image has its id {entry["image_id"]}')
    infos = entry['segments_info']
    if not all(all(key in info for key in _SEGMENT_KEYS) for info in infos):
        return [*problems, f'a segment lacks one of {list(_SEGMENT_KEYS)}']
    ids = [info['id'] for info in infos]
    twice = sorted(i for i, count in Counter(ids).items() if count > 1)
    if twice:
        problems.append(f'segment ids {twice} are listed more than once')
    outside = [i for i in ids if not VOID_ID < i <= MAX_ID]
    if outside:
        problems.append(
            f'segment ids {outside} are not between 1 and {MAX_ID}, which '
            'a PNG can hold'
        )
    unknown = sorted({info['category_id'] for info in infos} - category_ids)
    if unknown:
        problems.append(f'category ids {unknown} are not in the file')
    return problems


class InstancesJson:
    """The instances JSON that the instance metric reads.

    Args:
        path: The file.
        vocabulary: Its categories have to be things of it, by name.

    Attributes:
        reasons: Mistakes of the file as a whole.

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
        with naming_errors(path):
            self._read(content, vocabulary)

    def _read(
        self, content: dict[str, list[dict]], vocabulary: Vocabulary
    ) -> None:
        require_unique(content['images'], 'id')
        for image in content['images']:
            self._sizes[image['id']] = image['height'], image['width']
        things = vocabulary.things
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
        """Mistakes in the entries of one image.

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
    """Reason that a COCO segmentation gives no mask, ``None`` if it does."""
    if not outline:
        return 'has no segmentation'
    try:
        code = run_length_code(outline, size)
    except ValueError as error:
        return str(error)
    return None if mask_utils.area(code) else 'its mask has no pixel'
