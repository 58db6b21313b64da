import json

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.datasets.preparation.voc import prepare_voc
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import BACKGROUND_ID as BG
from freeseg_mm.utils.panoptic_png import decode_panoptic_png

AEROPLANE, COW, TVMONITOR = 1, 10, 20


def prepare(source, target, **options):
    """Prepare a part of VOC without a word."""
    return prepare_voc(
        source, target, subset=True, say=lambda text: None, **options
    )


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'prepared'


def test_gt_of_an_image(voc_tree, target):
    prepare(voc_tree.root, target)
    folder = target / 'annotations'
    name = voc_tree.mask(9).name
    ids = decode_panoptic_png(folder / 'panoptic_val' / name)
    np.testing.assert_array_equal(
        ids,
        [
            [BG, BG, 0, 10, 10],
            [BG, 1, 0, 10, 10],
            [BG, 1, BG, 20, 0],
            [BG, 1, BG, 20, 0],
        ],
    )
    with Image.open(folder / 'semantic_val' / name) as image:
        classes = np.array(image)
    np.testing.assert_array_equal(
        classes, np.where(np.isin(ids, [0, BG]), 255, ids - 1)
    )
    content = json.loads((folder / 'panoptic_val.json').read_text())
    assert [a['file_name'] for a in content['annotations']] == [
        f'2007_{number:06}.png' for number in (8, 9, 10)
    ]
    assert [
        (s['category_id'], s['iscrowd'], s['exact'], s['area'])
        for s in content['annotations'][1]['segments_info']
    ] == [(AEROPLANE, 1, 1, 3), (COW, 1, 1, 4), (TVMONITOR, 1, 1, 2)]
    words = Vocabulary.load('voc20')
    assert [c['name'] for c in content['categories']] == list(words.names)


def test_lists_decide_and_summary_says_what_it_serves_for(voc_tree, target):
    train, val = prepare(voc_tree.root, target)
    assert (train.num_written, val.num_written) == (8, 3)
    assert train.summary[0] == (
        'train: 8 images, 24 segments, 0 of them single objects'
    )
    # 11 of 20 pixels
    assert train.summary[2] == '  unlabelled: 55.00 % of the pixels'
    assert train.summary[3] == (
        '  serves for: semantic (the masks tell no objects apart)'
    )
    assert not list(target.glob('annotations/instances*'))


@pytest.mark.parametrize('above', ['.', '..', '../..'])
def test_source_may_be_a_folder_above(voc_tree, target, above):
    prepare((voc_tree.root / above).resolve(), target, splits=['val'])
    assert (target / 'val').resolve() == voc_tree.root / 'JPEGImages'


def test_other_names_of_list_and_masks(voc_tree, target):
    (voc_tree.lists / 'trainaug.txt').rename(voc_tree.lists / 'train_aug.txt')
    voc_tree.masks.rename(voc_tree.root / 'SegmentationClass')
    assert prepare(voc_tree.root, target)[0].num_written == 8


def test_copies_listed_images_only(voc_tree, target):
    prepare(voc_tree.root, target, copy=True, workers=2)
    assert sorted(path.name for path in (target / 'val').iterdir()) == [
        f'2007_{number:06}.jpg' for number in (8, 9, 10)
    ]
    name = voc_tree.image(9).name
    assert (target / 'val' / name).read_bytes() == (
        voc_tree.image(9).read_bytes()
    )


@pytest.mark.parametrize(
    ('lost', 'message'),
    [
        ('JPEGImages', 'no folder JPEGImages in any of'),
        (
            'SegmentationClassAug',
            'no folder SegmentationClassAug or SegmentationClass in',
        ),
        (
            'ImageSets/Segmentation/trainaug.txt',
            'no list train_aug.txt or trainaug.txt in',
        ),
        ('ImageSets/Segmentation/val.txt', 'no list val.txt in'),
    ],
)
def test_missing_part_is_named(voc_tree, target, lost, message):
    (voc_tree.root / lost).rename(voc_tree.root / 'elsewhere')
    with pytest.raises(FileNotFoundError, match=message):
        prepare(voc_tree.root, target)
    assert not target.exists()


def test_image_listed_twice(voc_tree, target):
    (voc_tree.lists / 'val.txt').write_text('2007_000009\n' * 2)
    with pytest.raises(
        ValueError, match=r"val.txt lists \['2007_000009'\] more than once"
    ):
        prepare(voc_tree.root, target)


def test_real_images(samples_dir, target):
    parts = prepare(samples_dir / 'voc2012_sample', target)
    assert [part.num_written for part in parts] == [10, 6]
    assert '10 of 20' in parts[0].summary[1]
    assert '7 of 20' in parts[1].summary[1]


def test_image_that_viewers_turn(voc_tree, target):
    exif = Image.Exif()
    exif[0x0112] = 4
    with Image.open(voc_tree.image(1)) as image:
        image.save(voc_tree.image(1), exif=exif)
    with pytest.raises(ValueError, match='has EXIF orientation 4'):
        prepare(voc_tree.root, target)
