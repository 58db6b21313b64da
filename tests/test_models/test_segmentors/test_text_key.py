import copy
import re

import pytest
import torch

from freeseg_mm.models import AdaptivePromptLearner, FixedPrompt, FrozenCLIP
from freeseg_mm.models.segmentors.text_cache import (
    TextKey,
    learner_digest,
    learner_state,
    tensor_bytes,
)
from freeseg_mm.structures import Task


def build(**changes):
    return AdaptivePromptLearner(text_width=32, embed_dim=16, **changes)


def key_of(clip, learner, task=Task.SEMANTIC, prompts=('cat',)):
    return TextKey.of(clip, learner, learner_digest(learner), task, prompts)


def test_parts_of_the_digest_cannot_run_together():
    key = TextKey(clip='a', learner='bc', task='', prompts=('x',))
    other = TextKey(clip='ab', learner='c', task='', prompts=('x',))
    names = TextKey(clip='a', learner='bc', task='', prompts=('x", "y',))
    two = TextKey(clip='a', learner='bc', task='', prompts=('x', 'y'))

    assert len({k.digest for k in (key, other, names, two)}) == 4
    assert re.fullmatch('[0-9a-f]{32}', key.digest)


def test_the_task_counts_only_if_the_prompts_depend_on_it(tiny_clip):
    for learner, count in ((FixedPrompt(), 3), (build(), 3)):
        keys = {key_of(tiny_clip, learner, task) for task in Task}
        assert len(keys) == count
    for learner in (
        FixedPrompt(task_template=None),
        build(use_task_prompt=False),
    ):
        assert len({key_of(tiny_clip, learner, task) for task in Task}) == 1


def test_clips_with_other_weights_or_other_use_of_them(tiny_clip):
    prompt = FixedPrompt()
    config = {'model': tiny_clip.model_name, 'pretrained': 'random'}
    other = FrozenCLIP(**config)
    # same weights, another activation
    quick = FrozenCLIP(
        model=tiny_clip.model_name,
        pretrained=tiny_clip.pretrained,
        quick_gelu=True,
    )
    low = copy.deepcopy(tiny_clip).to(torch.bfloat16)

    assert quick.fingerprint == tiny_clip.fingerprint
    keys = {
        key_of(clip, prompt).digest
        for clip in (tiny_clip, copy.deepcopy(tiny_clip), other, quick, low)
    }
    assert len(keys) == 4


def test_digest_is_of_type_settings_and_weights():
    learner = build()
    same = build()
    same.load_state_dict(learner.state_dict())
    other_fusion = build(fusion='start_first')
    other_fusion.load_state_dict(learner.state_dict())

    class Other(AdaptivePromptLearner):
        """Another type, of equal settings and weights."""

    other_type = Other(text_width=32, embed_dim=16)
    other_type.load_state_dict(learner.state_dict())
    other_weights = copy.deepcopy(learner)
    with torch.no_grad():
        other_weights.task_prompt[0, 0] += 1e-6

    assert learner_digest(learner) == learner_digest(same)
    different = (learner, other_fusion, other_type, other_weights, build())
    assert len({learner_digest(x) for x in different}) == 5
    assert learner_digest(FixedPrompt()) != learner_digest(
        FixedPrompt(class_template='{}')
    )


def test_state_changes_with_parameters_and_settings():
    learner = build()
    states = [learner_state(learner)]
    assert learner_state(learner) == states[0]
    with torch.no_grad():
        learner.class_prompt.add_(1)
    states.append(learner_state(learner))
    learner.class_prompt = torch.nn.Parameter(learner.class_prompt.clone())
    states.append(learner_state(learner))
    learner.fusion = 'start_first'
    states.append(learner_state(learner))
    learner.bfloat16()
    states.append(learner_state(learner))

    assert len(set(states)) == 5


def test_settings_are_the_public_attributes():
    assert build(fusion='embed').settings == {
        'use_task_prompt': True,
        'fusion': 'embed',
        'placement': 'before',
        'period_apart': False,
    }
    assert FixedPrompt(task_template=None).settings == {
        'class_template': 'A photo of {}.',
        'task_template': None,
    }


def test_setting_that_is_no_plain_value():
    learner = build()
    learner.words = ['a']

    with pytest.raises(
        TypeError,
        match=r"^AdaptivePromptLearner.words: expected a string, .* \['a'\]; ",
    ):
        learner_digest(learner)


def test_bytes_of_any_tensor():
    assert tensor_bytes(torch.tensor([1, 256], dtype=torch.int16)) == (
        b'\x01\x00\x00\x01'
    )
    # 1.0 in bfloat16 is 0x3f80
    assert tensor_bytes(torch.ones((), dtype=torch.bfloat16)) == b'\x80\x3f'
    grid = torch.arange(6, dtype=torch.uint8).view(2, 3)
    assert tensor_bytes(grid.T) == bytes([0, 3, 1, 4, 2, 5])
    assert tensor_bytes(torch.empty(0, 4)) == b''
