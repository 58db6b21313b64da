import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

from freeseg_mm.engine.mode_pictures import choose_unseen, picture_modes
from freeseg_mm.visualization import panel, truth_regions

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


def test_picture_has_a_row_for_truth_and_each_mode(runner, dataset):
    model = runner.model
    picture = picture_modes(model, dataset, 1, MODES, scale=1)
    sample = dataset[1]['data_samples'].to_dict()
    truth = truth_regions(sample, dataset.vocabulary)
    image = np.asarray(Image.open(sample['img_path']))
    alone = panel(image, {'truth': truth}, dataset.vocabulary, scale=1)
    caption, gap, side = 22, 6, 64
    # 64-pixel image and truth are the same, to the right of the legend
    first_row = picture[: caption + side, -3 * (side + gap) :]
    np.testing.assert_array_equal(
        first_row, alone[: caption + side, -3 * (side + gap) :]
    )
    assert picture.shape[0] >= 3 * (caption + side + gap)
    assert model.test_cfg.ensemble.mode == 'geometric'


def test_same_picture_again(runner, dataset):
    """Nothing of the first drawing may change the second."""
    pictures = [
        picture_modes(runner.model, dataset, 0, MODES, scale=1)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*pictures)
