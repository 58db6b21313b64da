"""A frozen open_clip model: the text and image knowledge of FreeSeg.

Paper: Radford et al., "Learning Transferable Visual Models From Natural
Language Supervision", ICML 2021. Weights keep the licence of whoever
released them; open_clip's model cards name it.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from freeseg_mm.registry import MODELS
from freeseg_mm.utils.files import find_path, parse_json

from .text_tower import TextTower

RANDOM_WEIGHTS = 'random'


class HiddenModule(nn.Module):
    """Keep a frozen module out of state dict, optimizer, DDP and EMA.

    The held module follows ``to``, ``cuda``, ``half`` and the like and
    stays in eval mode.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._holder = [module]

    @property
    def module(self) -> nn.Module:
        """The held module."""
        return self._holder[0]

    def _apply(
        self,
        fn: Callable[[torch.Tensor], torch.Tensor],
        *args: Any,
        **kwargs: Any,
    ) -> 'HiddenModule':
        self.module._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)


@MODELS.register_module()
class FrozenCLIP(BaseModule):
    """Both towers of a CLIP, never trained and never in a checkpoint.

    Its weights come from ``pretrained`` each time the model is built, so
    that checkpoints hold only what training changed.

    Args:
        model: An open_clip model name (``ViT-B-16``), or the path of an
            open_clip model config (``.json``); one of the package is found
            from every folder, as ``configs/clip/shapes_clip.json``.
        pretrained: A tag open_clip knows for that model (``openai``), the
            path of a weight file (open_clip ``.pt`` or ``.safetensors``, or
            an OpenAI archive), or ``'random'`` for untrained weights, which
            is only good for testing the code.
        quick_gelu: Activation of the weights. ``None`` takes what the tag
            declares, true for an OpenAI archive, and what the model config
            says otherwise.

    Raises:
        ValueError: If the model is unknown or its file no open_clip config.
        FileNotFoundError: If a path does not exist or the tag is unknown;
            the message lists the model's tags.
        RuntimeError: If the weights cannot be fetched or do not fit.
        TypeError: If its text tower cannot take learned vectors; see
            :class:`TextTower`.
    """

    def __init__(
        self,
        *,
        model: str,
        pretrained: str,
        quick_gelu: bool | None = None,
    ) -> None:
        super().__init__()
        self.model_name = _resolve_model(model)
        self.pretrained = pretrained
        clip = _create(self.model_name, pretrained, quick_gelu)
        self._hidden = HiddenModule(clip.eval().requires_grad_(False))
        self.text = TextTower(clip, open_clip.get_tokenizer(self.model_name))
        self.register_buffer(
            'mean', _column(clip.visual.image_mean), persistent=False
        )
        self.register_buffer(
            'std', _column(clip.visual.image_std), persistent=False
        )
        self._fingerprint = _fingerprint(clip)
        self._logit_scale = clip.logit_scale.exp().item()

    @property
    def clip(self) -> Any:
        """The open_clip model, as untyped as open_clip is."""
        return self._hidden.module

    @property
    def embed_dim(self) -> int:
        """Width D of the joint space."""
        return self.text.embed_dim

    @property
    def logit_scale(self) -> float:
        """Factor CLIP learned to put before its cosines; 100 in OpenAI's."""
        return self._logit_scale

    @property
    def image_size(self) -> tuple[int, int]:
        """Size the image tower was trained at, (H, W)."""
        size = self.clip.visual.image_size
        return (size, size) if isinstance(size, int) else tuple(size)

    @property
    def fingerprint(self) -> str:
        """Digest of all weights; equal fingerprints mean one joint space."""
        return self._fingerprint

    @property
    def notes(self) -> dict[str, str]:
        """Notes by which a checkpoint knows its CLIP again."""
        return {'clip': self.fingerprint, 'clip_model': self.model_name}

    def check_notes(self, notes: Mapping[str, str], subject: str) -> None:
        """Refuse weights that were trained beside another CLIP.

        Args:
            notes: As :attr:`notes` of the CLIP of their training.
            subject: What to call the weights.

        Raises:
            ValueError: If the two differ.
        """
        if notes['clip'] != self.fingerprint:
            raise ValueError(
                f'{subject} was trained with CLIP {notes["clip_model"]} '
                f'(weights {notes["clip"]}), the config builds '
                f'{self.model_name} (weights {self.fingerprint}, from '
                f'{self.pretrained!r}); set model.clip to the one it was '
                'trained with'
            )

    def normalize(self, images: Tensor) -> Tensor:
        """Bring RGB images from [0, 255] to what the image tower expects."""
        return (images / 255 - self.mean) / self.std

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """Embed images of the tower's own size.

        Args:
            images: (B, 3, *image_size), as :meth:`normalize` returns them.

        Returns:
            Unit-norm embeddings, (B, D), float32.
        """
        return self.clip.encode_image(images, normalize=True).float()


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(3, 1, 1)


