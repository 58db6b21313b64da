import json
import re

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from freeseg_mm.datasets.preparation.ade20k import (
    instance_labels,
    prepare_ade20k,
)
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import decode_panoptic_png

WORDS = Vocabulary.load('ade20k150')
SPLITS = ('training', 'validation')
# positions plus 1
WALL, BED, PERSON, FLAG = 1, 8, 13, 150


def prepare(source, target, **options):
    """Prepare a part of ADE20K without a word."""
    return prepare_ade20k(
        source, target, subset=True, say=lambda text: None, **options
    )


def read_json(target, name):
    return json.loads((target / 'annotations' / f'{name}.json').read_text())


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'prepared'


class TestSemanticOnly:
    def test_gt_of_an_image(self, ade_tree, target):
        prepare(ade_tree.root, target)
        stem = ade_tree.semantic('training', 3).stem
        folder = target / 'annotations'
        name = f'{stem}.png'
        ids = decode_panoptic_png(folder / 'panoptic_training' / name)
        with Image.open(folder / 'semantic_training' / name) as image:
            classes = np.array(image)
        with Image.open(ade_tree.semantic('training', 3)) as image:
            labels = np.array(image)
        # an id of a class is its label
        np.testing.assert_array_equal(ids, labels)
        np.testing.assert_array_equal(classes, labels - 1)
        (annotation,) = [
            a
            for a in read_json(target, 'panoptic_training')['annotations']
            if a['file_name'] == name
        ]
        assert [
            (s['category_id'], s['iscrowd'], s.get('exact'), s['area'])
            for s in annotation['segments_info']
        ] == [
            (WALL, 0, None, 6),
            (BED, 1, 1, 8),
            (PERSON, 1, 1, 4),
            (FLAG, 1, 1, 2),
        ]

    def test_there_is_no_instances_json_and_that_is_said(
        self, ade_tree, target
    ):
        (train, _) = prepare(ade_tree.root, target)
        assert not list(target.glob('annotations/instances*'))
        assert train.summary == [
            'training: 12 images, 48 segments, 0 of them single objects',
            '  classes that occur: 4 of 150; absent: building; sky; floor; '
            'tree; ceiling; road, route; window; grass, ...',
            # 4 of 24 pixels
            '  unlabelled: 16.67 % of the pixels',
            '  serves for: semantic (no '
            f'{ade_tree.root}/annotations_instance/training, so nothing '
            'tells objects apart)',
        ]

    def test_images_and_categories(self, ade_tree, target):
        prepare(ade_tree.root.parent, target)
        content = read_json(target, 'panoptic_validation')
        assert content['images'] == [
            {
                'id': number,
                'file_name': ade_tree.image('validation', number).name,
                'height': 4,
                'width': 6,
            }
            for number in (1, 2, 3)
        ]
        assert [c['name'] for c in content['categories']] == list(WORDS.names)
        assert [c['isthing'] for c in content['categories']] == [
            int(thing) for thing in WORDS.is_thing
        ]
        assert Vocabulary.load(target / 'vocabulary.json') == WORDS
        assert (target / 'training').resolve() == (
            ade_tree.root / 'images/training'
        )


