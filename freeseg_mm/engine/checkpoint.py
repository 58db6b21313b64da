"""Checkpoints: notes read without the weights, and models built with them."""

import pickle
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Vocabulary

from .compatibility_hook import KEY

_SHOWN = 3


@dataclass(frozen=True, eq=False)
class WeightsInfo:
    """A checkpoint's notes.

    Attributes:
        path: The file.
        content: All of it; tensors stay on disk until they are used.
    """

    path: Path
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> 'WeightsInfo':
        """Open a checkpoint.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is none, or holds no model.
        """
        try:
            content = torch.load(
                path, map_location='cpu', mmap=True, weights_only=True
            )
        except FileNotFoundError:
            raise FileNotFoundError(f'no checkpoint {path}') from None
        except (RuntimeError, OSError, EOFError, pickle.PickleError) as error:
            raise ValueError(
                f'{path}: not a checkpoint that can be read '
                f'({str(error).splitlines()[0]})'
            ) from error
        if not isinstance(content, Mapping) or 'state_dict' not in content:
            raise ValueError(
                f'{path}: not a checkpoint that training wrote; it has no '
                "'state_dict'"
            )
        return cls(path, content)

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Vocabulary of the training, if the checkpoint says it."""
        meta = self.content.get('meta', {}).get('dataset_meta') or {}
        if 'vocabulary' not in meta:
            return None
        return Vocabulary.from_dict(meta['vocabulary'])

    def config(self) -> Config:
        """The config that the weights were trained with.

        Raises:
            ValueError: If the checkpoint does not carry it.
        """
        text = self.content.get('meta', {}).get('cfg')
        if text is None:
            raise ValueError(
                f'{self.path}: the checkpoint does not carry its config; '
                'give the config file too'
            )
        return Config.fromstring(text, file_format='.py')

    def check(self, model: FreeSeg) -> None:
        """Refuse weights that belong to another model, before they load.

        Raises:
            ValueError: If parameters are missing, left over or of another
                shape, or CLIP is not the one of the training.
        """
        if KEY in self.content:
            model.clip.check_notes(self.content[KEY], str(self.path))
        stored = _shapes(self.content['state_dict'])
        wanted = _shapes(model.state_dict())
        different = sorted(
            name
            for name in stored.keys() | wanted.keys()
            if stored.get(name) != wanted.get(name)
        )
        if different:
            raise ValueError(
                f'{self.path} does not fit the config: {len(different)} of '
                f'{len(wanted)} parameters differ, as '
                + ', '.join(
                    f'{name} ({_shape(wanted, name)} wanted, '
                    f'{_shape(stored, name)} in the file)'
                    for name in different[:_SHOWN]
                )
            )


def build_model(
    config: Config, weights: WeightsInfo | None, device: str | None = None
) -> FreeSeg:
    """Build a model in eval mode.

    Args:
        config: The run's config; it is not changed.
        weights: The checkpoint; ``None`` for random weights.
        device: As ``cpu`` or ``cuda:0``; default CUDA if there is one.

    Raises:
        ValueError: If there is no such device, the config builds another
            model, or the weights do not fit it.
    """
    place = _device(device)
    config = deepcopy(config)
    init_default_scope(config.get('default_scope', 'mmdet'))
    if weights is not None:  # they hold the backbone's
        config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    if not isinstance(model, FreeSeg):
        raise ValueError(
            f'the config builds a {type(model).__name__}, not a '
            'freeseg_mm.FreeSeg'
        )
    if weights is None:
        model.init_weights()
    else:
        weights.check(model)
        model.load_state_dict(weights.content['state_dict'])
        meta = weights.content.get('meta', {}).get('dataset_meta')
        model.dataset_meta = dict(meta or {})
    model.cfg = config  # as mmdet's functions expect
    return model.to(place).eval()


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f'no device {name!r}; give cpu, cuda or cuda:0'
        ) from error
    if device.type == 'cuda' and (
        (device.index or 0) >= torch.cuda.device_count()
    ):
        raise ValueError(
            f'no device {name!r}: PyTorch sees {torch.cuda.device_count()} '
            'CUDA devices'
        )
    return device


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return str(shapes.get(name, 'none'))
