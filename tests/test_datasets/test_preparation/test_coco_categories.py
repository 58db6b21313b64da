import json

from freeseg_mm.datasets.preparation.coco_merge import (
    fine_categories,
    is_thing_id,
    panoptic_categories,
)


def official(samples_dir, name):
    path = samples_dir / 'coco_stuff200' / 'annotations' / f'{name}.json'
    return json.loads(path.read_text())['categories']


def test_fine_categories_are_official(samples_dir):
    things = official(samples_dir, 'instances_train2017')
    stuff = official(samples_dir, 'stuff_train2017')
    expected = {entry['id']: entry['name'] for entry in [*things, *stuff]}
    del expected[183]  # 'other': anything that is no stuff
    assert fine_categories() == expected
    assert list(fine_categories()) == sorted(expected)


def test_panoptic_categories_are_official(samples_dir):
    entries = official(samples_dir, 'panoptic_train2017')
    assert panoptic_categories() == {
        entry['id']: entry['name'] for entry in entries
    }
    for entry in entries:
        assert is_thing_id(entry['id']) == bool(entry['isthing'])


def test_kept_classes_mean_the_same_in_both():
    kept = {
        id_
        for id_, name in panoptic_categories().items()
        if fine_categories().get(id_) == name
    }
    things = {id_ for id_ in kept if is_thing_id(id_)}
    assert (len(things), len(kept - things)) == (80, 36)
    assert set(panoptic_categories()) - kept == set(range(184, 201))
