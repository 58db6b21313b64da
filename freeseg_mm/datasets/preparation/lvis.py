"""LVIS v1 in the format every dataset of this package has."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.structures.vocabulary_file import share_out_names
from freeseg_mm.utils.files import naming_errors, read_json, require_file
from freeseg_mm.utils.names import shown

from .labelled_split import LabelledSplit
from .own_coco import InstancesReader, annotated_images
from .split_preparation import (
    DatasetLayout,
    PreparedSplit,
    Say,
    refuse_source_as_target,
    require_count,
)
from .target_vocabulary import named_in_target, write_vocabulary

NUM_IMAGES = {'train': 100_170, 'val': 19_809}
_LISTS = ('images', 'annotations', 'categories')
_ADDRESS = r'/((?:train|val)2017/[\w-]+\.jpg)$'
_SEARCHED = ('neg_category_ids', 'not_exhaustive_category_ids')


def prepare_lvis(
    source: Path,
    target: Path,
    *,
    splits: Sequence[str] = tuple(NUM_IMAGES),
    workers: int = 1,
    copy: bool = False,
    subset: bool = False,
    say: Say = print,
) -> list[PreparedSplit]:
    """Turn LVIS v1 and the images of COCO into the package's format.

    All 1,203 classes are things, for instance segmentation only; pixels that
    no object covers are unlabelled. The instances JSON has whole objects,
    and what ``OpenVocabLvisMetric`` needs: the classes that each image was
    searched for, and how frequent each class is.

    A vocabulary that lies in the target already is kept if it has as many
    classes: names and synonyms are free.

    Everything is listed before anything is written. Work that an earlier
    run finished is not repeated; the result does not depend on that, nor on
    the number of workers.

    Args:
        source: Folder of COCO with ``train2017/`` and ``val2017/``, of which
            either split of LVIS has images, and ``lvis_v1_train.json`` and
            ``lvis_v1_val.json``, there or in ``annotations/``.
        target: Folder to write, see ``DatasetLayout``.
        splits: ``train``, ``val`` or both.
        workers: Number of processes.
        copy: Copy images rather than link to them.
        subset: Accept another number of images than the official one.
        say: Takes a line about the work and the disk space it needs.

    Raises:
        FileNotFoundError: If a part of the download is missing.
        FileExistsError: If the target holds something else already.
        OSError: If the disk is too small.
        ValueError: If a file is damaged or does not fit the others.
    """
    refuse_source_as_target(source, target)
    parts = [
        _read(source, target, split, copy=copy, subset=subset, say=say)
        for split in splits
    ]
    for part in parts:
        write_vocabulary(target, part.vocabulary)
    return [part.run(workers, say) for part in parts]


def _read(
    source: Path,
    target: Path,
    split: str,
    *,
    copy: bool,
    subset: bool,
    say: Say,
) -> LabelledSplit:
    """Read a split and check that all its images are there."""
    path = _find_json(source, f'lvis_v1_{split}.json')
    say(f'reading {path}')
    content = read_json(path, _LISTS)
    with naming_errors(path):
        images = content['images']
        require_count(len(images), NUM_IMAGES[split], subset, str(path))
        for image in images:
            image['file_name'] = _file_name(image, source)
        categories = sorted(content['categories'], key=lambda each: each['id'])
        vocabulary = named_in_target(target, _vocabulary(categories))
        label_of = {each['id']: i for i, each in enumerate(categories)}
        notes = {
            'images': {
                image['id']: _searched(image, label_of) for image in images
            },
            'categories': {
                label_of[each['id']] + 1: {'frequency': each['frequency']}
                for each in categories
            },
        }
        annotated = annotated_images(content, label_of, False, say)
    return LabelledSplit(
        DatasetLayout(target, split),
        annotated,
        image_folder=source,
        read_gt=InstancesReader(len(vocabulary), None),
        vocabulary=vocabulary,
        tasks=[Task.INSTANCE],
        why='of an image some classes are annotated',
        source={
            'dataset': 'lvis',
            'json_sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
        },
        copy=copy,
        num_bytes=path.stat().st_size,
        notes=notes,
    )


def _find_json(source: Path, name: str) -> Path:
    for path in (source / name, source / 'annotations' / name):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f'no {name} in {source} or its annotations/; expected LVIS v1 beside '
        "COCO's train2017 and val2017"
    )


def _file_name(image: Mapping[str, Any], source: Path) -> str:
    """Folder and name of an image among COCO's, by its address.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If the address is of another form.
    """
    url = image['coco_url']
    found = isinstance(url, str) and re.search(_ADDRESS, url)
    if not found:
        raise ValueError(
            f'image {image["id"]}: coco_url is {shown(url)}, expected it to '
            'end in train2017/NAME.jpg or val2017/NAME.jpg'
        )
    require_file(source / found[1])
    return found[1]


def _searched(
    image: Mapping[str, Any], label_of: Mapping[int, int]
) -> dict[str, list[int]]:
    """The two lists of classes of an image, as ids of ours.

    Raises:
        ValueError: If they are no lists of category ids.
    """
    for key in _SEARCHED:
        ids = image[key]
        if not isinstance(ids, list) or not all(
            type(id_) is int and id_ in label_of for id_ in ids
        ):
            raise ValueError(
                f'image {image["id"]}: {key} is {shown(ids)}, expected a list '
                f'of ids of the {len(label_of)} categories'
            )
    return {
        key: [label_of[id_] + 1 for id_ in image[key]] for key in _SEARCHED
    }


def _vocabulary(categories: Sequence[Mapping[str, Any]]) -> Vocabulary:
    """Names of the classes as words, each meaning one of them."""
    names = {}
    for place, each in enumerate(categories):
        also = each['synonyms']
        if not isinstance(also, list) or not all(
            isinstance(text, str) for text in also
        ):
            raise ValueError(
                f'category {each["id"]}: synonyms are {shown(also)}, expected '
                'a list of text'
            )
        names[place] = [x.replace('_', ' ') for x in (each['name'], *also)]
    classes, _ = share_out_names(names)
    return Vocabulary.from_names(classes, None, (), dict(classes), name='lvis')
