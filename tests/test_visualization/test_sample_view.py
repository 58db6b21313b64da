import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from freeseg_mm.structures import FIRST_SEGMENT_ID, Task, Vocabulary
from freeseg_mm.utils.panoptic_png import encode_panoptic_png
from freeseg_mm.visualization.sample_view import sample_view

VOCABULARY = Vocabulary.from_names(['cat', 'sky'], things=['cat'], unseen=())
FIRST = FIRST_SEGMENT_ID
# two cats, sky, a crowd of cats, void
SEGMENTS = [
    {'id': FIRST, 'label': 0, 'iscrowd': 0},
    {'id': FIRST + 1, 'label': 0, 'iscrowd': 0},
    {'id': FIRST + 2, 'label': 1, 'iscrowd': 0},
    {'id': FIRST + 3, 'label': 0, 'iscrowd': 1},
]
IDS = np.array([[1, 2, 3], [0, 3, 4]])


def packed(**meta):
    inputs = torch.zeros(3, 2, 3)
    inputs[0] = 20.4  # blue
    inputs[2] = 300  # red
    sample = DetDataSample(metainfo={'vocabulary': VOCABULARY, **meta})
    return {'inputs': inputs, 'data_samples': sample}


@pytest.fixture
def training_sample():
    content = packed(segments=SEGMENTS, flip=True, task=Task.INSTANCE)
    ids = np.where(IDS > 0, IDS + FIRST - 1, 0)
    content['data_samples'].gt_sem_seg = PixelData(
        sem_seg=torch.from_numpy(ids)[None]
    )
    return content


def masks(regions):
    return [(r.label, (r.mask * IDS).max()) for r in regions.regions]


def test_targets_of_each_task(training_sample):
    view = sample_view(training_sample)
    assert view.source == 'targets'
    ignored = [[False] * 3, [True, False, True]]
    for regions in view.regions.values():
        assert regions.ignored.tolist() == ignored
    semantic, instance, panoptic = (view.regions[task] for task in Task)
    assert [region.label for region in semantic.regions] == [0, 1]
    assert semantic.regions[0].mask.tolist() == [
        [True, True, False],
        [False] * 3,
    ]
    assert masks(instance) == [(0, 1), (0, 2)]
    assert masks(panoptic) == [(0, 1), (0, 2), (1, 3)]


def test_image_is_rgb_and_whole_numbers(training_sample):
    view = sample_view(training_sample)
    assert view.image.dtype == np.uint8
    assert view.image.shape == (2, 3, 3)
    assert (view.image == [255, 0, 20]).all()


def test_note_says_what_the_pipeline_did(training_sample):
    assert (
        sample_view(training_sample).note == '3 x 2, flipped, instance drawn'
    )


def test_test_sample_shows_its_files_at_their_size(tmp_path):
    ids = np.kron(IDS, np.ones((2, 2), int))
    encode_panoptic_png(ids, tmp_path / 'a.png')
    segments = [{**s, 'id': s['id'] - FIRST + 1} for s in SEGMENTS]
    view = sample_view(
        packed(
            segments=segments,
            seg_map_path=str(tmp_path / 'a.png'),
            ori_shape=(4, 6),
        )
    )
    assert view.image.shape == (4, 6, 3)
    assert (view.source, view.note) == ('truth', '3 x 2')
    things = view.regions[Task.INSTANCE].regions
    assert [region.mask.sum() for region in things] == [4, 4]


def test_sample_without_truth_is_refused():
    with pytest.raises(
        ValueError, match='packs neither gt_sem_seg nor seg_map_path'
    ):
        sample_view(packed(segments=SEGMENTS))


def test_what_is_not_packed_is_refused():
    with pytest.raises(ValueError, match=r"gives \['img'\], expected inputs"):
        sample_view({'img': 0})