def _resolve_model(model: str) -> str:
    """Register a config file with open_clip; check that the name exists."""
    if model.endswith('.json'):
        path = find_path(model)
        if not path.is_file():
            raise FileNotFoundError(
                f'no open_clip model config {model!r}; give an existing '
                '.json file or the name of an open_clip model'
            )
        _check_model_config(path)
        open_clip.add_model_config(path)
        return path.stem
    if open_clip.get_model_config(model) is None:
        raise ValueError(
            f'unknown open_clip model {model!r}; known are '
            f'{open_clip.list_models()}'
        )
    return model


def _check_model_config(path: Path) -> None:
    """Refuse what open_clip would skip, or trip over from then on."""
    try:
        content = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{path}: not readable as JSON: {error}') from None
    needed = ('embed_dim', 'vision_cfg', 'text_cfg')
    if not isinstance(content, dict) or not set(needed) <= set(content):
        raise ValueError(
            f'{path}: not an open_clip model config; expected an object with '
            f'the keys {needed}'
        )


def _create(model_name: str, pretrained: str, quick_gelu: bool | None) -> Any:
    if pretrained == RANDOM_WEIGHTS:
        print_log(
            f'CLIP {model_name} has RANDOM weights (pretrained='
            f'{RANDOM_WEIGHTS!r}): fit for testing the code, not for results',
            logger='current',
            level=30,
        )
        return _build(model_name, quick_gelu)
    if pretrained in open_clip.list_pretrained_tags_by_model(model_name):
        return _create_from_tag(model_name, pretrained, quick_gelu)
    path = Path(pretrained)
    if not path.is_file():
        raise FileNotFoundError(
            f'CLIP weights {pretrained!r}: neither a file nor a tag of '
            f'{model_name}, whose tags are '
            f'{open_clip.list_pretrained_tags_by_model(model_name)}; '
            f'{RANDOM_WEIGHTS!r} asks for untrained weights'
        )
    try:
        archive = _openai_archive(path)
        if archive is None:
            return _build(model_name, quick_gelu, str(path))
        clip = _build(model_name, quick_gelu is not False)
        clip.load_state_dict(archive)
        return clip
    except Exception as error:
        raise RuntimeError(
            f'CLIP weights {pretrained} do not load into {model_name}: {error}'
        ) from error


def _build(
    model_name: str, quick_gelu: bool | None, pretrained: str | None = None
) -> Any:
    """Let open_clip create a model; ``None`` leaves the activation to it.

    ``force_quick_gelu=False`` alone would leave a config's true as it is.
    """
    activation = {}
    if quick_gelu is not None:
        activation = {'force_quick_gelu': quick_gelu, 'quick_gelu': quick_gelu}
    return open_clip.create_model(
        model_name, pretrained=pretrained, pretrained_text=False, **activation
    )


def _create_from_tag(
    model_name: str, tag: str, quick_gelu: bool | None
) -> Any:
    """Create by tag with the activation the tag was trained with.

    open_clip only warns when a tag's activation is not the model's.
    """
    declared = open_clip.get_pretrained_cfg(model_name, tag)
    if quick_gelu is None:
        quick_gelu = declared.get('quick_gelu')
    try:
        return _build(model_name, quick_gelu, tag)
    except Exception as error:
        raise RuntimeError(
            f'CLIP weights of tag {tag!r} for {model_name} could not be '
            f'fetched: {error}. Without a network, download the file '
            'elsewhere and give its path as `pretrained`'
        ) from error


def _openai_archive(path: Path) -> dict[str, Tensor] | None:
    """State dict of a TorchScript archive as OpenAI ships; else ``None``."""
    try:
        archive = torch.jit.load(str(path), map_location='cpu')
    except RuntimeError:
        return None
    notes = ('input_resolution', 'context_length', 'vocab_size')
    return {
        key: value.float()
        for key, value in archive.state_dict().items()
        if key not in notes
    }


def _fingerprint(clip: nn.Module) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(clip.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
