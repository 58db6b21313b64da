import json
import re

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.datasets.preparation.coco_merge import (
    fine_categories,
    is_thing_id,
    merge_coco_stuff,
    panoptic_categories,
)
from freeseg_mm.utils.panoptic_png import decode_panoptic_png

PERSON, DOG, BUSH, METAL, ROAD, TREE = 1, 18, 97, 132, 149, 169
TREE_MERGED, GRASS_MERGED = 184, 193
DOG_LABEL = 17
BUSH_LABEL, METAL_LABEL, ROAD_LABEL, TREE_LABEL = 96, 131, 148, 168
VOID = np.zeros((6, 6), int)


def segment(id_, category_id, iscrowd=0):
    return {'id': id_, 'category_id': category_id, 'iscrowd': iscrowd}


def labels(values):
    return np.array(values, np.uint8)


def constant(value):
    return np.full((6, 6), value, np.uint8)


def test_every_rule_at_once():
    panoptic_ids = np.array(
        [
            [300, 300, 300, 300, 0, 0],
            [300, 300, 7, 300, 0, 0],
            [300, 7, 7, 7, 9, 9],
            [300, 7, 7, 7, 9, 9],
            [5, 5, 7, 5, 5, 0],
            [5, 5, 5, 5, 5, 0],
        ],
        np.int32,
    )
    stuff_things = labels(
        [
            [168, 168, 168, 96, 131, 255],  # tree, bush, metal
            [168, 168, 168, 96, 131, 17],  # tree on the person, a dog
            [96, 0, 0, 0, 148, 0],  # road on the crowd
            [148, 17, 0, 0, 148, 255],
            [168, 148, 0, 148, 148, 148],  # tree on the road
            [148, 148, 148, 148, 148, 0],
        ]
    )
    ids, segments = merge_coco_stuff(
        panoptic_ids,
        [
            segment(7, PERSON),
            segment(300, TREE_MERGED),
            segment(9, PERSON, iscrowd=1),
            segment(5, ROAD),
        ],
        stuff_things,
    )
    expected = [
        [3, 3, 3, 1, 2, 0],
        [3, 3, 7, 1, 2, 0],
        [1, 7, 7, 7, 9, 9],
        [5, 7, 7, 7, 9, 9],
        [5, 5, 7, 5, 5, 5],
        [5, 5, 5, 5, 5, 0],
    ]
    np.testing.assert_array_equal(ids, expected)
    assert ids.dtype == np.int32

    keys = ('id', 'category_id', 'iscrowd', 'area', 'bbox', 'refilled')
    assert segments == [
        dict(zip(keys, values, strict=True))
        for values in [
            (7, PERSON, 0, 8, [1, 1, 3, 4], 0),
            (9, PERSON, 1, 4, [4, 2, 2, 2], 0),
            (5, ROAD, 0, 11, [0, 3, 6, 3], 2),
            (1, BUSH, 0, 3, [0, 0, 4, 3], 3),
            (2, METAL, 0, 2, [4, 0, 1, 2], 2),
            (3, TREE, 0, 5, [0, 0, 3, 2], 5),
        ]
    ]


def test_kept_stuff_class_that_panoptic_lacks_becomes_a_segment():
    """Road is one of the 36; here panoptic labels nothing."""
    ids, segments = merge_coco_stuff(VOID, [], constant(ROAD_LABEL))
    np.testing.assert_array_equal(ids, np.ones((6, 6)))
    assert [(s['id'], s['category_id']) for s in segments] == [(1, ROAD)]


def test_merged_region_takes_any_stuff_class():
    """COCO-Stuff decides, also against the merged class's own parts."""
    panoptic_ids = np.full((6, 6), 8)
    stuff_things = constant(TREE_LABEL)
    stuff_things[3:] = ROAD_LABEL
    ids, segments = merge_coco_stuff(
        panoptic_ids, [segment(8, GRASS_MERGED)], stuff_things
    )
    np.testing.assert_array_equal(ids[:3], np.full((3, 6), 2))
    np.testing.assert_array_equal(ids[3:], np.full((3, 6), 1))
    assert [s['category_id'] for s in segments] == [ROAD, TREE]


def test_thing_label_in_an_open_region_stays_void():
    panoptic_ids = np.full((6, 6), 8)
    panoptic_ids[0] = 4
    ids, segments = merge_coco_stuff(
        panoptic_ids,
        [segment(8, TREE_MERGED), segment(4, DOG)],
        constant(DOG_LABEL),
    )
    np.testing.assert_array_equal(ids[0], [4] * 6)
    np.testing.assert_array_equal(ids[1:], VOID[1:])
    assert [(s['id'], s['area']) for s in segments] == [(4, 6)]


def test_new_ids_avoid_all_official_ones():
    """Those of merged segments included: no id changes its meaning."""
    panoptic_ids = VOID.copy()
    panoptic_ids[0] = [1, 2, 4, 4, 4, 4]
    stuff_things = constant(BUSH_LABEL)
    stuff_things[5] = METAL_LABEL
    ids, segments = merge_coco_stuff(
        panoptic_ids,
        [segment(1, PERSON), segment(2, TREE_MERGED), segment(4, ROAD)],
        stuff_things,
    )
    np.testing.assert_array_equal(ids[0], [1, 3, 4, 4, 4, 4])
    np.testing.assert_array_equal(ids[1:5], np.full((4, 6), 3))
    np.testing.assert_array_equal(ids[5], [5] * 6)
    assert [s['id'] for s in segments] == [1, 4, 3, 5]


