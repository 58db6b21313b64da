import numpy as np
import pytest

from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.structures import Task
from freeseg_mm.visualization.browsing import sample_pictures, spread_indices


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
