"""Models to measure, from configs, without any download."""

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from freeseg_mm.registry import MODELS
from freeseg_mm.utils.quiet import quiet_logger
from freeseg_mm.utils.run_config import check_options


def read_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config file and override entries of it.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If an option could have no effect.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no config file {path!r}')
    config = Config.fromfile(path)
    if options:
        check_options(config, options)
        config.merge_from_dict(options)
    return config


def build_model(
    config: ConfigDict,
    *,
    device: torch.device,
    seed: int,
    checkpoint: str | None = None,
) -> Any:
    """Build a model.

    Args:
        config: Config of the model.
        device: Where to put it.
        seed: Of random weights.
        checkpoint: Weights; without, all weights are random, CLIP's too.

    Returns:
        The model in eval mode.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
    """
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint!r}')
    config = copy.deepcopy(config)
    if checkpoint is None:
        _forget_weights(config)
        if 'clip' in config:
            config.clip.pretrained = 'random'
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    with quiet_logger():
        model = MODELS.build(config)
        model.init_weights()
        if checkpoint is not None:
            load_checkpoint(model, checkpoint, map_location='cpu')
    return model.to(device).eval()


def _forget_weights(config: Any) -> None:
    """Take every weight file out of a config."""
    children = config
    if isinstance(config, dict):
        init_cfg = config.get('init_cfg')
        if isinstance(init_cfg, dict) and init_cfg['type'] == 'Pretrained':
            config['init_cfg'] = None
        children = config.values()
    elif not isinstance(config, list | tuple):
        return
    for child in children:
        _forget_weights(child)
