import copy

import pytest
import torch

from freeseg_mm.models import AdaptivePromptLearner, FixedPrompt
from freeseg_mm.models.segmentors import text_cache as module
from freeseg_mm.models.segmentors.text_cache import TextCache
from freeseg_mm.structures import Task, Vocabulary

TASKS = [Task.SEMANTIC, Task.PANOPTIC]
PETS = Vocabulary.from_names(['cat', 'dog'])


@pytest.fixture
def learner():
    return AdaptivePromptLearner(text_width=32, embed_dim=16)


@pytest.fixture
def encode(tiny_clip, monkeypatch):
    """Encode through one cache; returns embeddings and what it cost."""
    calls = []
    tower_encode = tiny_clip.text.encode

    def counted(*arguments):
        calls.append(1)
        return tower_encode(*arguments)

    monkeypatch.setattr(tiny_clip.text, 'encode', counted)
    cache = TextCache()

    def run(learner, vocabulary=PETS, tasks=TASKS, clear=False):
        if clear:
            cache.clear()
        before = len(calls)
        embeds = cache.encode(learner, tiny_clip.text, vocabulary, tasks)
        return embeds, len(calls) - before

    return run


def test_gives_what_the_learner_gives(encode, learner, tiny_clip):
    for _ in range(2):
        embeds, _ = encode(learner)
        expected = learner(tiny_clip.text, PETS, TASKS)
        assert torch.equal(embeds, expected)
        assert not embeds.requires_grad


def test_encodes_once_for_each_task_and_vocabulary(encode, learner):
    birds = Vocabulary.from_names(['wren'])

    assert encode(learner)[1] == 2
    assert encode(learner)[1] == 0
    assert encode(learner, tasks=[Task.PANOPTIC])[1] == 0
    assert encode(learner, tasks=[Task.INSTANCE, Task.PANOPTIC])[1] == 1
    assert encode(learner, birds)[1] == 2
    assert encode(learner)[1] == 0


def test_order_of_the_tasks_is_the_callers(encode, learner):
    one, _ = encode(learner)
    other, _ = encode(learner, tasks=TASKS[::-1])

    assert torch.equal(one, other.flip(0))
    assert not torch.equal(one, other)


def test_order_of_the_names_matters_and_their_role_does_not(encode, learner):
    encode(learner)

    assert encode(learner, Vocabulary.from_names(['dog', 'cat']))[1] == 2
    stuff = Vocabulary.from_names(['cat', 'dog'], things=[], name='other')
    assert encode(learner, stuff)[1] == 0


@pytest.mark.parametrize('options', [{}, {'foreach': True}], ids=str)
def test_an_optimizer_step_is_noticed(encode, learner, options):
    optimizer = torch.optim.AdamW(learner.parameters(), **options)
    before, _ = encode(learner)
    for parameter in learner.parameters():
        parameter.grad = torch.randn_like(parameter)

    optimizer.step()

    after, cost = encode(learner)
    assert cost == 2
    assert not torch.equal(before, after)


def test_loading_weights_is_noticed(encode, learner):
    encode(learner)
    learner.load_state_dict(
        AdaptivePromptLearner(text_width=32, embed_dim=16).state_dict()
    )

    assert encode(learner)[1] == 2


def test_learners_do_not_share_embeddings(encode, learner):
    encode(learner)

    assert encode(copy.deepcopy(learner))[1] == 2
    assert encode(FixedPrompt())[1] == 2
    assert encode(learner)[1] == 0


def test_clear_forgets(encode, learner):
    encode(learner)

    assert encode(learner, clear=True)[1] == 2


def test_fixed_prompts_follow_clip_to_another_device(tiny_clip):
    cache, prompt = TextCache(), FixedPrompt()
    cache.encode(prompt, tiny_clip.text, PETS, TASKS)
    moved = copy.deepcopy(tiny_clip).to('meta')

    embeds = cache.encode(prompt, moved.text, PETS, TASKS)

    assert embeds.device.type == 'meta'


def test_memory_is_bounded(encode, learner, monkeypatch):
    monkeypatch.setattr(module, 'MAX_ENTRIES', 3)
    names = [Vocabulary.from_names([name]) for name in 'abcd']
    for vocabulary in names:
        encode(learner, vocabulary, [Task.SEMANTIC])

    assert encode(learner, names[3], [Task.SEMANTIC])[1] == 0
    assert encode(learner, names[1], [Task.SEMANTIC])[1] == 0
    assert encode(learner, names[0], [Task.SEMANTIC])[1] == 1
