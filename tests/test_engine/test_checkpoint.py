import pytest
import torch
from inference_fixtures import *  # noqa: F403
from mmengine.config import Config

from freeseg_mm.engine.checkpoint import WeightsInfo, build_model


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint .*gone\.pth'):
        WeightsInfo.read(tmp_path / 'gone.pth')


def test_model_has_the_weights_and_leaves_the_config(tiny_weights):
    path, checkpoint = tiny_weights
    config = Config.fromfile(path)
    config.model.backbone.init_cfg = {
        'type': 'Pretrained',
        'checkpoint': 'gone.pth',
    }
    weights = WeightsInfo.read(checkpoint)

    model = build_model(config, weights, 'cpu')

    assert not model.training
    assert config.model.backbone.init_cfg.checkpoint == 'gone.pth'
    state = weights.content['state_dict']
    assert model.state_dict().keys() == state.keys()
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
