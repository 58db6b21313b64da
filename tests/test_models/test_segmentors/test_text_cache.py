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
        embeds = cache.encode(learner, tiny_clip, vocabulary, tasks)
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


def test_learners_share_embeddings_if_their_content_is_the_same(
    encode, learner
):
    encode(learner)

    assert encode(copy.deepcopy(learner))[1] == 0
    other = AdaptivePromptLearner(text_width=32, embed_dim=16)
    assert encode(other)[1] == 2
    swapped = AdaptivePromptLearner(
        text_width=32, embed_dim=16, fusion='start_first'
    )
    swapped.load_state_dict(learner.state_dict())
    assert encode(swapped)[1] == 2
    assert encode(FixedPrompt())[1] == 2
    assert encode(FixedPrompt())[1] == 0
    assert encode(FixedPrompt(class_template='{}.'))[1] == 2
    assert encode(learner)[1] == 0


def test_clear_forgets(encode, learner):
    encode(learner)

    assert encode(learner, clear=True)[1] == 2


def test_after_clear_hidden_changes_are_seen(encode, learner):
    old = copy.deepcopy(learner)
    before, _ = encode(learner)
    # as EMA does: PyTorch's version counter stays
    learner.class_prompt.data.add_(1.0)

    after, cost = encode(learner, clear=True)

    assert cost == 2
    assert not torch.equal(after, before)
    # kept under the new content: the old is not taken for it
    again, cost = encode(old)
    assert cost == 2
    assert torch.equal(again, before)


def test_fixed_prompts_follow_clip_to_another_device(tiny_clip):
    cache, prompt = TextCache(), FixedPrompt()
    cache.encode(prompt, tiny_clip, PETS, TASKS)
    moved = copy.deepcopy(tiny_clip).to('meta')

    embeds = cache.encode(prompt, moved, PETS, TASKS)

    assert embeds.device.type == 'meta'


def test_memory_is_bounded(encode, learner, monkeypatch):
    monkeypatch.setattr(module, 'MAX_ENTRIES', 3)
    names = [Vocabulary.from_names([name]) for name in 'abcd']
    for vocabulary in names:
        encode(learner, vocabulary, [Task.SEMANTIC])

    assert encode(learner, names[3], [Task.SEMANTIC])[1] == 0
    assert encode(learner, names[1], [Task.SEMANTIC])[1] == 0
    assert encode(learner, names[0], [Task.SEMANTIC])[1] == 1


def test_bytes_in_memory_are_bounded(encode, learner, monkeypatch):
    names = [Vocabulary.from_names([name]) for name in 'abc']
    embeds, _ = encode(learner, names[0], [Task.SEMANTIC])
    # a name is a prompt of one letter here
    monkeypatch.setattr(module, 'MAX_BYTES', 2 * (embeds.nbytes + 1))
    for vocabulary in names[1:]:
        encode(learner, vocabulary, [Task.SEMANTIC])

    assert encode(learner, names[2], [Task.SEMANTIC])[1] == 0
    assert encode(learner, names[1], [Task.SEMANTIC])[1] == 0
    assert encode(learner, names[0], [Task.SEMANTIC])[1] == 1


def test_what_depends_on_no_task_is_encoded_once(encode):
    learner = AdaptivePromptLearner(
        text_width=32, embed_dim=16, use_task_prompt=False
    )
    for prompts in (learner, FixedPrompt(task_template=None)):
        embeds, cost = encode(prompts, tasks=list(Task))

        assert cost == 1
        assert embeds.shape == (3, 2, 16)
        assert torch.equal(embeds[0], embeds[2])


def test_full_precision_under_autocast(encode, learner):
    with torch.autocast('cpu', torch.bfloat16):
        low, _ = encode(learner)

    assert torch.equal(encode(learner, clear=True)[0], low)


def test_a_changed_setting_is_noticed(encode, learner):
    encode(learner)
    learner.fusion = 'start_first'

    assert encode(learner)[1] == 2


def test_nothing_is_hashed_for_the_second_image(encode, learner, monkeypatch):
    encode(learner)
    monkeypatch.setattr(module, 'learner_digest', lambda _: 1 / 0)

    assert encode(learner)[1] == 0


def test_a_new_learner_in_an_old_ones_place_is_not_taken_for_it(
    encode, learner, monkeypatch
):
    monkeypatch.setattr(module, 'learner_state', lambda _: ())
    monkeypatch.setattr(module, 'id', lambda _: 1, raising=False)
    encode(learner)

    other = AdaptivePromptLearner(text_width=32, embed_dim=16)
    assert encode(other)[1] == 2
