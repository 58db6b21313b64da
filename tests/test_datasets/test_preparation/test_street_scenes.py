"""Cityscapes and Mapillary Vistas, against the official rules."""

import json

import numpy as np
import pytest
from PIL import Image
from transfer_trees import (
    NOTHING,
    REST,
    mask_of,
    openmmlab_classes,
    save,
    write_cityscapes,
    write_mapillary,
)

from freeseg_mm.cli import main
from freeseg_mm.datasets.preparation.split_preparation import SourceImage
from freeseg_mm.datasets.preparation.street_scenes import (
    CITYSCAPES_LABELS,
    StreetSceneReader,
    prepare_cityscapes,
    prepare_mapillary,
)
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import decode_panoptic_png

QUIET = {'subset': True, 'say': str}
# From the public table of Cityscapes' labels
OFFICIAL_LABELS = {
    'road': 7, 'sidewalk': 8, 'building': 11, 'wall': 12, 'fence': 13,
    'pole': 17, 'traffic light': 19, 'traffic sign': 20, 'vegetation': 21,
    'terrain': 22, 'sky': 23, 'person': 24, 'rider': 25, 'car': 26,
    'truck': 27, 'bus': 28, 'train': 31, 'motorcycle': 32, 'bicycle': 33,
}  # fmt: skip


@pytest.fixture
def city(tmp_path):
    """Two images of each split, in two cities; the folder."""
    write_cityscapes(tmp_path / 'city')
    return tmp_path / 'city'


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'prepared'


def content_of(target, kind, split):
    path = target / f'annotations/{kind}_{split}.json'
    return json.loads(path.read_text())


def segments_of(target, split):
    """(class name, pixels, crowd or not) of the first image."""
    content = content_of(target, 'panoptic', split)
    names = {c['id']: c['name'] for c in content['categories']}
    annotation = content['annotations'][0]
    folder = target / f'annotations/panoptic_{split}'
    ids = decode_panoptic_png(folder / annotation['file_name'])
    return ids, [
        (names[s['category_id']], ids == s['id'], s['iscrowd'])
        for s in annotation['segments_info']
    ]


# --- one image, by hand ------------------------------------------------------


@pytest.fixture
def read(tmp_path):
    """Ground truth of the codes of one image."""

    def _read(codes, factor, lone_labels):
        path = tmp_path / 'codes.png'
        Image.fromarray(np.array(codes, np.uint16)).save(path)
        # class 0 is stuff, 1 a thing; labels 0 and 26 are known
        reader = StreetSceneReader(
            (False, True), {0: 1, 7: 0, 26: 1}, factor, lone_labels
        )
        return reader(SourceImage(1, 'a.jpg', (path,)))

    return _read


def test_labels_times_1000(read):
    gt = read([[7, 26, 26000, 26001, 29003, 24]], 1000, True)
    np.testing.assert_array_equal(gt.classes, [[0, 1, 1, 1, 255, 255]])
    ids = gt.ids[0]
    assert ids[4] == ids[5] == 0
    by_id = {segment['id']: segment for segment in gt.segments}
    assert len(by_id) == 4
    assert by_id[ids[0]] == {'id': ids[0], 'label': 0, 'iscrowd': 0}
    # no number: known by class alone
    assert by_id[ids[1]]['exact'] == by_id[ids[1]]['iscrowd'] == 1
    assert [by_id[i]['iscrowd'] for i in ids[2:4]] == [0, 0]
    assert [by_id[i]['label'] for i in ids[2:4]] == [1, 1]


def test_labels_times_256(read):
    """A number counts from 0, of label 0 too; the largest code is one."""
    gt = read([[0, 1, 7 * 256, 26 * 256 + 255, 65535]], 256, False)
    np.testing.assert_array_equal(gt.classes, [[1, 1, 0, 1, 255]])
    assert len(set(gt.ids[0, :4].tolist())) == 4
    assert gt.ids[0, 4] == 0
    assert all(segment['iscrowd'] == 0 for segment in gt.segments)


# --- Cityscapes --------------------------------------------------------------


def test_labels_are_the_official_ones_in_order():
    words = Vocabulary.load('cityscapes19')
    assert list(words.names) == openmmlab_classes('CityscapesDataset')
    assert tuple(OFFICIAL_LABELS[name] for name in words.names) == (
        CITYSCAPES_LABELS
    )


