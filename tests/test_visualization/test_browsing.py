import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.structures import FIRST_SEGMENT_ID, Task, Vocabulary
from freeseg_mm.utils.panoptic_png import encode_panoptic_png
from freeseg_mm.visualization.browsing import (
    choose_images,
    sample_pictures,
    sample_view,
    spread_indices,
)


@pytest.fixture
def dataset(tiny_run_config):
    return build_dataset(dataset_configs(tiny_run_config, 'train')[0])


def test_indices_are_spread_over_the_data():
    assert spread_indices(10, 4) == [0, 2, 5, 7]
    assert spread_indices(3, 8) == [0, 1, 2]


def test_no_picture_is_refused():
    with pytest.raises(ValueError, match='at least 1 picture, got 0'):
        spread_indices(10, 0)


def test_same_seed_gives_the_same_pictures(dataset):
    def draw(**options):
        return dict(sample_pictures(dataset, 3, **options))

    first, again, other = draw(), draw(seed=0), draw(seed=5)
    assert len(first) == 3
    for name, picture in first.items():
        np.testing.assert_array_equal(picture, again[name])
    assert any(
        first[name].shape != other[name].shape
        or (first[name] != other[name]).any()
        for name in first
    )


def test_file_names_hold_index_and_image(dataset):
    names = [name for name, _ in sample_pictures(dataset, 2)]
    assert names == ['000000_000001.png', '000004_000005.png']


def test_seed_is_written_if_asked(dataset):
    ((_, plain),) = sample_pictures(dataset, 1)
    ((_, with_seed),) = sample_pictures(dataset, 1, show_seed=True)
    differing = np.argwhere((plain != with_seed).any(axis=2))
    # in the line over the image alone
    assert len(differing)
    assert differing[:, 0].max() < 22


def test_one_column_a_task(dataset):
    ((_, one),) = sample_pictures(dataset, 1, tasks=[Task.SEMANTIC])
    ((_, three),) = sample_pictures(dataset, 1)
    assert three.shape[1] > 1.5 * one.shape[1]


def test_refused_sample_is_named(dataset):
    dataset.pipeline.transforms.insert(1, lambda results: None)
    with pytest.raises(
        ValueError, match='000001.jpg: the pipeline refuses it with seed 4'
    ):
        list(sample_pictures(dataset, 1, seed=4))


@pytest.mark.parametrize(
    ('labels', 'wanted', 'count', 'expected'),
    [
        # 1 shows two of the wanted, then only 3 shows the third
        ([{1}, {1, 2}, {2}, {3}], {1, 2, 3}, 2, [1, 3]),
        # nothing new is left: all count again, 0 comes before 2
        ([{1}, {1, 2}, {2}, {3}], {1, 2, 3}, 4, [1, 3, 0, 2]),
        # images without a wanted class are never shown
        ([{5}, {1}, set()], {1, 2}, 3, [1]),
        # unwanted classes do not count; the first of equals is taken
        ([{1, 7}, {1, 7, 8, 9}], {1}, 1, [0]),
        # more wanted classes decide between images with as many new ones
        ([{1, 2}, {1, 3}, {2, 3, 4}, {3, 4, 1}], {1, 2, 3, 4}, 2, [2, 3]),
        ([{1}], {1}, 0, []),
        ([], {1}, 2, []),
    ],
)
def test_choice(labels, wanted, count, expected):
    assert choose_images(labels, wanted, count) == expected


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
    assert (view.source, view.note) == ('ground truth', '3 x 2')
    things = view.regions[Task.INSTANCE].regions
    assert [region.mask.sum() for region in things] == [4, 4]


def test_sample_without_ground_truth_is_refused():
    with pytest.raises(
        ValueError, match='packs neither gt_sem_seg nor seg_map_path'
    ):
        sample_view(packed(segments=SEGMENTS))


def test_what_is_not_packed_is_refused():
    with pytest.raises(ValueError, match=r"gives \['img'\], expected inputs"):
        sample_view({'img': 0})
