"""Checkpoints: notes read without the weights, and models built with them."""

import hashlib
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.models.segmentors.text_cache import tensor_bytes
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.errors import building
from freeseg_mm.utils.run_config import use_scope
from freeseg_mm.utils.torch_load import load_data, require_finite

from .compatibility_hook import KEY
from .config_data import parse_config

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
        if not path.is_file():
            raise FileNotFoundError(f'no checkpoint {path}')
        try:
            content = load_data(path, mmap=True)
        # an unpickler that reads garbage raises about everything
        except Exception as error:
            reason = str(error).partition('\n')[0] or type(error).__name__
            raise ValueError(
                f'{path}: not a checkpoint that can be read ({reason})'
            ) from error
        _check_content(content, path)
        return cls(path, content)

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Vocabulary of the training, if the checkpoint says it.

        Raises:
            ValueError: If it is none.
        """
        meta = self._meta.get('dataset_meta') or {}
        if 'vocabulary' not in meta:
            return None
        try:
            return Vocabulary.from_dict(meta['vocabulary'])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f'{self.path}: its vocabulary is damaged ({error})'
            ) from error

    @property
    def _meta(self) -> Mapping[str, Any]:
        return self.content.get('meta') or {}

    def config(self) -> Config:
        """The config that the weights were trained with, read as data.

        Raises:
            ValueError: If the checkpoint does not carry it, or it is more
                than data; see :func:`parse_config`.
        """
        text = self._meta.get('cfg')
        if text is None:
            raise ValueError(
                f'{self.path}: the checkpoint does not carry its config; '
                'give the config file too'
            )
        try:
            config = parse_config(text)
            if not isinstance(config.get('model'), dict):
                raise ValueError("the config lacks a 'model'")
        except ValueError as error:
            raise ValueError(
                f'{self.path}: {error}; if you trust it, give its config '
                'file and the checkpoint'
            ) from error
        return config

    def check(self, model: torch.nn.Module) -> None:
        """Refuse weights that belong to another model, before they load.

        Raises:
            ValueError: If parameters are missing, left over, of another
                shape or not finite, or CLIP is not the one of the training.
        """
        if KEY in self.content and isinstance(model, FreeSeg):
            model.clip.check_notes(self.content[KEY], str(self.path))
        state, model_state = self.content['state_dict'], model.state_dict()
        stored, wanted = _shapes(state), _shapes(model_state)
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
        for name, value in state.items():
            kind = model_state[name].dtype
            if value.is_floating_point() != kind.is_floating_point:
                raise ValueError(
                    f'{self.path}: {name} is {value.dtype}, expected {kind}'
                )
        require_finite(state, self.path)


def latest_checkpoint(work_dir: Path) -> Path | None:
    """Newest whole checkpoint of a run, also where its note was cut short.

    mmengine names it in ``last_checkpoint``; a process that was killed
    meanwhile leaves that file empty, or the checkpoint unfinished.

    Returns:
        ``None`` if the run has written none.
    """
    note = work_dir / 'last_checkpoint'
    if not note.is_file():
        return None
    named = Path(note.read_text(errors='replace').strip())
    others = [
        path
        for path in work_dir.glob('*.pth')
        if re.fullmatch(r'(iter|epoch)_\d+', path.stem)
    ]
    others.sort(key=lambda path: int(path.stem.split('_')[1]), reverse=True)
    # the folder may have been moved since
    moved = [work_dir / named.name] if named.name else []
    for path in dict.fromkeys([named, *moved, *others]):
        if not path.is_file():
            continue
        try:
            WeightsInfo.read(path)
        except ValueError as error:
            print_log(f'{error}; an older one is taken', 'current', 30)
        else:
            return path
    return None


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
    use_scope(config)
    if weights is not None:  # they hold the backbone's
        config.model.backbone.init_cfg = None
    with building('model'):
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
        meta = weights.content.get('meta') or {}
        model.dataset_meta = dict(meta.get('dataset_meta') or {})
    model.cfg = config  # as mmdet's functions expect
    return model.to(place).eval()


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """Digest of parameters, 16 hexadecimal digits.

    A checkpoint's file holds the time of writing, too.
    """
    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(tensor_bytes(value))
    return digest.hexdigest()[:16]


def _check_content(content: Any, path: Path) -> None:
    """Refuse what training does not write.

    Raises:
        ValueError: Naming the file, what was expected and what is there.
    """
    if not isinstance(content, Mapping) or 'state_dict' not in content:
        raise ValueError(
            f'{path}: not a checkpoint that training wrote; it has no '
            "'state_dict'"
        )
    state = content['state_dict']
    meta = content.get('meta')
    if isinstance(meta, dict) and 'config' in meta:
        # of old versions; today's writes 'cfg', and runs this in a resume
        raise ValueError(
            f"{path}: its meta holds 'config', code that mmengine would run; "
            'delete the entry'
        )
    dataset_meta = meta.get('dataset_meta') if isinstance(meta, dict) else None
    notes = content.get(KEY)
    for name, value, kinds in (
        ('state_dict', state, Mapping),
        ('meta', meta, dict | None),
        ("meta['dataset_meta']", dataset_meta, dict | None),
        (KEY, notes, dict if KEY in content else type(None)),
    ):
        if not isinstance(value, kinds):
            raise ValueError(
                f'{path}: {name} is a {type(value).__name__}, expected a '
                'dictionary'
            )
    for name, value in state.items():
        if not isinstance(name, str) or not _is_plain(value):
            raise ValueError(
                f'{path}: entry {name!r} of its state_dict is no dense tensor '
                f'({type(value).__name__})'
            )
    for name in ('clip', 'clip_model') if notes is not None else ():
        value = (notes or {}).get(name)
        if not isinstance(value, str):
            raise ValueError(
                f'{path}: {KEY}[{name!r}] is {value!r}, expected text'
            )


def _is_plain(value: Any) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == 'cpu'
        and not (value.is_quantized or value.is_complex() or value.is_nested)
    )


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
        if device.type != 'cuda':  # of one of these, too, torch may know
            torch.zeros(1, device=device).item()
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
