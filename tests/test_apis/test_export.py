import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from freeseg_mm.apis import ImageResult, Instance, PanopticSegment
from freeseg_mm.apis.writer import ResultWriter
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.panoptic_png import decode_panoptic_png
from freeseg_mm.visualization import class_colours, class_patterns

WORDS = Vocabulary.from_names(['cat', 'grass'], things=['cat'])
CAT = np.zeros((4, 6), bool)
CAT[1:3, 2:5] = True


@pytest.fixture
def result():
    """A cat, columns 2 to 4 of rows 1 and 2, on grass."""
    return ImageResult(
        source='folder/pets.png',
        image=np.full((4, 6, 3), 128, np.uint8),
        vocabulary=WORDS,
        label_map=np.where(CAT, 0, 1).astype(np.int32),
        instances=(Instance.from_mask(0, 'cat', 0.75, CAT),),
        segment_map=np.where(CAT, 1, 2).astype(np.int32),
        segments=(
            PanopticSegment(1, 0, 'cat', True, 0.5, 6),
            PanopticSegment(2, 1, 'grass', False, 0.25, 18),
        ),
    )


@pytest.fixture
def nothing():
    """No task was predicted."""
    return ImageResult(
        source='empty.png',
        image=np.zeros((4, 6, 3), np.uint8),
        vocabulary=WORDS,
    )


def test_numpy(result, nothing):
    arrays = result.to_numpy()
    np.testing.assert_array_equal(arrays['masks'], CAT[None])
    assert arrays['mask_labels'].tolist() == [0]
    assert arrays['mask_scores'].tolist() == [0.75]
    assert arrays['mask_boxes'].tolist() == [[2, 1, 5, 3]]
    assert arrays['segment_ids'].tolist() == [1, 2]
    assert arrays['segment_labels'].tolist() == [0, 1]
    assert arrays['segment_scores'].tolist() == [0.5, 0.25]
    assert arrays['label_map'] is result.label_map
    assert nothing.to_numpy() == {}


def test_pixels_of_no_class_and_no_segment(result, nothing, tmp_path):
    assert nothing.void_share == {}
    assert result.void_share == {Task.SEMANTIC: 0, Task.PANOPTIC: 0}
    label_map, segment_map = result.label_map.copy(), result.segment_map.copy()
    label_map[:2] = 255
    segment_map[0] = 0
    found = replace(result, label_map=label_map, segment_map=segment_map)
    assert found.void_share == {Task.SEMANTIC: 0.5, Task.PANOPTIC: 0.25}
    regions = found.regions()[Task.SEMANTIC]
    assert [region.label for region in regions.regions] == [0, 1]
    np.testing.assert_array_equal(regions.ignored, label_map == 255)
    assert [part['area'] for part in found.to_json()['semantic']] == [3, 9]
    assert found.plot('semantic').size == (6, 4)


def test_numpy_without_any_object(nothing):
    empty = ImageResult(
        'a', nothing.image, WORDS, instances=(), segment_map=CAT, segments=()
    )
    arrays = empty.to_numpy()
    assert arrays['masks'].shape == (0, 4, 6)
    assert arrays['mask_boxes'].shape == (0, 4)
    assert arrays['segment_ids'].shape == (0,)


def test_coco(result, nothing):
    (row,) = result.to_coco(image_id=7)
    assert json.loads(json.dumps(row)) == row
    counts = row.pop('segmentation')
    np.testing.assert_array_equal(coco_mask.decode(counts), CAT)
    assert row == {
        'image_id': 7,
        'category_id': 1,
        'bbox': [2.0, 1.0, 3.0, 2.0],
        'area': 6,
        'iscrowd': 0,
        'score': 0.75,
    }
    with pytest.raises(ValueError, match='no instance result; predict it'):
        nothing.to_coco()


def test_json(result):
    content = result.to_json()
    assert json.loads(json.dumps(content)) == content
    assert (content['height'], content['width']) == (4, 6)
    assert content['classes'] == [
        {'id': 1, 'name': 'cat', 'isthing': 1},
        {'id': 2, 'name': 'grass', 'isthing': 0},
    ]
    expected = {
        'semantic': [('cat', 6), ('grass', 18)],
        'instances': [('cat', 6)],
        'panoptic': [('cat', 6), ('grass', 18)],
    }
    for task, entries in expected.items():
        assert [(e['name'], e['area']) for e in content[task]] == entries
        for entry in content[task]:
            mask = coco_mask.decode(entry['segmentation']).astype(bool)
            wanted = CAT if entry['name'] == 'cat' else ~CAT
            np.testing.assert_array_equal(mask, wanted)
    for entries in map(result.to_json(with_masks=False).get, expected):
        assert all('segmentation' not in entry for entry in entries)


def test_panoptic_png(result, nothing, tmp_path):
    row = result.save_panoptic(tmp_path / 'pets.png', image_id=3)
    np.testing.assert_array_equal(
        decode_panoptic_png(tmp_path / 'pets.png'), result.segment_map
    )
    content = json.loads((tmp_path / 'pets.json').read_text())
    assert content['annotations'] == [row]
    assert content['images'] == [
        {'id': 3, 'file_name': 'pets.png', 'height': 4, 'width': 6}
    ]
    assert row['file_name'] == 'pets.png'
    assert row['segments_info'][0] == {
        'id': 1,
        'category_id': 1,
        'area': 6,
        'bbox': [2, 1, 3, 2],
        'iscrowd': 0,
        'score': 0.5,
    }
    with pytest.raises(ValueError, match=r'a.jpg: expected a name that ends'):
        result.save_panoptic(tmp_path / 'a.jpg')
    with pytest.raises(ValueError, match='no panoptic result'):
        nothing.save_panoptic(tmp_path / 'b.png')


