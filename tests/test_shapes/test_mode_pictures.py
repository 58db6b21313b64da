import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

from freeseg_mm.shapes import mode_scores as mode_pictures
from freeseg_mm.shapes.mode_scores import choose_unseen, picture_modes
from freeseg_mm.structures import Task
from freeseg_mm.visualization import gt_regions

MODES = {'queries': 'query', 'both': 'geometric'}


@pytest.fixture
def runner(tiny_run_config):
    torch.manual_seed(0)
    return Runner.from_cfg(tiny_run_config)


@pytest.fixture
def dataset(runner):
    return runner.test_loop.dataloader.dataset


def test_chosen_images_show_unseen_classes(dataset):
    vocabulary = dataset.vocabulary
    unseen_of = [
        {
            segment['label']
            for segment in dataset.get_data_info(index)['segments']
            if not vocabulary.is_seen[segment['label']]
        }
        for index in range(len(dataset))
    ]
    chosen = choose_unseen(dataset, 2)
    assert 1 <= len(chosen) <= 2
    assert len(unseen_of[chosen[0]]) == max(map(len, unseen_of)) > 0


def test_truth_and_each_mode_are_drawn(runner, dataset, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        mode_pictures, 'panel', lambda *args, **options: drawn.append(args)
    )
    picture_modes(runner.model, dataset, 1, MODES)
    ((image, rows, vocabulary),) = drawn
    sample = dataset[1]['data_samples'].to_dict()
    with Image.open(sample['img_path']) as file:
        np.testing.assert_array_equal(image, np.asarray(file))
    assert vocabulary == dataset.vocabulary
    assert list(rows) == ['ground truth', 'queries', 'both']
    gt = gt_regions(sample, vocabulary)
    for task in Task:
        found, expected = rows['ground truth'][task].regions, gt[task].regions
        assert [r.label for r in found] == [r.label for r in expected]
        assert all(task in rows[mode] for mode in MODES)
    assert runner.model.predict_options.mode == 'geometric'


def test_same_picture_again(runner, dataset):
    """Nothing of the first drawing may change the second."""
    pictures = [
        picture_modes(runner.model, dataset, 0, MODES, scale=1)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*pictures)