class TestObjects:
    @pytest.fixture
    def prepared(self, ade_tree, target):
        ade_tree.write_instances('training', 12)
        ade_tree.write_instances('validation', 3)
        parts = prepare(ade_tree.root, target)
        assert parts[0].summary[0] == (
            'training: 12 images, 72 segments, 36 of them single objects'
        )
        assert parts[0].summary[-1] == (
            '  serves for: semantic, instance, panoptic'
        )
        return target

    def test_objects_win_and_rests_are_crowds(self, prepared):
        annotation = read_json(prepared, 'panoptic_validation')['annotations'][
            0
        ]
        assert [
            (s['category_id'], s['iscrowd'], s.get('exact'), s['area'])
            for s in annotation['segments_info']
        ] == [
            (WALL, 0, None, 4),  # two of six are the first bed's
            (BED, 1, 1, 2),  # without a number
            (PERSON, 1, 1, 4),
            (BED, 0, None, 4),
            (BED, 0, None, 4),
            (FLAG, 0, None, 2),
        ]
        ids = decode_panoptic_png(
            prepared / 'annotations/panoptic_validation/'
            f'{annotation["file_name"]}'
        )
        # 150 classes: object n is 150 + n
        np.testing.assert_array_equal(
            ids,
            [
                [0, 1, 151, 151, 152, 152],
                [1, 1, 151, 151, 152, 152],
                [13, 13, 1, 8, 8, 153],
                [13, 13, 0, 0, 0, 153],
            ],
        )

    def test_instances_json(self, prepared):
        content = read_json(prepared, 'instances_validation')
        assert len(content['categories']) == 100
        assert [a['id'] for a in content['annotations']] == list(range(1, 10))
        assert [
            (a['image_id'], a['category_id'], a['iscrowd'], a['area'])
            for a in content['annotations'][:4]
        ] == [(1, BED, 0, 4), (1, BED, 0, 4), (1, FLAG, 0, 2), (2, BED, 0, 4)]
        mask = coco_mask.decode(content['annotations'][1]['segmentation'])
        assert mask.tolist() == [
            [0, 0, 0, 0, 1, 1],
            [0, 0, 0, 0, 1, 1],
            [0] * 6,
            [0] * 6,
        ]

    def test_second_run_does_nothing(self, ade_tree, prepared):
        parts = prepare(ade_tree.root, prepared)
        assert [part.num_written for part in parts] == [0, 0]
        assert 'serves for: semantic, instance' in parts[0].summary[-1]

    def test_lost_instances_json_comes_back(self, ade_tree, prepared):
        path = prepared / 'annotations/instances_validation.json'
        before = path.read_bytes()
        path.unlink()
        prepare(ade_tree.root, prepared)
        assert path.read_bytes() == before

    def test_objects_that_come_later_are_taken_in(self, ade_tree, target):
        first = prepare(ade_tree.root, target)
        ade_tree.write_instances('validation', 3)
        second = prepare(ade_tree.root, target)
        assert [part.num_written for part in first] == [12, 3]
        assert [part.num_written for part in second] == [0, 3]
        assert (target / 'annotations/instances_validation.json').is_file()

    def test_table_of_classes_is_obeyed(self, ade_tree, target):
        things = [i + 1 for i, thing in enumerate(WORDS.is_thing) if thing]
        table = dict(enumerate(things, 1)) | {1: FLAG, 100: BED}
        (ade_tree.root / 'categoryMapping.txt').write_text(
            'Instacne100\tSceneParse150\tFullADE20K\n'
            + ''.join(f'{i}\t{label}\t7\n' for i, label in table.items())
        )
        ade_tree.write_instances('validation', 3)
        prepare(ade_tree.root, target, splits=['validation'])
        objects = read_json(target, 'instances_validation')['annotations']
        assert [o['category_id'] for o in objects[:3]] == [FLAG, FLAG, BED]


def test_things_in_their_order_without_a_table(tmp_path):
    labels = instance_labels(tmp_path, WORDS)
    assert len(labels) == 100
    assert (labels[1], labels[100]) == (BED - 1, FLAG - 1)
    assert list(labels.values()) == sorted(labels.values())


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        (['1 1 3'], 'instance class 1 is class 1 of the 150, which is no'),
        (['1 8 3', '1 9 3'], 'instance class 1 has two classes'),
        (['1 8 3', '1 8 4'], 'expected 100 instance classes, found 1'),
    ],
)
def test_refuses_a_table(tmp_path, lines, message):
    path = tmp_path / 'categoryMapping.txt'
    path.write_text('\n'.join(lines))
    with pytest.raises(ValueError, match=re.escape(f'{path}: {message}')):
        instance_labels(tmp_path, WORDS)


def colour(path, values):
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[0, 0] = values
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize('workers', [1, 2])
@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ([101, 9, 0], 'object 9 has class 101; expected 1 to 100'),
        ([0, 9, 0], 'object 9 has class 0; expected 1 to 100'),
        ([7, 2, 0], 'object 2 has several classes; expected one class'),
    ],
)
def test_wrong_object_is_named(ade_tree, target, values, message, workers):
    ade_tree.write_instances('validation', 3)
    path = ade_tree.instance('validation', 2)
    colour(path, values)
    with pytest.raises(ValueError, match=re.escape(f'{path}: {message}')):
        prepare(ade_tree.root, target, splits=['validation'], workers=workers)


def test_missing_instance_png_is_named(ade_tree, target):
    ade_tree.write_instances('validation', 2)
    path = ade_tree.instance('validation', 3)
    with pytest.raises(FileNotFoundError, match=f'missing file {path}'):
        prepare(ade_tree.root, target)
    assert not target.exists()


def test_real_images(samples_dir, target):
    parts = prepare(samples_dir / 'ade20k_sample', target, workers=2)
    assert [part.num_written for part in parts] == [1, 33]
    content = read_json(target, 'panoptic_validation')
    assert len(content['images']) == 33
    segments = [s for a in content['annotations'] for s in a['segments_info']]
    # what the folder's README says of all 34, without the training image
    assert len({s['category_id'] for s in segments}) == 87
    for segment in segments:
        thing = WORDS.is_thing[segment['category_id'] - 1]
        assert (segment['iscrowd'], segment.get('exact', 0)) == (thing, thing)