class Detections(SimpleNamespace):
    """What is used of supervision's class, when that is not installed."""

    @classmethod
    def empty(cls):
        return cls(xyxy=np.zeros((0, 4)))


@pytest.fixture
def supervision(monkeypatch):
    try:
        import supervision
    except ImportError:
        supervision = SimpleNamespace(Detections=Detections)
        monkeypatch.setitem(sys.modules, 'supervision', supervision)
    return supervision


def test_supervision(result, nothing, supervision):
    found = result.to_supervision()
    assert isinstance(found, supervision.Detections)
    assert found.xyxy.tolist() == [[2, 1, 5, 3]]
    np.testing.assert_array_equal(found.mask, CAT[None])
    assert found.confidence.tolist() == [0.75]
    assert found.class_id.tolist() == [0]
    assert found.data['class_name'].tolist() == ['cat']
    panoptic = ImageResult(
        'a',
        result.image,
        WORDS,
        segment_map=result.segment_map,
        segments=result.segments,
    ).to_supervision()
    assert panoptic.xyxy.tolist() == [[2, 1, 5, 3], [0, 0, 6, 4]]
    assert panoptic.data['class_name'].tolist() == ['cat', 'grass']
    empty = ImageResult('a', result.image, WORDS, instances=())
    assert empty.to_supervision().xyxy.shape == (0, 4)
    with pytest.raises(ValueError, match='no instance or panoptic result'):
        nothing.to_supervision()


def test_supervision_itself(result):
    """The package accepts what it is given, and works with it."""
    package = pytest.importorskip('supervision')
    found = result.to_supervision()
    assert isinstance(found, package.Detections)
    assert len(found) == 1
    assert found.area.tolist() == [CAT.sum()]
    assert len(found[found.confidence > 0.8]) == 0
    (name,) = found['class_name']
    assert name == 'cat'


def test_without_supervision_it_says_what_to_install(result, monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(ImportError, match='`pip install supervision`'):
        result.to_supervision()


def test_picture(result, nothing):
    picture = np.asarray(result.plot())
    for colour in class_colours(WORDS.names):
        near = np.abs(picture.astype(int) - colour).max(axis=2) < 60
        assert near.mean() > 0.01
    with pytest.raises(ValueError, match='max_side: expected at least 1'):
        result.plot(max_side=0)
    with pytest.raises(ValueError, match='nothing to draw'):
        nothing.plot()


def test_pattern_of_a_name_is_the_same_in_all_frames(result):
    """Those of single pictures depend on what else is found in them."""
    names = [f'name {number}' for number in range(40)]
    patterns = class_patterns(range(40), names)
    first, second = (
        next(n for n in range(40) if bool(patterns[n]) == inked)
        for inked in (True, False)
    )
    found = ImageResult(
        source='clip.avi',
        image=np.full((32, 32, 3), 128, np.uint8),
        vocabulary=Vocabulary.from_names(names, things=[]),
        label_map=np.full((32, 32), first, np.int32),
    )
    both = np.where(np.arange(32) < 16, first, second)
    frames = [
        replace(found, frame=0),
        replace(
            found, frame=1, label_map=np.tile(both.astype(np.int32), (32, 1))
        ),
    ]
    corner = np.s_[2:8, 2:10]  # without names and outlines
    one, other = (
        np.asarray(frame.plot('semantic'))[corner] for frame in frames
    )
    np.testing.assert_array_equal(one, other)
    assert (one != np.asarray(found.plot('semantic'))[corner]).any()


def test_overlay(result, nothing):
    """One picture of the image's size, each name in its colour."""
    for task in ('semantic', 'instance', 'panoptic'):
        picture = result.plot(task)
        assert picture.size == (6, 4)
        assert picture.mode == 'RGB'
        assert (np.asarray(picture) != result.image).any()
    assert result.plot(Task.PANOPTIC) == result.plot('panoptic')
    assert result.plot('panoptic', max_side=3).size == (3, 2)
    with pytest.raises(ValueError, match='no panoptic result; predict it'):
        nothing.plot('panoptic')
    with pytest.raises(ValueError, match=r"unknown task \['boxes'\]"):
        result.plot('boxes')


def test_a_frame_of_a_video(result, tmp_path):
    """Its number tells it from the others in all that is written."""
    frame = replace(
        result, source='folder/my clip.mp4', frame=12, seconds=0.48
    )
    assert frame.title == 'folder/my clip.mp4 frame 12'
    assert frame.stem == 'my_clip_000012'
    assert (result.title, result.stem) == ('folder/pets.png', 'pets')
    content = frame.to_json()
    assert (content['frame'], content['seconds']) == (12, 0.48)
    assert 'frame' not in result.to_json()
    ResultWriter(tmp_path, ['json'], [frame.source], WORDS).write(frame)
    assert (tmp_path / 'json/my_clip_000012.json').is_file()
    frame.save_panoptic(tmp_path / 'a.png')
    (image,) = json.loads((tmp_path / 'a.json').read_text())['images']
    assert image['file_name'] == 'my_clip_000012.png'


def test_a_large_picture_is_made_smaller(result):
    """Each pixel 300 times as large gives nearly the same picture."""
    big = ImageResult(
        source=result.source,
        image=result.image.repeat(300, 0).repeat(300, 1),
        vocabulary=WORDS,
        label_map=result.label_map.repeat(300, 0).repeat(300, 1),
    )
    picture = big.plot(max_side=384)
    assert picture.height < 2 * 384
    assert picture.width < 3 * 384
