"""The generated world: plans of its scenes, and files in COCO format."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from PIL import Image

from freeseg_mm.utils.files import make_folder, read_json, write_json
from freeseg_mm.utils.image_files import write_label_map
from freeseg_mm.utils.masks import segment_box
from freeseg_mm.utils.panoptic_png import encode_panoptic_png
from freeseg_mm.utils.parallel import available_cores, parallel_map
from freeseg_mm.utils.run_lengths import encode_mask

from .classes import shapes_vocabulary, split_thing_name
from .scene import compose_scene

SPLITS = ('train', 'val', 'clip', 'tune')

_NUM_STUFF = (2, 3)
_NUM_THINGS = (2, 4)
# How often a scene shows a second thing of a class it has: two objects of
# one class are what tells instance from semantic segmentation.
_TWIN_PROBABILITY = 0.3

MANIFEST = 'manifest.json'
VOCABULARY = 'vocabulary.json'

# Raised when the same options would draw other bytes than before.
_FORMAT = 3
_LEAST_SIDE = 64
_JPEG_QUALITY = 95
# Odd, so multiples of it are different modulo 2**24: neighbours get unlike
# colours in the id PNG, and ids use all three of its channels.
_ID_STEP = 0x9E3779


@dataclass(frozen=True)
class WorldOptions:
    """Options that decide every byte of the generated data.

    Attributes:
        train: Number of scenes to train FreeSeg on.
        val: Number of scenes to test on.
        clip: Number of scenes whose crops train the miniature CLIP.
        tune: Number of scenes that choices are made on.
        size: Side of the square images in pixels, at least 64.
        seed: Seed, not negative.

    Raises:
        ValueError: If a number is too small.
    """

    train: int = 3000
    val: int = 200
    clip: int = 1500
    tune: int = 200
    size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        least = {**dict.fromkeys(SPLITS, 1), 'size': _LEAST_SIDE, 'seed': 0}
        for field, minimum in least.items():
            value = getattr(self, field)
            if value < minimum:
                raise ValueError(
                    f'{field} is {value}, expected at least {minimum}'
                )


@dataclass(frozen=True)
class ScenePlan:
    """Classes of a scene, decided before any scene is drawn.

    Attributes:
        number: Position in the split, from 1; names the files.
        stuff: Different stuff classes, 2 or 3.
        things: Thing classes from the back to the front, 2 to 5.
        seed: Seed of everything random about the drawing.
    """

    number: int
    stuff: tuple[str, ...]
    things: tuple[str, ...]
    seed: tuple[int, ...]


def generate_shapes(
    out: str | Path,
    options: WorldOptions,
    *,
    workers: int | None = None,
    overwrite: bool = False,
) -> bool:
    """Draw the world and write it as a COCO-panoptic dataset.

    The bytes depend on the options alone, not on the number of workers.
    Besides what every dataset here has, ``out`` gets ``vocabulary.json``
    and ``manifest.json``, which tells a later call what is there.

    Args:
        out: Folder to write; made when absent.
        options: Options of the world.
        workers: Number of processes; ``None`` for one per core.
        overwrite: Replace data of other options, or an unfinished folder,
            that an earlier call wrote.

    Returns:
        Whether anything was written; false if ``out`` already holds the
        complete data of these options.

    Raises:
        FileExistsError: If ``out`` holds anything else.
        OSError: If ``out`` cannot be written.
        ValueError: If there is no worker.
    """
    out = Path(out)
    workers = available_cores() if workers is None else workers
    if workers < 1:
        raise ValueError(f'workers is {workers}, expected at least 1')
    if _is_complete(out, options, overwrite):
        return False
    _prepare_folder(out, options)
    for split in SPLITS:
        _write_split(out, split, options, workers)
    write_json(_vocabulary_file(), out / VOCABULARY, indent=2)
    write_json(_manifest(options, complete=True), out / MANIFEST, indent=2)
    return True


def plan_split(split: str, count: int, seed: int) -> list[ScenePlan]:
    """Deal the classes out to the scenes of a split.

    Classes come from shuffled decks, so that all occur equally often, up to
    chance repeats, however few scenes there are. Unseen classes are dealt
    like all others: hiding their labels is up to the dataset class.

    Args:
        split: One of ``SPLITS``.
        count: Number of scenes.
        seed: Seed of the world.
    """
    stream = SPLITS.index(split)
    rng = np.random.default_rng((seed, stream))
    vocabulary = shapes_vocabulary()
    is_thing = dict(zip(vocabulary.names, vocabulary.is_thing, strict=True))
    things = [name for name in vocabulary.names if is_thing[name]]
    stuff = [name for name in vocabulary.names if not is_thing[name]]
    stuff_hands = _deal(stuff, _NUM_STUFF, rng, kind=str)
    thing_hands = _deal(things, _NUM_THINGS, rng, kind=_colour)
    plans = []
    for number in range(1, count + 1):
        hand = next(thing_hands)
        if rng.random() < _TWIN_PROBABILITY:
            hand.insert(rng.integers(len(hand) + 1), hand[0])
        plans.append(
            ScenePlan(
                number=number,
                stuff=tuple(next(stuff_hands)),
                things=tuple(hand),
                seed=(seed, stream, number),
            )
        )
    return plans


def _colour(thing: str) -> str:
    return split_thing_name(thing)[0]


def _deal(
    names: Sequence[str],
    sizes: tuple[int, int],
    rng: Generator,
    *,
    kind: Callable[[str], str],
) -> Iterator[list[str]]:
    """Hands of different kinds, of a random size, from shuffled decks.

    Things of one scene differ in colour (but for twins): objects of one
    colour that touch take a network far longer to tell apart than this
    benchmark's few minutes.
    """
    cards: list[str] = []
    while True:
        hand: list[str] = []
        for _ in range(rng.integers(sizes[0], sizes[1] + 1)):
            kinds = {kind(card) for card in hand}
            if all(kind(card) in kinds for card in cards):
                cards += [names[i] for i in rng.permutation(len(names))]
            card = next(card for card in cards if kind(card) not in kinds)
            cards.remove(card)
            hand.append(card)
        yield hand


def _manifest(options: WorldOptions, *, complete: bool) -> dict[str, Any]:
    return {
        'generator': 'freeseg_mm shapes',
        'format': _FORMAT,
        'options': asdict(options),
        'complete': complete,
    }


def _vocabulary_file() -> dict[str, Any]:
    vocabulary = shapes_vocabulary()
    names = np.array(vocabulary.names)
    return {
        'name': vocabulary.name,
        'note': 'The generated world of freeseg_mm: colour x figure, '
        'textures. Unseen things are unseen combinations.',
        'classes': names.tolist(),
        'things': names[list(vocabulary.is_thing)].tolist(),
        'unseen': names[~np.array(vocabulary.is_seen)].tolist(),
    }


def _is_complete(out: Path, options: WorldOptions, overwrite: bool) -> bool:
    """Tell whether the data is complete; refuse folders of others."""
    if not out.is_dir() or not any(out.iterdir()):
        return False
    if not (out / MANIFEST).is_file():
        raise FileExistsError(
            f'{out} is not empty and has no {MANIFEST} of generated shapes; '
            'choose a new or empty folder'
        )
    found = read_json(out / MANIFEST)
    wanted = _manifest(options, complete=True)
    if found.get('generator') != wanted['generator']:
        raise FileExistsError(
            f'{out / MANIFEST} is not that of generated shapes; choose a new '
            'or empty folder'
        )
    if found == wanted:
        return True
    if not overwrite:
        state = 'complete' if found.get('complete') else 'unfinished'
        raise FileExistsError(
            f'{out} holds {state} shapes data of options '
            f'{found.get("options")} (format {found.get("format")}), asked '
            f'for are {asdict(options)} (format {_FORMAT}); choose another '
            'folder, or give --overwrite to replace it'
        )
    return False


def _prepare_folder(out: Path, options: WorldOptions) -> None:
    """Remove files of an earlier call; make the folders to write to."""
    try:
        make_folder(out)
        write_json(
            _manifest(options, complete=False), out / MANIFEST, indent=2
        )
    except OSError as error:
        raise OSError(
            f'cannot write to {out}: {error.strerror}; choose another folder'
        ) from error
    (out / VOCABULARY).unlink(missing_ok=True)
    for folder in ('annotations', *SPLITS):
        if (out / folder).is_dir():
            shutil.rmtree(out / folder)
    for split in SPLITS:
        for target in _folders(out, split):
            target.mkdir(parents=True)


def _folders(out: Path, split: str) -> tuple[Path, Path, Path]:
    """Folders of images, panoptic PNGs and semantic PNGs."""
    annotations = out / 'annotations'
    return (
        out / split,
        annotations / f'panoptic_{split}',
        annotations / f'semantic_{split}',
    )


def _write_split(
    out: Path, split: str, options: WorldOptions, workers: int
) -> None:
    plans = plan_split(split, getattr(options, split), options.seed)
    records = parallel_map(
        partial(_write_scene, out, split, options.size),
        plans,
        workers=workers,
        description=f'drawing {split}',
        name=_scene_name,
    )
    annotations, instances = zip(*records, strict=True)
    vocabulary = shapes_vocabulary()
    categories = [
        {'id': label + 1, 'name': name, 'isthing': int(is_thing)}
        for label, (name, is_thing) in enumerate(
            zip(vocabulary.names, vocabulary.is_thing, strict=True)
        )
    ]
    images = [
        {
            'id': plan.number,
            'file_name': f'{plan.number:06d}.jpg',
            'height': options.size,
            'width': options.size,
        }
        for plan in plans
    ]
    content: dict[str, Any] = {
        'images': images,
        'annotations': annotations,
        'categories': categories,
    }
    write_json(content, out / 'annotations' / f'panoptic_{split}.json')
    content['annotations'] = [
        {'id': number, **instance}
        for number, instance in enumerate(chain.from_iterable(instances), 1)
    ]
    content['categories'] = [
        {'id': category['id'], 'name': category['name']}
        for category in categories
        if category['isthing']
    ]
    write_json(content, out / 'annotations' / f'instances_{split}.json')


def _scene_name(plan: ScenePlan) -> str:
    return f'scene {plan.number}'


def _write_scene(
    out: Path, split: str, side: int, plan: ScenePlan
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Draw and write a scene; give its panoptic and instance annotations."""
    scene = compose_scene(
        plan.stuff, plan.things, side, np.random.default_rng(plan.seed)
    )
    image_folder, panoptic_folder, semantic_folder = _folders(out, split)
    Image.fromarray(scene.image).save(
        image_folder / f'{plan.number:06d}.jpg',
        quality=_JPEG_QUALITY,
        subsampling=0,
    )
    vocabulary = shapes_vocabulary()
    labels = np.array(
        [vocabulary.index(name) for name in scene.names], np.uint8
    )
    ids = _ID_STEP * np.arange(1, len(scene.names) + 1) % 2**24
    name = f'{plan.number:06d}.png'
    encode_panoptic_png(ids[scene.segments], panoptic_folder / name)
    write_label_map(labels[scene.segments], semantic_folder / name)
    segments, instances = [], []
    for index, (label, id_) in enumerate(zip(labels, ids, strict=True)):
        mask = scene.segments == index
        segment = {
            'category_id': int(label) + 1,
            'area': int(mask.sum()),
            'bbox': segment_box(mask),
            'iscrowd': 0,
        }
        segments.append({'id': int(id_), **segment})
        if index >= len(plan.stuff):
            instances.append(
                {
                    'image_id': plan.number,
                    **segment,
                    'segmentation': encode_mask(mask),
                }
            )
    annotation = {
        'image_id': plan.number,
        'file_name': name,
        'segments_info': segments,
    }
    return annotation, instances
