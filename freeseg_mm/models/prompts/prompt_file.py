"""Prompts in a file of their own, learned before the network."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.runner import CheckpointLoader
from torch import Tensor

from freeseg_mm.models.clip import FrozenCLIP
from freeseg_mm.structures import Vocabulary

from .prompt_learner import PromptLearner

# Where the checkpoints of runs keep their notes, too.
NOTES = 'freeseg_mm'
SETTINGS = 'prompt_learner'


def prompt_file(
    learner: PromptLearner, clip: FrozenCLIP, vocabulary: Vocabulary
) -> dict[str, Any]:
    """Content of a file that ``init_cfg`` loads, for :func:`torch.save`.

    Args:
        learner: The learned prompts.
        clip: The CLIP they were learned with.
        vocabulary: The names they were learned on.

    Returns:
        ``state_dict`` of the learner, and under :data:`NOTES` what
        :func:`check_prompt_files` compares.
    """
    state = {
        name: value.detach().cpu().clone()
        for name, value in learner.state_dict().items()
    }
    return {
        'state_dict': state,
        NOTES: {
            **clip.notes,
            SETTINGS: learner.settings,
            'vocabulary': vocabulary.content_hash,
            'vocabulary_name': vocabulary.name,
        },
    }


def check_prompt_files(learner: PromptLearner, clip: FrozenCLIP) -> None:
    """Refuse files of ``init_cfg`` that were not made for this model.

    mmengine loads what fits of a file and goes on without the rest; and
    vectors learned with another CLIP fit, but mean nothing. The file is
    one of ``freeseg-mm prompts pretrain``, or (with mmengine's ``prefix``)
    the checkpoint of a run.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or its CLIP, how its prompts are
            put together or their lengths are not those of the model.
    """
    for init_cfg in _pretrained(learner):
        path, prefix = init_cfg['checkpoint'], init_cfg.get('prefix', '')
        content = _read(path)
        notes = content[NOTES]
        clip.check_notes(notes, f'{path}: the prompt')
        made = notes.get(SETTINGS, learner.settings)
        if made != learner.settings:
            raise ValueError(
                f'{path}: prompts were learned with {made}, the config '
                f'builds {learner.settings}; set model.prompt_learner to '
                'what they were learned with'
            )
        if prefix and not prefix.endswith('.'):
            prefix += '.'
        stored = {
            name.removeprefix(prefix): tuple(value.shape)
            for name, value in content['state_dict'].items()
            if name.startswith(prefix)
        }
        wanted = _shapes(learner.state_dict())
        if stored != wanted:
            raise ValueError(
                f'{path}: the prompts have shapes {stored}, those of the '
                f'config {wanted}; set model.prompt_learner.num_class_tokens '
                'and num_task_tokens as they were when the file was made, or '
                'make it again with freeseg-mm prompts pretrain'
            )


def _pretrained(learner: PromptLearner) -> Iterator[Mapping[str, Any]]:
    """Those of a learner's ``init_cfg`` that name a file."""
    found = learner.init_cfg or []
    for init_cfg in [found] if isinstance(found, dict) else found:
        if init_cfg['type'] == 'Pretrained':
            yield init_cfg


def _read(path: str) -> Mapping[str, Any]:
    try:
        content = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except FileNotFoundError:
        raise FileNotFoundError(
            f'no file of learned prompts {path!r}; make it with '
            'freeseg-mm prompts pretrain, or set '
            'model.prompt_learner.pretrained (or .init_cfg) to None'
        ) from None
    if not isinstance(content, Mapping) or not {'state_dict', NOTES} <= set(
        content
    ):
        raise ValueError(
            f"{path}: not a file of prompts; expected 'state_dict' and "
            f'{NOTES!r}, as freeseg-mm prompts pretrain writes them'
        )
    return content


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
