"""LVIS: COCO's images by their addresses, and what AP needs is kept."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from transfer_trees import LVIS_NAMES, write_lvis

from freeseg_mm.datasets.preparation.lvis import prepare_lvis
from freeseg_mm.evaluation import OpenVocabLvisMetric
from freeseg_mm.structures import Vocabulary

VAL = {'splits': ['val'], 'subset': True, 'say': str}


@pytest.fixture
def coco(tmp_path):
    """Folder of COCO with LVIS's val."""
    write_lvis(tmp_path / 'coco')
    return tmp_path / 'coco'


@pytest.fixture
def change(coco):
    """Change the JSON."""
    path = coco / 'lvis_v1_val.json'

    def _change(edit):
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))

    return _change


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'prepared'


def instances_of(target):
    return json.loads((target / 'annotations/instances_val.json').read_text())


def test_words_in_the_order_of_the_ids(coco, target):
    prepare_lvis(coco, target, **VAL)
    words = Vocabulary.load(target / 'vocabulary.json')
    assert words.names == tuple(LVIS_NAMES[id_] for id_ in (1, 2, 3, 4))
    assert all(words.is_thing)
    # a name of two classes stays with one
    assert words.synonyms == (('spray can',), ('car',), (), ('auto',))


def test_whole_objects_and_what_was_searched_for(coco, target):
    (part,) = prepare_lvis(coco, target, **VAL)
    assert part.num_written == 2
    assert '3 of 4; absent: minivan' in part.summary[1]
    content = instances_of(target)
    assert content['images'] == [
        {
            'id': 139,
            'file_name': 'val2017/000000000139.jpg',
            'height': 8,
            'width': 12,
            'neg_category_ids': [2],
            'not_exhaustive_category_ids': [1],
        },
        {
            'id': 285,
            'file_name': 'train2017/000000000285.jpg',
            'height': 8,
            'width': 12,
            'neg_category_ids': [],
            'not_exhaustive_category_ids': [],
        },
    ]
    assert [c['frequency'] for c in content['categories']] == list('cfrf')
    scene = write_lvis(coco)  # draws the same again
    for annotation in content['annotations']:
        name = content['categories'][annotation['category_id'] - 1]['name']
        masks = dict(scene.objects[annotation['image_id']])
        # of the two that overlap, too
        np.testing.assert_array_equal(
            coco_mask.decode(annotation['segmentation']), masks[name]
        )
    for image in content['images']:
        assert (target / 'val' / image['file_name']).is_file()
    metric = OpenVocabLvisMetric(
        ann_file=str(target / 'annotations/instances_val.json')
    )
    assert len(metric._coco_api.anns) == 4


def test_interrupted_or_repeated_it_keeps_the_lists(coco, target):
    prepare_lvis(coco, target, **VAL)
    first = instances_of(target)
    (again,) = prepare_lvis(coco, target, **VAL)
    assert again.num_written == 0
    (target / 'annotations/instances_val.json').unlink()
    prepare_lvis(coco, target, **VAL, workers=2)
    assert instances_of(target) == first


def test_gaps_in_the_ids_are_closed(coco, target, change):
    """Ours are positions in the vocabulary, the lists' too."""

    def spread(content):
        for category in content['categories']:
            category['id'] *= 10
        for annotation in content['annotations']:
            annotation['category_id'] *= 10
        content['images'][0].update(
            neg_category_ids=[20], not_exhaustive_category_ids=[10]
        )

    prepare_lvis(coco, target, **VAL)
    first = instances_of(target)
    change(spread)
    prepare_lvis(coco, target, **VAL)
    second = instances_of(target)
    del first['info'], second['info']
    assert first == second


def test_json_may_lie_among_the_annotations(coco, target):
    (coco / 'annotations').mkdir()
    (coco / 'lvis_v1_val.json').rename(coco / 'annotations/lvis_v1_val.json')
    prepare_lvis(coco, target, **VAL)
    with pytest.raises(FileNotFoundError, match='no lvis_v1_train.json in'):
        prepare_lvis(coco, target, subset=True, say=str)


def test_a_missing_image_is_named(coco, target):
    (coco / 'train2017/000000000285.jpg').unlink()
    with pytest.raises(
        FileNotFoundError, match='missing file .*train2017/000000000285.jpg'
    ):
        prepare_lvis(coco, target, **VAL)
    assert not target.exists()