def test_cityscapes_is_as_its_own_panoptic_rule_says(city, target):
    """Segments by id of the PNG; one below 1000 of a thing is a crowd."""
    train, val = prepare_cityscapes(city, target, **QUIET)
    assert (train.num_written, val.num_written) == (2, 2)
    codes = np.asarray(
        Image.open(
            city / 'gtFine/val/aachen/aachen_000000_000019_gtFine_'
            'instanceIds.png'
        )
    )
    name_of = {label: name for name, label in OFFICIAL_LABELS.items()}
    things = Vocabulary.load('cityscapes19').things
    official = {}
    for code in np.unique(codes).tolist():
        name = name_of.get(code if code < 1000 else code // 1000)
        if name is not None:
            crowd = int(name in things and code < 1000)
            official[name, (codes == code).tobytes()] = crowd
    ids, segments = segments_of(target, 'val')
    assert {
        (name, mask.tobytes()): crowd for name, mask, crowd in segments
    } == official
    assert official['person', mask_of(REST).tobytes()] == 1
    assert (ids[NOTHING] == 0).all()
    images = content_of(target, 'panoptic', 'val')['images']
    assert [image['file_name'] for image in images] == [
        'aachen/aachen_000000_000019_leftImg8bit.png',
        'ulm/ulm_000001_000019_leftImg8bit.png',
    ]
    assert all((target / 'val' / i['file_name']).is_file() for i in images)


def test_cityscapes_objects_and_semantic_maps(city, target):
    prepare_cityscapes(city, target, splits=['val'], **QUIET)
    instances = content_of(target, 'instances', 'val')
    assert [(a['category_id'], a['area']) for a in instances['annotations']][
        :2
    ] == [(14, 6), (14, 6)]
    assert len(instances['categories']) == 8
    path = (
        target / 'annotations/semantic_val/'
        'aachen-aachen_000000_000019_leftImg8bit.png'
    )
    semantic = np.asarray(Image.open(path))
    labels = np.asarray(
        Image.open(
            city / 'gtFine/val/aachen/aachen_000000_000019_gtFine_labelIds.png'
        )
    )
    for place, label in enumerate(CITYSCAPES_LABELS):
        np.testing.assert_array_equal(semantic == place, labels == label)
    assert (semantic == 255).sum() == (
        ~np.isin(labels, CITYSCAPES_LABELS)
    ).sum()


def test_repeated_and_copied(city, target):
    prepare_cityscapes(city, target, splits=['val'], **QUIET, copy=True)
    copied = target / 'val/ulm/ulm_000001_000019_leftImg8bit.png'
    assert not copied.is_symlink()
    again = prepare_cityscapes(
        city, target, splits=['val'], **QUIET, copy=True
    )
    assert again[0].num_written == 0


@pytest.mark.parametrize(
    ('lost', 'message'),
    [
        ('leftImg8bit/val', 'missing folder .*leftImg8bit/val; expected'),
        ('gtFine', 'missing folder .*gtFine/train; expected leftImg8bit'),
        (
            'gtFine/val/ulm/ulm_000001_000019_gtFine_instanceIds.png',
            'missing file .*ulm_000001_000019_gtFine_instanceIds.png; 1 of 1',
        ),
    ],
)
def test_missing_part_of_cityscapes_is_named(city, target, lost, message):
    (city / lost).rename(city / 'elsewhere')
    with pytest.raises(FileNotFoundError, match=message):
        prepare_cityscapes(city, target, **QUIET)
    assert not target.exists()


def test_a_part_has_to_be_meant(city, target):
    with pytest.raises(ValueError, match='2 images, officially 2,975; '):
        prepare_cityscapes(city, target, say=str)


def test_map_of_another_size_is_named(city, target):
    path = city / 'gtFine/val/ulm/ulm_000001_000019_gtFine_instanceIds.png'
    save(np.zeros((4, 4), np.uint16), path)
    with pytest.raises(ValueError, match=r'ulm_000001.*size \(H, W\) is'):
        prepare_cityscapes(city, target, **QUIET)


# --- Mapillary ---------------------------------------------------------------


@pytest.mark.parametrize(
    ('version', 'alone', 'num_classes'),
    [('v1.2', True, 65), ('v1.2', False, 65), ('v2.0', False, 123)],
)
def test_mapillary(tmp_path, target, version, alone, num_classes):
    scene = write_mapillary(tmp_path / 'vistas', version, alone)
    parts = prepare_mapillary(
        tmp_path / 'vistas', target, version=version, **QUIET
    )
    assert [part.num_written for part in parts] == [2, 2]
    words = Vocabulary.load(target / 'vocabulary.json')
    assert len(words) == num_classes
    assert 'Unlabeled' not in words.names
    assert set(words.things) == {'Bird', 'Car', 'Person'}
    ids, segments = segments_of(target, 'validation')
    assert {(name, mask.tobytes()) for name, mask, _ in segments} == {
        *((name, mask.tobytes()) for name, mask in scene.objects),
        *(
            (name, (scene.names == name).tobytes())
            for name in ('Sky', 'Road', 'Building')
        ),
    }
    assert not any(crowd for *_, crowd in segments)
    assert (ids[NOTHING] == 0).all()
    objects = content_of(target, 'instances', 'validation')['annotations']
    assert len(objects) == 2 * len(scene.objects)


def test_versions_side_by_side(tmp_path, target):
    """As the download of 2.0 brings both, each by a command of its own."""
    source = tmp_path / 'vistas'
    write_mapillary(source, 'v1.2')
    write_mapillary(source, 'v2.0')
    for command, number in (('mapillary', 65), ('mapillary2', 123)):
        words = ['prepare', command, source, target / command, '--subset']
        assert main([str(word) for word in words]) == 0
        vocabulary = Vocabulary.load(target / command / 'vocabulary.json')
        assert len(vocabulary) == number


@pytest.mark.parametrize(
    ('lost', 'message'),
    [
        ('config.json', 'no config_v1.2.json or config.json in'),
        (
            'validation/instances',
            'no v1.2/instances or instances in .*validation; expected',
        ),
        ('validation/images', 'missing folder .*validation/images'),
        ('training/instances/1.png', 'missing file .*instances/1.png'),
    ],
)
def test_missing_part_of_mapillary_is_named(tmp_path, target, lost, message):
    source = tmp_path / 'vistas'
    write_mapillary(source, alone=True)
    (source / lost).rename(source / 'elsewhere')
    with pytest.raises(FileNotFoundError, match=message):
        prepare_mapillary(source, target, version='v1.2', **QUIET)
    assert not target.exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({}, r"expected lists under the keys \['labels'\]"),
        ({'labels': [3]}, "expected 'labels' to be a list of objects"),
        ({'labels': [{'evaluate': True}]}, "lacks the key 'readable'"),
        (
            {
                'labels': [{'evaluate': 1, 'readable': 'Car', 'instances': 1}]
                * 2
            },
            "occur more than once: .*'car'",
        ),
    ],
)
def test_odd_classes_are_refused(tmp_path, target, content, message):
    source = tmp_path / 'vistas'
    write_mapillary(source, alone=True)
    (source / 'config.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'config.json: .*{message}'):
        prepare_mapillary(source, target, version='v1.2', **QUIET)


# --- names that the user chose -----------------------------------------------


def test_names_in_the_target_stand(city, target):
    target.mkdir()
    words = Vocabulary.load('cityscapes19')
    own = {
        'classes': [f'my {name}' for name in words.names],
        'things': [f'my {name}' for name in words.things],
        'synonyms': {'my car': ['auto']},
    }
    (target / 'vocabulary.json').write_text(json.dumps(own))
    prepare_cityscapes(city, target, splits=['val'], **QUIET)
    assert {name for name, *_ in segments_of(target, 'val')[1]} == {
        'my sky', 'my road', 'my building', 'my car', 'my person',
    }  # fmt: skip

    own['things'] = ['my car']
    (target / 'vocabulary.json').write_text(json.dumps(own))
    with pytest.raises(
        FileExistsError,
        match=r"has other things; by its names they are \['my person', 'my r",
    ):
        prepare_cityscapes(city, target, splits=['val'], **QUIET)

    (target / 'vocabulary.json').write_text('{"classes": ["car"]}')
    with pytest.raises(
        FileExistsError, match="has 1 classes; expected 19 .*'road'"
    ):
        prepare_cityscapes(city, target, splits=['val'], **QUIET)
