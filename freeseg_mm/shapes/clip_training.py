"""Training of the miniature CLIP that knows the generated world."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip import CLIP, ClipLoss
from torch import Tensor, nn
from tqdm import trange

from freeseg_mm.models.clip.text_tower import TextTower
from freeseg_mm.utils.files import atomic_path, make_folder, write_json

from .crops import CropSampler, SegmentCrops, blank_outside, normalize
from .windows import WideWindowSampler, WindowSampler

_SAMPLERS = {
    'blanked': CropSampler,
    'windows': WindowSampler,
    'wide_windows': WideWindowSampler,
}
_METRICS = 'metrics.json'
_PROMPT = 'A photo of {name}.'
_LARGEST_LOGIT_SCALE = math.log(100)
_EVAL_BATCH = 256


@dataclass(frozen=True)
class ClipTraining:
    """Schedule and seed of the miniature CLIP's training.

    Attributes:
        views: Kind of images and captions: ``blanked``, crops of segments
            mostly blanked outside of the mask, as FreeSeg shows them to CLIP
            (:class:`CropSampler`), ``windows``, as photographs on the web
            are (:class:`WindowSampler`), or ``wide_windows``, with more
            around a segment (:class:`WideWindowSampler`).
        steps: Number of optimizer steps.
        groups: Every step sees each class this many times.
        lr: Largest learning rate; warmed up linearly, then a half cosine.
        warmup: Share of the steps that warm up.
        weight_decay: AdamW's, on matrices other than embeddings.
        seed: Seed of weights, crops and captions.
        threads: CPU threads; another number rounds differently.

    Raises:
        ValueError: If a number is out of range.
    """

    views: str = 'blanked'
    steps: int = 650
    groups: int = 2
    lr: float = 3e-3
    warmup: float = 0.1
    weight_decay: float = 0.05
    seed: int = 0
    threads: int = 2

    def __post_init__(self) -> None:
        if self.views not in _SAMPLERS:
            raise ValueError(
                f'views is {self.views!r}, expected one of {[*_SAMPLERS]}'
            )
        for field in ('steps', 'groups', 'threads'):
            if getattr(self, field) < 1:
                raise ValueError(
                    f'{field} is {getattr(self, field)}, expected at least 1'
                )
        if self.lr <= 0 or self.seed < 0:
            raise ValueError(
                f'expected lr > 0 and seed >= 0, got lr {self.lr} and seed '
                f'{self.seed}'
            )


def train_shapes_clip(
    data: str | Path,
    out: str | Path,
    *,
    model_config: str | Path,
    training: ClipTraining,
) -> dict[str, Any]:
    """Train a CLIP on captioned crops of all classes of the shapes world.

    All classes, because the real CLIP too has read about what nobody has
    masked. Writes ``<name>.pt`` (an ordinary open_clip checkpoint),
    ``<name>.json`` (its model config) and ``metrics.json`` into ``out``,
    where ``<name>`` is the config's file name; existing ones are replaced.

    Args:
        data: Folder that ``freeseg-mm shapes make`` wrote; its split ``clip``
            is learned from, ``val`` is tested on.
        out: Folder to write; made when absent.
        model_config: An open_clip model config, ``.json``.
        training: Schedule and seed.

    Returns:
        The content of ``metrics.json``, see :func:`zero_shot_accuracy`.

    Raises:
        FileNotFoundError: If a file or folder is absent.
        ValueError: If the model config is not one, or a class has no crop.
    """
    data, out, model_config = Path(data), Path(out), Path(model_config)
    name = _register(model_config)
    if not (data / 'annotations' / 'panoptic_clip.json').is_file():
        raise FileNotFoundError(
            f'{data} holds no generated scenes; write them with '
            f'freeseg-mm shapes make {data}'
        )
    make_folder(out)
    previous_threads = torch.get_num_threads()
    torch.set_num_threads(training.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            clip = open_clip.create_model(name)
        _fit(clip, name, SegmentCrops.load(data, 'clip'), training)
        accuracy = zero_shot_accuracy(
            clip, open_clip.get_tokenizer(name), SegmentCrops.load(data, 'val')
        )
    finally:
        torch.set_num_threads(previous_threads)
    with atomic_path(out / f'{name}.pt') as path:
        torch.save(clip.state_dict(), path)
    if model_config.resolve() != (out / f'{name}.json').resolve():
        shutil.copyfile(model_config, out / f'{name}.json')
    metrics = {'prompt': _PROMPT, 'zero_shot_accuracy': accuracy}
    write_json(metrics, out / _METRICS, indent=2)
    return metrics


@torch.no_grad()
def zero_shot_accuracy(
    clip: CLIP, tokenizer: Any, crops: SegmentCrops
) -> dict[str, float]:
    """Share of crops whose class is the most similar of all, in percent.

    Crops are tight boxes, stretched to a square, blanked outside of the
    mask; the prompt is ``A photo of {class}.``.

    Returns:
        ``all``, ``seen`` and ``unseen``: mean over the crops of all, seen
        and unseen classes; NaN for a set without any.
    """
    clip.eval()
    vocabulary = crops.vocabulary
    prompts = [_PROMPT.format(name=name) for name in vocabulary.names]
    text_embeds = clip.encode_text(tokenizer(prompts), normalize=True)
    is_right = []
    for rows in torch.arange(len(crops)).split(_EVAL_BATCH):
        pixels, masks = crops.cut(
            rows,
            boxes=crops.boxes[rows],
            masks=crops.masks(rows).float(),
            side=_image_side(clip),
        )
        images = normalize(
            pixels, clip.visual.image_mean, clip.visual.image_std
        )
        image_embeds = clip.encode_image(
            blank_outside(images, masks), normalize=True
        )
        best = (image_embeds @ text_embeds.T).argmax(1)
        is_right.append(best == crops.labels[rows])
    right = torch.cat(is_right).double() * 100
    is_seen = torch.tensor(vocabulary.is_seen)[crops.labels]
    return {
        'all': right.mean().item(),
        'seen': right[is_seen].mean().item(),
        'unseen': right[~is_seen].mean().item(),
    }


def _register(model_config: Path) -> str:
    """Tell open_clip about a model config; give the model's name."""
    if not model_config.is_file():
        raise FileNotFoundError(f'no open_clip model config {model_config}')
    open_clip.add_model_config(model_config)
    if model_config.stem not in open_clip.list_models():
        raise ValueError(
            f'{model_config} is not an open_clip model config: expected a '
            '.json object with embed_dim, vision_cfg and text_cfg'
        )
    return model_config.stem