def test_a_part_has_to_be_meant(coco, target):
    with pytest.raises(ValueError, match='2 images, officially 19,809; '):
        prepare_lvis(coco, target, splits=['val'], say=str)


def test_names_in_the_target_stand(coco, target):
    target.mkdir()
    path = target / 'vocabulary.json'
    path.write_text('{"classes": ["can", "van", "bow", "car"]}')
    prepare_lvis(coco, target, **VAL)
    names = [c['name'] for c in instances_of(target)['categories']]
    assert names == ['can', 'van', 'bow', 'car']


@pytest.mark.parametrize(
    ('kind', 'key', 'value', 'message'),
    [
        ('images', 'coco_url', 7, 'image 139: coco_url is 7, expected it to'),
        ('images', 'coco_url', '../../etc/passwd', 'coco_url is'),
        ('images', 'coco_url', 'http://x/val2017/..', 'coco_url is'),
        (
            'images',
            'neg_category_ids',
            [9],
            r'image 139: neg_category_ids is \[9\], expected a list of ids of '
            'the 4 categories',
        ),
        ('images', 'not_exhaustive_category_ids', 3, 'is 3, expected a list'),
        ('images', 'neg_category_ids', [[1]], 'expected a list of ids'),
        ('categories', 'synonyms', [4], r'category 3: synonyms are \[4\]'),
        ('categories', 'synonyms', 4, r'category 3: synonyms are 4'),
        ('annotations', 'category_id', 9, 'not among the categories'),
        ('annotations', 'segmentation', [[0, 'x']], 'is unusable'),
    ],
)
def test_odd_entries_are_named(
    coco, target, change, kind, key, value, message
):
    change(lambda content: content[kind][0].update({key: value}))
    with pytest.raises(ValueError, match=f'lvis_v1_val.json: .*{message}'):
        prepare_lvis(coco, target, **VAL)
    assert not target.exists()


@pytest.mark.parametrize('key', ['neg_category_ids', 'coco_url'])
def test_absent_entries_are_named(coco, target, change, key):
    change(lambda content: content['images'][0].pop(key))
    with pytest.raises(ValueError, match=f"val.json: .*lacks the key '{key}'"):
        prepare_lvis(coco, target, **VAL)


def as_lvis(folder):
    """Objects of COCO's train and val as one split of LVIS."""
    content = {'images': [], 'annotations': []}
    for split in ('train2017', 'val2017'):
        path = folder / f'annotations/instances_{split}.json'
        own = json.loads(path.read_text())
        content['images'] += [
            {
                **{key: image[key] for key in ('id', 'height', 'width')},
                'coco_url': f'http://images.cocodataset.org/{split}/'
                f'{image["file_name"]}',
                'neg_category_ids': [],
                'not_exhaustive_category_ids': [],
            }
            for image in own['images']
        ]
        content['annotations'] += [
            {key: value for key, value in each.items() if key != 'iscrowd'}
            for each in own['annotations']
            if not each['iscrowd']
        ]
    content['categories'] = [
        {
            'id': category['id'],
            'name': category['name'].replace(' ', '_'),
            'synonyms': [category['name'].replace(' ', '_')],
            'frequency': 'rcf'[category['id'] % 3],
        }
        for category in own['categories']
    ]
    return content


@pytest.mark.slow
def test_real_objects_are_whole(samples_dir, tmp_path, target):
    """Polygons of COCO, of both folders: each mask is pycocotools'."""
    coco = tmp_path / 'coco'
    coco.mkdir()
    folder = samples_dir / 'coco_stuff200'
    for split in ('train2017', 'val2017'):
        (coco / split).symlink_to(folder / split)
    content = as_lvis(folder)
    (coco / 'lvis_v1_val.json').write_text(json.dumps(content))
    (part,) = prepare_lvis(coco, target, **VAL)
    assert part.num_written == len(content['images']) == 200
    official = COCO(str(coco / 'lvis_v1_val.json'))
    ours = instances_of(target)['annotations']
    assert len(ours) == len(content['annotations']) > 1000
    masks = {image['id']: [] for image in content['images']}
    for annotation in ours:
        masks[annotation['image_id']].append(
            coco_mask.decode(annotation['segmentation']).tobytes()
        )
    for image, found in masks.items():
        expected = [
            np.asfortranarray(official.annToMask(annotation)).tobytes()
            for annotation in official.imgToAnns[image]
        ]
        assert sorted(found) == sorted(expected)
