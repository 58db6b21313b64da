"""``freeseg-mm prompts pretrain``: from a config to a file of prompts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.models.clip import FrozenCLIP
from freeseg_mm.models.prompts import (
    AdaptivePromptLearner,
    FixedPrompt,
    build_prompts,
    prompt_file,
)
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task
from freeseg_mm.utils.files import atomic_path

from .crops import ChosenMasks, choose_crops, embed_crops
from .learning import PromptTraining, crop_accuracy, learn_prompts

_LOADER = 'freeseg_mm.LoadPanopticSegments'
_DEFAULT_VIEW = {'type': 'freeseg_mm.CropMaskClassifier'}


@dataclass(frozen=True)
class PretrainingReport:
    """Accuracy on held-out crops of seen classes.

    Attributes:
        num_learned: Crops that were learned from.
        num_held_out: Crops that were tested on.
        accuracy: In percent, mean over classes, for each task; of the
            prompts ``before`` and ``after``, and of the ``fixed`` sentence.
    """

    num_learned: int
    num_held_out: int
    accuracy: Mapping[str, Mapping[Task, float]]


def pretrain_prompts(
    config: Config,
    out: Path,
    training: PromptTraining,
    *,
    device: str | None = None,
    workers: int | None = None,
) -> PretrainingReport:
    """Learn a config's prompts from its training data, and write them.

    Only the seen classes of the data are read, whatever the config says.

    Args:
        config: Of a run; ``model.clip``, ``.prompt_learner`` and
            ``.mask_classifier``, and the training data are used.
        out: File to write, ``.pth``; for ``model.prompt_learner.init_cfg``.
        training: How to learn.
        device: Where to compute; ``None``: mmengine's choice.
        workers: Processes that read images; ``None``: as the config's
            training loader has.

    Raises:
        FileNotFoundError: If ``out`` has no folder, or data or CLIP are
            absent.
        ValueError: If ``out`` does not end in ``.pth``, the config has no
            prompts to learn or several data sets, and for bad data.
    """
    if out.suffix != '.pth':
        raise ValueError(f'--out {out}: expected a name ending in .pth')
    if not out.parent.is_dir():
        raise FileNotFoundError(f'--out {out}: no folder {out.parent}')
    dataset = seen_dataset(config)
    vocabulary = dataset.sample_vocabulary
    clip: FrozenCLIP = MODELS.build(config.model.clip)
    torch.manual_seed(training.seed)
    learner = build_prompts(config.model.prompt_learner, clip)
    if not isinstance(learner, AdaptivePromptLearner) or not any(
        value.numel() for value in learner.parameters()
    ):
        raise ValueError(
            f'model.prompt_learner is a {type(learner).__name__} without '
            'learned prompts; expected a freeseg_mm.AdaptivePromptLearner '
            'with tokens to learn'
        )
    classifier = MODELS.build(
        config.model.get('mask_classifier') or _DEFAULT_VIEW
    )
    classifier.check(clip)
    learner.check_lengths(clip.text, vocabulary, tuple(Task))
    clip.to(device or get_device())
    learner.to(clip.text.device)
    choice = choose_crops(
        dataset,
        per_class=training.crops_per_class,
        held_out=training.held_out,
        seed=training.seed,
    )
    if workers is None:
        workers = config.train_dataloader.get('num_workers', 0)
    crops = embed_crops(
        ChosenMasks(dataset, choice, training.seed),
        clip,
        classifier,
        workers=workers,
    )
    apart = torch.from_numpy(choice.is_held_out)[crops.images]
    kept, held_out = crops[~apart], crops[apart]
    fixed = FixedPrompt(task_template=None)
    accuracy = {
        'fixed': crop_accuracy(fixed, clip, held_out, vocabulary),
        'before': crop_accuracy(learner, clip, held_out, vocabulary),
    }
    learn_prompts(learner, clip, kept, vocabulary, training)
    accuracy['after'] = crop_accuracy(learner, clip, held_out, vocabulary)
    with atomic_path(out) as path:
        torch.save(prompt_file(learner, clip, vocabulary), path)
    return PretrainingReport(len(kept), len(held_out), accuracy)


def seen_dataset(config: Config) -> OpenVocabPanopticDataset:
    """The training data of a config, whole images with their segments.

    Unseen classes are hidden, also for a config of full supervision.

    Raises:
        ValueError: If the config has several data sets, or its pipeline
            does not load segments.
    """
    found = dataset_configs(config, 'train')
    if len(found) != 1:
        raise ValueError(
            f'train_dataloader has {len(found)} data sets; prompts are '
            'learned from one'
        )
    (content,) = found
    types = [step['type'] for step in content['pipeline']]
    if _LOADER not in types:
        raise ValueError(
            f'the training pipeline {types} has no {_LOADER}, by which '
            'segments are read'
        )
    steps = content['pipeline'][: types.index(_LOADER) + 1]
    return build_dataset({**content, 'split': 'seen', 'pipeline': steps})
