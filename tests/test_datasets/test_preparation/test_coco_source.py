import re
import shutil

import pytest

from freeseg_mm.datasets.preparation.coco import CocoSource


@pytest.fixture
def source(coco_tree):
    return CocoSource(coco_tree.root, 'val2017')


def test_reads_images_with_their_annotations(source):
    content, images = source.read(subset=True)
    assert [image.id for image in images] == [1, 2, 3]
    assert images[1].file_name == '000000000001.jpg'
    assert images[1].png_name == '000000000001.png'
    assert images[1].labels == (
        source.panoptic_pngs / '000000000001.png',
        source.stuffthingmaps / '000000000001.png',
    )
    assert images[1].content['size'] == (6, 6)
    assert [s['id'] for s in images[1].content['segments']] == [7, 300, 5]
    assert content['licenses'] == [{'id': 4, 'name': 'BY'}]


def test_pairs_by_image_id(coco_tree, source):
    content = coco_tree.read_json('panoptic_val2017')
    content['annotations'].reverse()
    coco_tree.write_json('panoptic_val2017', content)
    _, images = source.read(subset=True)
    assert [(image.id, image.labels[0].name) for image in images] == [
        (1, '000000000000.png'),
        (2, '000000000001.png'),
        (3, '000000000002.png'),
    ]


def test_digest_knows_the_annotations(coco_tree, source):
    before = source.digest()
    assert source.digest() == before
    content = coco_tree.read_json('panoptic_val2017')
    del content['annotations'][0]['segments_info'][0]
    coco_tree.write_json('panoptic_val2017', content)
    assert source.digest() != before


def test_real_samples_are_read(samples_dir):
    for split in ('train2017', 'val2017'):
        source = CocoSource(samples_dir / 'coco_stuff200', split)
        assert len(source.read(subset=True)[1]) == 100


def test_without_panoptic_annotations(samples_dir):
    root = samples_dir / 'coco_stuffthingmaps'
    with pytest.raises(
        FileNotFoundError,
        match=re.escape(
            f'{root} is no whole COCO 2017 download, missing: '
            f'{root}/annotations/panoptic_val2017.json, '
            f'{root}/annotations/instances_val2017.json, '
            f'{root}/annotations/panoptic_val2017'
        )
        + '$',
    ):
        CocoSource(root, 'val2017').read(subset=True)


@pytest.mark.parametrize(
    'part',
    [
        'val2017',
        'stuffthingmaps/val2017',
        'annotations/panoptic_val2017',
        'annotations/panoptic_val2017.json',
        'annotations/instances_val2017.json',
    ],
)
def test_missing_part(coco_tree, source, part):
    path = coco_tree.root / part
    path.unlink() if path.is_file() else shutil.rmtree(path)
    with pytest.raises(
        FileNotFoundError, match=f'missing: {re.escape(str(path))}$'
    ):
        source.read(subset=True)


@pytest.mark.parametrize(
    'name',
    [
        'val2017/000000000001.jpg',
        'stuffthingmaps/val2017/000000000001.png',
        'annotations/panoptic_val2017/000000000001.png',
    ],
)
def test_missing_file(coco_tree, source, name):
    path = coco_tree.root / name
    path.unlink()
    with pytest.raises(
        FileNotFoundError,
        match=f'missing file {re.escape(str(path))}; 1 of 3 files are missing',
    ):
        source.read(subset=True)


def test_unknown_split(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"unknown split 'test2017'; COCO has \['train2017', 'val2017'\]",
    ):
        CocoSource(tmp_path, 'test2017')


@pytest.mark.parametrize(
    ('split', 'message'),
    [
        ('train2017', r'lists 12 images but train2017 has 118,287; .*pass '),
        ('val2017', r'lists 3 images but val2017 has 5,000; .*pass --subset'),
    ],
)
def test_official_number_of_images(coco_tree, split, message):
    with pytest.raises(ValueError, match=f'panoptic_{split}.json {message}'):
        CocoSource(coco_tree.root, split).read(subset=False)


def drop_key(content):
    del content['images'][1]['height']


def drop_list(content):
    del content['categories']


def drop_annotation(content):
    del content['annotations'][1]


def repeat_annotation(content):
    content['annotations'][1] = content['annotations'][0]


def move_annotation(content):
    content['annotations'][1]['image_id'] = 77


def fine_category(content):
    content['categories'].append({'id': 94, 'name': 'branch'})


def rename_category(content):
    content['categories'][0]['name'] = 'human'


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (drop_key, "an entry lacks the key 'height'"),
        (drop_list, "none under ['categories']; is it the right file?"),
        (
            drop_annotation,
            'expected one annotation per image, got 3 images (3 ids) and 2 '
            'annotations (of 2 images)',
        ),
        (
            repeat_annotation,
            'got 3 images (3 ids) and 3 annotations (of 2 images)',
        ),
        (move_annotation, 'image ids [2] have no annotation'),
        (
            fine_category,
            "unknown category id 94 ('branch'); expected the 133 of COCO "
            'panoptic',
        ),
        (
            rename_category,
            "unknown category id 1 ('human'); expected the 133 of COCO "
            "panoptic, where it is 'person'",
        ),
    ],
)
def test_json_that_is_not_cocos(coco_tree, source, damage, message):
    content = coco_tree.read_json('panoptic_val2017')
    damage(content)
    coco_tree.write_json('panoptic_val2017', content)
    with pytest.raises(
        ValueError,
        match=re.escape(str(source.panoptic_json)) + '.*' + re.escape(message),
    ):
        source.read(subset=True)