def test_of_two_segments_of_a_class_the_first_is_joined():
    panoptic_ids = VOID.copy()
    panoptic_ids[0], panoptic_ids[1] = 11, 10
    ids, segments = merge_coco_stuff(
        panoptic_ids, [segment(11, ROAD), segment(10, ROAD)], constant(148)
    )
    assert [(s['id'], s['area'], s['refilled']) for s in segments] == [
        (11, 30, 24),
        (10, 6, 0),
    ]
    np.testing.assert_array_equal(ids[2:], np.full((4, 6), 11))


def test_segment_without_pixels_is_left_out_unless_refilled():
    stuff_things = constant(255)
    stuff_things[2, 3] = ROAD_LABEL
    _, segments = merge_coco_stuff(
        VOID, [segment(3, PERSON), segment(6, ROAD)], stuff_things
    )
    assert segments == [
        {**segment(6, ROAD), 'area': 1, 'bbox': [3, 2, 1, 1], 'refilled': 1}
    ]


def test_nothing_known_is_all_void():
    ids, segments = merge_coco_stuff(VOID, [], constant(255))
    np.testing.assert_array_equal(ids, VOID)
    assert segments == []


def test_inputs_are_not_changed():
    panoptic_ids = np.full((6, 6), 8)
    segments = [segment(8, TREE_MERGED)]
    stuff_things = constant(TREE_LABEL)
    merge_coco_stuff(panoptic_ids, segments, stuff_things)
    np.testing.assert_array_equal(panoptic_ids, np.full((6, 6), 8))
    np.testing.assert_array_equal(stuff_things, constant(TREE_LABEL))
    assert segments == [segment(8, TREE_MERGED)]


def test_merging_the_result_again_changes_nothing():
    panoptic_ids = VOID.copy()
    panoptic_ids[0], panoptic_ids[1:3] = 2, 9
    stuff_things = constant(ROAD_LABEL)
    ids, segments = merge_coco_stuff(
        panoptic_ids,
        [segment(2, PERSON), segment(9, TREE_MERGED)],
        stuff_things,
    )
    again, _ = merge_coco_stuff(ids, segments, stuff_things)
    np.testing.assert_array_equal(again, ids)


@pytest.mark.parametrize(
    ('panoptic_ids', 'segments', 'message'),
    [
        (
            np.zeros((6, 5), int),
            [],
            'sizes differ: panoptic (6, 5), stuffthingmap (6, 6)',
        ),
        (
            VOID + 2,
            [segment(2, BUSH)],
            'segment 2 has category id 97, which is none of the 133 of COCO',
        ),
        (
            VOID + 2,
            [segment(2, 12)],
            'segment 2 has category id 12, which is none of the 133 of COCO',
        ),
        (
            VOID + 2,
            [segment(2, ROAD), segment(2, PERSON)],
            'segment ids must be unique and not 0, got [2, 2]',
        ),
        (VOID, [segment(0, ROAD)], 'must be unique and not 0, got [0]'),
        (
            VOID + 3,
            [segment(2, ROAD)],
            'pixels have segment ids [3] that the JSON does not list for '
            'this image; it lists [2]',
        ),
    ],
)
def test_refusals(panoptic_ids, segments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        merge_coco_stuff(panoptic_ids, segments, constant(255))


@pytest.mark.parametrize('label', [11, 90, 182])
def test_unknown_label(label):
    with pytest.raises(
        ValueError,
        match=re.escape(
            f'the stuffthingmap has category ids [{label + 1}] (labels '
            f'[{label}]), none of the 171'
        ),
    ):
        merge_coco_stuff(VOID, [], constant(label))


def test_official_maps_alone_give_all_their_stuff(samples_dir):
    """Without panoptic ground truth what remains is COCO-Stuff's stuff."""
    folder = samples_dir / 'coco_stuffthingmaps' / 'stuffthingmaps'
    paths = sorted(folder.rglob('*.png'))
    assert len(paths) == 56
    for path in paths:
        stuff_things = np.array(Image.open(path))
        ids, segments = merge_coco_stuff(
            np.zeros_like(stuff_things, np.int32), [], stuff_things
        )
        expected = sorted(
            int(label) + 1
            for label in np.unique(stuff_things)
            if label != 255 and not is_thing_id(int(label) + 1)
        )
        assert [s['category_id'] for s in segments] == expected
        np.testing.assert_array_equal(
            ids != 0, (stuff_things > 90) & (stuff_things < 255)
        )


def test_kept_pixels_survive_labels_that_contradict_them(samples_dir):
    """Mirrored labels disagree with the panoptic ground truth everywhere."""
    folder = samples_dir / 'coco_stuff200'
    content = json.loads(
        (folder / 'annotations' / 'panoptic_val2017.json').read_text()
    )
    contradicted = 0
    for annotation in content['annotations'][:50]:
        png = annotation['file_name']
        panoptic_ids = decode_panoptic_png(
            folder / 'annotations' / 'panoptic_val2017' / png
        )
        stuff_things = np.array(
            Image.open(folder / 'stuffthingmaps' / 'val2017' / png)
        )[:, ::-1]
        official = annotation['segments_info']
        ids, segments = merge_coco_stuff(panoptic_ids, official, stuff_things)
        kept = [s['id'] for s in official if s['category_id'] < 184]
        things = [s['id'] for s in official if is_thing_id(s['category_id'])]
        is_kept = np.isin(panoptic_ids, kept)
        np.testing.assert_array_equal(ids[is_kept], panoptic_ids[is_kept])
        # nor does any thing grow
        np.testing.assert_array_equal(
            np.isin(ids, things), np.isin(panoptic_ids, things)
        )
        category_of = {s['id']: s['category_id'] for s in segments}
        for segment in official:
            if segment['id'] in kept:
                assert category_of[segment['id']] == segment['category_id']
        stuff_label = (stuff_things > 90) & (stuff_things < 255)
        contradicted += np.sum(stuff_label[np.isin(panoptic_ids, things)])
    assert contradicted > 500_000


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
