"""Tiles of large images and how their results are joined."""

import numpy as np
import pytest

from freeseg_mm.apis.inputs import InputImage
from freeseg_mm.apis.results import ImageResult, Instance, PanopticSegment
from freeseg_mm.apis.tiling import TileMerger, Tiling, cut
from freeseg_mm.structures import Vocabulary

WORDS = Vocabulary.from_names(['cat', 'dog', 'grass'], things=['cat', 'dog'])
GRASS = 2


def test_tiles_by_hand():
    tiles = Tiling(100, overlap=0.2).tiles((100, 250))
    assert [tile.box for tile in tiles] == [
        (0, 0, 100, 100),
        (75, 0, 175, 100),
        (150, 0, 250, 100),
    ]
    assert [tile.own for tile in tiles] == [
        (0, 0, 87, 100),
        (87, 0, 162, 100),
        (162, 0, 250, 100),
    ]


def test_one_tile_where_the_image_fits():
    (tile,) = Tiling(1024).tiles((480, 640))
    assert tile.box == tile.own == (0, 0, 640, 480)


@pytest.mark.parametrize('overlap', [0, 0.2, 0.5])
@pytest.mark.parametrize('size', [(1, 97), (33, 64), (250, 131)])
def test_each_pixel_is_owned_once_and_well_inside(size, overlap):
    tiling = Tiling(32, overlap)
    owned = np.zeros(size, int)
    for tile in tiling.tiles(size):
        left, top, right, bottom = tile.box
        assert 0 <= left < right <= size[1]
        assert 0 <= top < bottom <= size[0]
        assert max(right - left, bottom - top) <= 32
        cut(owned, tile.own)[:] += 1
        inner = np.zeros(size, bool)
        cut(inner, tile.box)[:] = True
        assert cut(inner, tile.own).all()
    assert (owned == 1).all()


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ((31, 0.2), 'tile: expected at least 32, a whole number.*got 31'),
        ((64, 0.6), 'overlap: expected a share from 0 to 0.5, got 0.6'),
        ((64, float('nan')), 'overlap: expected a share from 0 to 0.5'),
    ],
)
def test_numbers_that_make_no_tiles(given, message):
    with pytest.raises(ValueError, match=message):
        Tiling(*given)


@pytest.fixture
def scene():
    """Label map and segment map of two cats, a dog and grass, 150 x 200.

    One cat lies over several tiles, the other in one; the dog touches it.
    """
    segment_map = np.ones((150, 200), np.int32)
    segment_map[30:120, 20:180] = 2  # a large cat
    segment_map[5:15, 5:20] = 3  # a small one
    segment_map[60:90, 90:110] = 4  # a dog on the large cat
    labels = np.array([255, GRASS, 0, 0, 1], np.int32)
    return labels[segment_map], segment_map


def _predict(scene, box, score=0.5):
    """What a perfect network says of a part of the scene."""
    label_map, segment_map = (cut(x, box).copy() for x in scene)
    labels = {1: GRASS, 2: 0, 3: 0, 4: 1}
    present = np.unique(segment_map)
    numbered = np.searchsorted(present, segment_map).astype(np.int32) + 1
    segments = tuple(
        PanopticSegment(
            number,
            labels[old],
            WORDS.names[labels[old]],
            labels[old] != GRASS,
            score,
            int((segment_map == old).sum()),
        )
        for number, old in enumerate(present.tolist(), 1)
    )
    instances = tuple(
        Instance.from_mask(x.label, x.name, x.score, numbered == x.id)
        for x in segments
        if x.is_thing
    )
    image = np.zeros((*label_map.shape, 3), np.uint8)
    return ImageResult(
        'array 0', image, WORDS, label_map, instances, numbered, segments
    )


def _merge(scene, tiling, predict=_predict):
    pixels = np.zeros((*scene[0].shape, 3), np.uint8)
    image = InputImage('photo.jpg', pixels, ('a note',))
    merger = TileMerger(tiling, image, WORDS)
    for tile in tiling.tiles(scene[0].shape):
        merger.add(predict(scene, tile.box))
    return merger.finish()


