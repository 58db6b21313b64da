"""Prompts that come from a file, and those that stay as they came."""

import pytest
import torch
from mmengine.config import Config

from freeseg_mm.engine.compatibility_hook import KEY
from freeseg_mm.models.prompts import AdaptivePromptLearner, prompt_file
from freeseg_mm.models.prompts.prompt_file import NOTES
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'prompts.pth'


@pytest.fixture
def build(tiny_model_config, build_tiny_model, path):
    """Build the tiny model with prompts from the file, and initialise it."""

    def run(seed=0, **changes):
        config = Config({'model': tiny_model_config})
        config.merge_from_dict(
            {
                'model.prompt_learner': {
                    'init_cfg': {
                        'type': 'Pretrained',
                        'checkpoint': str(path),
                    },
                    **changes,
                }
            }
        )
        return build_tiny_model(config.model, seed)

    return run


@pytest.fixture
def learned(build_tiny_model, tiny_model_config, path, tiny_vocabulary):
    """State of the prompts in the file; content of the file may change."""
    model = build_tiny_model(tiny_model_config.copy(), seed=5)
    content = prompt_file(model.prompt_learner, model.clip, tiny_vocabulary)

    def write(**changes):
        torch.save({**content, **changes}, path)

    write()
    return content, write


def state_of(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_notes_stand_where_those_of_runs_do(learned, tiny_vocabulary):
    content, _ = learned
    assert NOTES == KEY
    assert set(content) == {'state_dict', KEY}
    notes = content[KEY]
    assert notes['vocabulary'] == tiny_vocabulary.content_hash
    assert notes['prompt_learner'] == {
        'use_task_prompt': True,
        'fusion': 'task_first',
        'placement': 'before',
        'period_apart': False,
    }


def test_file_loads_bit_for_bit(learned, build):
    content, _ = learned
    model = build()

    assert set(content['state_dict']) == {'class_prompt', 'task_prompt'}
    assert_same(model.prompt_learner.state_dict(), content['state_dict'])
    assert all(p.requires_grad for p in model.prompt_learner.parameters())


def test_prompts_of_a_run_serve_too(learned, build, build_tiny_model, path):
    """By mmengine's prefix, with the point or without."""
    run = build_tiny_model(seed=7)
    torch.save({'state_dict': run.state_dict(), KEY: run.clip.notes}, path)

    for prefix in ('prompt_learner', 'prompt_learner.'):
        model = build(
            init_cfg={
                'type': 'Pretrained',
                'checkpoint': str(path),
                'prefix': prefix,
            }
        )
        assert_same(
            model.prompt_learner.state_dict(), run.prompt_learner.state_dict()
        )


def train_a_step(model, make_sample):
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=0.1
    )
    samples = [make_sample([[1, 2], [1, 2]], [0, 2])]
    losses = model.train().loss(torch.randn(1, 3, 64, 64), samples)
    sum(losses.values()).backward()
    optimizer.step()


@pytest.mark.parametrize('frozen', [True, False])
def test_frozen_prompts_are_equal_after_a_step(
    learned, build, make_sample, frozen
):
    model = build(frozen=frozen)
    before = state_of(model)

    train_a_step(model, make_sample)

    moved = {
        name
        for name, value in model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    prompts = {name for name in moved if name.startswith('prompt_learner.')}
    assert moved - prompts
    assert bool(prompts) is not frozen


def test_frozen_prompts_are_read_once(
    learned, build, make_sample, monkeypatch
):
    model = build(frozen=True).train()
    read = []
    encode = AdaptivePromptLearner.encode_task

    def watched(self, tower, prompts, task):
        read.append(task)
        return encode(self, tower, prompts, task)

    monkeypatch.setattr(AdaptivePromptLearner, 'encode_task', watched)
    images = torch.randn(1, 3, 64, 64)
    for task in (Task.PANOPTIC, Task.PANOPTIC, Task.SEMANTIC, Task.PANOPTIC):
        samples = [make_sample([[1, 2], [1, 2]], [0, 2], task=task)]
        model.loss(images, samples)

    assert read == [Task.PANOPTIC, Task.SEMANTIC]


def test_losses_are_the_same_frozen_or_not(learned, build, make_sample):
    found = []
    for frozen in (True, False):
        model = build(frozen=frozen).train()
        torch.manual_seed(0)
        samples = [make_sample([[1, 2], [1, 2]], [0, 2])]
        found.append(model.loss(torch.ones(1, 3, 64, 64), samples))

    frozen, learning = found
    for name, value in frozen.items():
        torch.testing.assert_close(value, learning[name])


def test_refuses_another_clip(learned, build):
    content, write = learned
    notes = {**content[KEY], 'clip': 'ab12', 'clip_model': 'ViT-L-14'}
    write(**{KEY: notes})
    with pytest.raises(
        ValueError,
        match=r'prompts\.pth: the prompt was trained with CLIP ViT-L-14 '
        r'\(weights ab12\), the config builds tiny_clip',
    ):
        build()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'num_class_tokens': 8},
            r"have shapes \{'class_prompt': \(16, 32\), 'task_prompt': "
            r"\(8, 32\)\}, those of the config \{'class_prompt': \(8, 32\)",
        ),
        (
            {'fusion': 'start_first'},
            "learned with .*'task_first'.*, the config builds .*'start_first'",
        ),
        (
            {'use_task_prompt': False},
            "learned with .*'use_task_prompt': True.*, the config builds "
            ".*'use_task_prompt': False",
        ),
    ],
)
def test_refuses_other_prompts(learned, build, changes, message):
    with pytest.raises(ValueError, match=rf'prompts\.pth: .*{message}'):
        build(**changes)


def test_absent_file_is_named(build):
    with pytest.raises(
        FileNotFoundError,
        match=r"no file of learned prompts '.*prompts\.pth'; make it with "
        r'freeseg-mm prompts pretrain',
    ):
        build()


def test_absent_file_is_no_matter_to_building(tiny_model_config, path):
    """A test's weights come from a checkpoint; nothing is initialised."""
    tiny_model_config.prompt_learner.init_cfg = {
        'type': 'Pretrained',
        'checkpoint': str(path),
    }
    assert MODELS.build(tiny_model_config).prompt_learner.init_cfg


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'no weights', 'not a checkpoint that can be read'),
        ({'state_dict': {}}, "expected 'state_dict' and 'freeseg_mm'"),
        ({'class_prompt': torch.zeros(1)}, "expected 'state_dict' and"),
    ],
)
def test_refuses_other_files(build, path, content, message):
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=rf'prompts\.pth: .*{message}'):
        build()
