"""Small scenes in the layouts of the data sets that networks transfer to.

Each function writes one, and gives the names of classes that it shows, by
pixel, and its objects: what is there, not how a file says it.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

__all__ = [
    'write_ade20k847',
    'write_cityscapes',
    'write_context459',
    'write_context59',
    'write_lvis',
    'write_mapillary',
]

SIZE = (8, 12)
# of a scene: a left and a right half below a sky, two things, one of no class
SKY, LEFT, RIGHT = np.s_[:3], np.s_[3:, :6], np.s_[3:, 6:]
FIRST, SECOND, REST = np.s_[4:7, 1:3], np.s_[4:7, 3:5], np.s_[5:8, 7:10]
NOTHING = np.s_[:1, :4]


def mask_of(place):
    mask = np.zeros(SIZE, bool)
    mask[place] = True
    return mask


def save(values, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)


def save_image(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    save(pixels, path)


def painted(*layers, dtype=np.uint16):
    values = np.zeros(SIZE, dtype)
    for place, value in layers:
        values[place] = value
    return values


def named(*layers):
    names = np.full(SIZE, '', dtype=object)
    for place, name in layers:
        names[place] = name
    return names


def openmmlab_classes(dataset):
    datasets = pytest.importorskip('mmseg.datasets')
    return list(getattr(datasets, dataset).METAINFO['classes'])


STREET = named(
    (SKY, 'sky'), (LEFT, 'road'), (RIGHT, 'building'),
    (FIRST, 'car'), (SECOND, 'car'), (REST, 'person'), (NOTHING, ''),
)  # fmt: skip


def write_cityscapes(root, num_images=2):
    """Two numbered cars, a group of persons, a caravan (not evaluated)."""
    caravan = np.s_[3:4, 10:]
    codes = painted(
        (SKY, 23), (LEFT, 7), (RIGHT, 11), (FIRST, 26000), (SECOND, 26001),
        (REST, 24), (NOTHING, 0), (caravan, 29000),
    )  # fmt: skip
    names = STREET.copy()
    names[caravan] = ''
    for split in ('train', 'val'):
        for number in range(num_images):
            city = ('aachen', 'ulm')[number % 2]
            stem = f'{split}/{city}/{city}_{number:06}_000019'
            save_image(root / f'leftImg8bit/{stem}_leftImg8bit.png', number)
            save(codes, root / f'gtFine/{stem}_gtFine_instanceIds.png')
            labels = np.where(codes < 1000, codes, codes // 1000)
            save(
                labels.astype(np.uint8),
                root / f'gtFine/{stem}_gtFine_labelIds.png',
            )
    objects = [('car', mask_of(FIRST)), ('car', mask_of(SECOND))]
    return SimpleNamespace(names=names, objects=objects, crowds=['person'])


def write_mapillary(root, version='v1.2', alone=False, num_images=2):
    """Birds are label 0, numbers count from 0; the last label is no class."""
    dataset = {'v1.2': 'MapillaryDataset_v1', 'v2.0': 'MapillaryDataset_v2'}
    classes = openmmlab_classes(dataset[version])
    things = {'Bird', 'Car', 'Person'}
    config = {
        'labels': [
            {
                'name': f'group--{name.lower()}',
                'readable': name,
                'instances': name in things,
                'evaluate': name != 'Unlabeled',
                'color': [0, 0, 0],
            }
            for name in classes
        ]
    }
    root.mkdir(parents=True, exist_ok=True)
    name = 'config.json' if alone else f'config_{version}.json'
    (root / name).write_text(json.dumps(config))

    def code(name, number=0):
        return 256 * classes.index(name) + number

    codes = painted(
        (SKY, code('Sky')), (LEFT, code('Road')), (RIGHT, code('Building')),
        (FIRST, code('Car')), (SECOND, code('Car', 1)), (REST, code('Bird')),
        (NOTHING, code('Unlabeled')),
    )  # fmt: skip
    for split in ('training', 'validation'):
        for number in range(num_images):
            save_image(root / split / f'images/{number}.jpg', number)
            folder = 'instances' if alone else f'{version}/instances'
            save(codes, root / split / folder / f'{number}.png')
    names = named(
        (SKY, 'Sky'), (LEFT, 'Road'), (RIGHT, 'Building'), (FIRST, 'Car'),
        (SECOND, 'Car'), (REST, 'Bird'), (NOTHING, ''),
    )  # fmt: skip
    objects = [
        ('Car', mask_of(FIRST)),
        ('Car', mask_of(SECOND)),
        ('Bird', mask_of(REST)),
    ]
    return SimpleNamespace(names=names, objects=objects, crowds=[])


def write_list(path, classes):
    """A list of classes as OpenSeg and FC-CLIP publish them."""
    lines = ['0:invalid_class_id']
    lines += [f'{i}:{name},{name}s' for i, name in enumerate(classes, 1)]
    path.write_text('\n'.join(lines))


CONTEXT = named(
    (SKY, 'sky'), (LEFT, 'grass'), (RIGHT, 'water'), (FIRST, 'sheep'),
    (SECOND, 'sheep'), (REST, 'boat'), (NOTHING, ''),
)  # fmt: skip


def labels_of(names, classes, nothing, dtype, first=0):
    values = np.full(SIZE, nothing, dtype)
    for name in set(names.flat) - {''}:
        values[names == name] = classes.index(name) + first
    return values


def write_context59(root, num_images=3):
    """As mmseg reads it: 0 is background, a list for each split."""
    classes = openmmlab_classes('PascalContextDataset59')
    voc = root / 'VOC2010'
    labels = labels_of(CONTEXT, classes, 0, np.uint8, first=1)
    for number in range(num_images):
        save_image(voc / f'JPEGImages/2008_{number:06}.jpg', number)
        save(labels, voc / f'SegmentationClassContext/2008_{number:06}.png')
    lists = voc / 'ImageSets/SegmentationContext'
    lists.mkdir(parents=True)
    lists.joinpath('train.txt').write_text('2008_000000\n')
    lists.joinpath('val.txt').write_text('2008_000001\n2008_000002\n')
    write_list(root / 'pascal_ctx_59_with_prompt_eng.txt', classes)
    return SimpleNamespace(names=CONTEXT, objects=[], crowds=[])


def write_wide(images, labels, classes, num_images=2):
    values = labels_of(CONTEXT, classes, 65535, np.uint16)
    for number in range(num_images):
        save_image(images / f'{number}.jpg', number)
        save(values, labels / f'{number}.tif')
    return SimpleNamespace(names=CONTEXT, objects=[], crowds=[])


def write_context459(root):
    """TIFFs of 16 bits, 65535 ignored; one class is label 255."""
    classes = [f'thing {i}' for i in range(459)]
    classes[0], classes[255], classes[256] = 'boat', 'sky', 'grass'
    classes[457], classes[458] = 'water', 'sheep'
    write_list(root / 'pascal_ctx_459_with_prompt_eng.txt', classes)
    folder = root / 'pascal_ctx_d2'
    return write_wide(
        folder / 'images/validation',
        folder / 'annotations_ctx459/validation',
        classes,
    )


def write_ade20k847(root):
    """The same of ADE20K."""
    classes = [f'thing {i}' for i in range(847)]
    classes[2], classes[255], classes[300] = 'sky', 'boat', 'grass'
    classes[845], classes[846] = 'sheep', 'water'
    write_list(root / 'ade20k_847_with_prompt_eng.txt', classes)
    folder = root / 'ADE20K_2021_17_01'
    return write_wide(
        folder / 'images_detectron2/validation',
        folder / 'annotations_detectron2/validation',
        classes,
    )


def polygon(place):
    rows, columns = (np.flatnonzero(mask_of(place).any(i)) for i in (1, 0))
    top, low = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    return [left, top, right, top, right, low, left, low]


LVIS_CATEGORIES = [
    # id, name, synonyms, frequency; ids in any order
    (3, 'bow_(weapon)', ['bow_(weapon)'], 'r'),
    (1, 'aerosol_can', ['aerosol_can', 'spray_can'], 'c'),
    (4, 'car_(automobile)', ['car_(automobile)', 'auto', 'car'], 'f'),
    (2, 'minivan', ['minivan', 'car'], 'f'),
]


def write_lvis(root):
    """A car and a can that overlap, in images of both folders of COCO."""
    places = {'car': FIRST, 'can': np.s_[5:8, 2:6], 'bow': REST}
    annotations = [
        (139, 4, 'car'), (139, 1, 'can'), (285, 4, 'car'), (285, 3, 'bow'),
    ]  # fmt: skip
    content = {
        'images': [
            {
                'id': id_,
                'coco_url': 'http://images.cocodataset.org/'
                f'{folder}/{id_:012}.jpg',
                'height': SIZE[0],
                'width': SIZE[1],
                'neg_category_ids': absent,
                'not_exhaustive_category_ids': in_part,
            }
            for id_, folder, absent, in_part in (
                (139, 'val2017', [2], [1]),
                (285, 'train2017', [], []),
            )
        ],
        'annotations': [
            {
                'id': number,
                'image_id': image,
                'category_id': category,
                'segmentation': [polygon(places[place])],
                'area': float(mask_of(places[place]).sum()),
            }
            for number, (image, category, place) in enumerate(annotations, 1)
        ],
        'categories': [
            {
                'id': id_,
                'name': name,
                'synonyms': synonyms,
                'frequency': frequency,
                'def': 'a thing',
                'synset': 'thing.n.01',
            }
            for id_, name, synonyms, frequency in LVIS_CATEGORIES
        ],
    }
    for image in content['images']:
        save_image(
            root / '/'.join(image['coco_url'].split('/')[-2:]), image['id']
        )
    (root / 'lvis_v1_val.json').write_text(json.dumps(content))
    by_image = {
        id_: [
            (LVIS_NAMES[category], mask_of(places[place]))
            for image, category, place in annotations
            if image == id_
        ]
        for id_ in (139, 285)
    }
    return SimpleNamespace(names=None, objects=by_image, crowds=[])


LVIS_NAMES = {
    3: 'bow (weapon)', 1: 'aerosol can', 4: 'car (automobile)', 2: 'minivan',
}  # fmt: skip