def _fit(
    clip: CLIP, name: str, crops: SegmentCrops, training: ClipTraining
) -> None:
    text_tower = TextTower(clip, open_clip.get_tokenizer(name))
    sampler = _SAMPLERS[training.views](
        crops,
        mean=clip.visual.image_mean,
        std=clip.visual.image_std,
        side=_image_side(clip),
        rng=np.random.default_rng(training.seed),
    )
    optimizer = _optimizer(clip, training)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _lr_factor(step, training)
    )
    contrast = ClipLoss()
    num_classes = len(crops.vocabulary)
    # convolutions by channel, a ConvNeXt's, take half the time so
    layout = torch.channels_last
    clip.visual.to(memory_format=layout)
    clip.train()
    with trange(training.steps, desc='training CLIP', unit='step') as bar:
        for step in bar:
            # A batch is encoded only as far as its longest caption, so long
            # captions, which cost thrice as much, keep to themselves.
            images, captions = sampler.batch(
                training.groups,
                long=step % sampler.long_every == sampler.long_every - 1,
            )
            image_embeds = clip.encode_image(
                images.contiguous(memory_format=layout), normalize=True
            )
            text_embeds = _encode_captions(text_tower, captions)
            losses = [
                contrast(image_group, text_group, clip.logit_scale.exp())
                for image_group, text_group in zip(
                    image_embeds.split(num_classes),
                    text_embeds.split(num_classes),
                    strict=True,
                )
            ]
            loss = torch.stack(losses).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                clip.logit_scale.clamp_(0, _LARGEST_LOGIT_SCALE)
            bar.set_postfix(loss=f'{loss.item():.3f}', refresh=False)
    clip.visual.to(memory_format=torch.contiguous_format)


def _encode_captions(text_tower: TextTower, captions: list[str]) -> Tensor:
    """Unit-norm embeddings (B, D), encoded to the longest caption's end."""
    ids = [
        torch.tensor(
            [
                text_tower.start_id,
                *text_tower.token_ids(text),
                text_tower.end_id,
            ]
        )
        for text in captions
    ]
    padded = nn.utils.rnn.pad_sequence(ids, batch_first=True)
    ends = torch.tensor([len(tokens) - 1 for tokens in ids])
    return text_tower.encode(text_tower.embed_tokens(padded), ends)


def _optimizer(clip: CLIP, training: ClipTraining) -> torch.optim.AdamW:
    """AdamW; gains, biases and embeddings are not decayed.

    Decay would shrink the embeddings of the words no caption uses to zero.
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in clip.named_parameters():
        is_matrix = parameter.ndim >= 2 and 'embedding' not in name
        (decayed if is_matrix else kept).append(parameter)
    return torch.optim.AdamW(
        [
            {'params': decayed, 'weight_decay': training.weight_decay},
            {'params': kept, 'weight_decay': 0.0},
        ],
        lr=training.lr,
        betas=(0.9, 0.98),
        fused=True,
    )


def _lr_factor(step: int, training: ClipTraining) -> float:
    warm_steps = max(1, round(training.warmup * training.steps))
    if step < warm_steps:
        return (step + 1) / warm_steps
    done = (step - warm_steps) / max(1, training.steps - warm_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def _image_side(clip: CLIP) -> int:
    size = clip.visual.image_size
    return size if isinstance(size, int) else size[0]