@pytest.mark.parametrize('overlap', [0.1, 0.3])
def test_a_scene_in_tiles_is_the_scene_in_one_piece(scene, overlap):
    label_map, segment_map = scene
    found = _merge(scene, Tiling(64, overlap))
    np.testing.assert_array_equal(found.label_map, label_map)
    assert len(found.segments) == 4
    assert [x.area for x in found.segments] == [
        found.segment_mask(x).sum() for x in found.segments
    ]
    # the same partition, whatever its numbers
    pairs = np.unique(
        np.stack([segment_map, found.segment_map]).reshape(2, -1), axis=1
    )
    assert pairs.shape[1] == 4
    masks = {x.mask.tobytes() for x in found.instances}
    assert masks == {(segment_map == i).tobytes() for i in (2, 3, 4)}
    assert sorted(x.name for x in found.instances) == ['cat', 'cat', 'dog']
    assert found.size == (150, 200)
    assert found.notes[0] == 'a note'
    assert found.notes[1].startswith('predicted in ')


def test_scores_are_means_by_area():
    ground = np.zeros((50, 150), np.int32)
    scene = (np.full_like(ground, GRASS), ground + 1)
    scores = iter([0.2, 0.8])

    def predict(scene, box):
        return _predict(scene, box, next(scores))

    found = _merge(scene, Tiling(100, 0.5), predict)
    (grass,) = found.segments
    assert grass.score == pytest.approx(0.5)
    assert grass.area == 50 * 150


def test_touching_things_of_a_class_stay_two():
    segment_map = np.full((64, 120), 2, np.int32)
    segment_map[:, 60:] = 3  # the border lies in the overlap
    scene = (np.zeros((64, 120), np.int32), segment_map)
    found = _merge(scene, Tiling(80, 0.4))
    assert len(found.instances) == len(found.segments) == 2
    assert sorted(x.area for x in found.instances) == [64 * 60, 64 * 60]


def test_what_a_neighbour_does_not_see_stays_what_it_is(scene):
    boxes = []

    def predict(scene, box):
        boxes.append(box)
        found = _predict(scene, box)
        if len(boxes) == 2:  # this one sees nothing
            segment_map = np.zeros_like(found.segment_map)
            label_map = np.full_like(found.label_map, 255)
            return ImageResult(
                'x', found.image, WORDS, label_map, (), segment_map, ()
            )
        return found

    found = _merge(scene, Tiling(64, 0.3), predict)
    tile = Tiling(64, 0.3).tiles((150, 200))[1]
    assert (cut(found.segment_map, tile.own) == 0).all()
    assert (cut(found.label_map, tile.own) == 255).all()
    assert found.segment_map.max() == len(found.segments)


def test_the_inferencer_in_tiles(tiny_inferencer, noise):
    photo = np.tile(noise(64, 64), (2, 2, 1))
    words = ['cat', 'dog', 'grass']
    whole = tiny_inferencer(photo, words, things=['cat', 'dog'], tile=128)
    plain = tiny_inferencer(photo, words, things=['cat', 'dog'])
    np.testing.assert_array_equal(whole[0].label_map, plain[0].label_map)
    np.testing.assert_array_equal(
        whole[0].segment_map > 0, plain[0].segment_map > 0
    )
    assert whole[0].notes == ()
    (parts,) = tiny_inferencer(
        photo, words, things=['cat', 'dog'], tile=64, overlap=0, batch_size=3
    )
    alone = tiny_inferencer(
        [cut(photo, box) for box in [(0, 0, 64, 64), (64, 64, 128, 128)]],
        words,
        things=['cat', 'dog'],
    )
    np.testing.assert_array_equal(
        parts.label_map[:64, :64], alone[0].label_map
    )
    np.testing.assert_array_equal(
        parts.label_map[64:, 64:], alone[1].label_map
    )
    assert parts.notes == ('predicted in 4 tiles',)
    np.testing.assert_array_equal(parts.image, photo[..., ::-1])
    with pytest.raises(ValueError, match='tile: expected'):
        tiny_inferencer(photo, words, tile=1)
    with pytest.raises(ValueError, match='raw=True gives the scores of one'):
        tiny_inferencer(photo, words, tile=64, raw=True)
