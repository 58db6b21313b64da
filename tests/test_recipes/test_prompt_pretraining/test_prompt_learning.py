"""What learning changes, how crops are drawn and accuracy is counted."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch.testing import assert_close

from freeseg_mm.recipes import prompt_pretraining
from freeseg_mm.recipes.prompt_pretraining import (
    PromptTraining,
    class_weights,
    crop_accuracy,
    learn_prompts,
)
from freeseg_mm.structures import Task, Vocabulary

CLASSES = Vocabulary.from_names(
    ['cat', 'grass', 'sky'], synonyms={'grass': ['lawn']}
)


def crops_of(labels, tasks=None, embeds=None):
    labels = torch.tensor(labels)
    if embeds is None:
        embeds = F.normalize(torch.randn(len(labels), 16), dim=-1)
    return InstanceData(
        embeds=embeds,
        labels=labels,
        tasks=torch.tensor(tasks or [0] * len(labels)),
        images=torch.arange(len(labels)),
    )


@pytest.fixture
def read(learner, clip):
    """Text of the names for the semantic task, (4, D)."""

    def run():
        with torch.no_grad():
            return learner(clip.text, CLASSES, [Task.SEMANTIC])[0]

    return run


def test_learning_lowers_the_loss(learner, clip):
    crops = crops_of([0, 1, 2])
    training = PromptTraining(iters=40, batch_size=24, lr=0.02)

    losses = learn_prompts(learner, clip, crops, CLASSES, training)

    assert len(losses) == 40
    assert max(losses[-5:]) < min(losses[:5])


def test_all_prompts_change_and_nothing_else(learner, clip):
    before = {k: v.clone() for k, v in learner.state_dict().items()}
    weights = {k: v.clone() for k, v in clip.clip.state_dict().items()}
    crops = crops_of([0, 1, 2])
    embeds = crops.embeds.clone()
    learner.requires_grad_(False)  # as a config may have it

    learn_prompts(learner, clip, crops, CLASSES, PromptTraining(iters=2))

    for name, value in learner.state_dict().items():
        assert not torch.equal(value, before[name]), name
    for name, value in clip.clip.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert all(p.grad is None for p in clip.clip.parameters())
    assert torch.equal(crops.embeds, embeds)


def test_weights_by_hand():
    weights = class_weights(torch.tensor([0, 2, 0, 0]))

    # two classes, half for each; three crops share the first half
    assert weights.tolist() == pytest.approx([1 / 6, 1 / 2, 1 / 6, 1 / 6])


def test_classes_are_drawn_equally_often(learner, clip, monkeypatch):
    drawn = []

    def watched(logits, labels):
        drawn.append(labels)
        return logits.sum()

    monkeypatch.setattr(prompt_pretraining.F, 'cross_entropy', watched)
    crops = crops_of([0] * 18 + [1, 2])

    learn_prompts(
        learner, clip, crops, CLASSES, PromptTraining(iters=4, batch_size=300)
    )

    # 1200 draws: 400 of each class, give or take five deviations of 16
    counts = torch.cat(drawn).bincount()
    assert (counts - 400).abs().max() < 80


def test_a_step_reads_the_task_of_its_crops(learner, clip, monkeypatch):
    read = []
    encode = type(learner).encode_task

    def watched(self, tower, prompts, task):
        read.append(task)
        return encode(self, tower, prompts, task)

    monkeypatch.setattr(type(learner), 'encode_task', watched)
    crops = crops_of([0, 1, 2, 0], tasks=[2, 2, 1, 1])
    learn_prompts(learner, clip, crops, CLASSES, PromptTraining(iters=20))

    assert len(read) == 20
    assert set(read) == {Task.INSTANCE, Task.PANOPTIC}


def test_seed_decides(learner, clip):
    start = {k: v.clone() for k, v in learner.state_dict().items()}
    crops = crops_of([0, 1, 2] * 4)
    found = []
    for seed in (0, 0, 1):
        learner.load_state_dict(start)
        training = PromptTraining(iters=3, batch_size=4, seed=seed)
        found.append(learn_prompts(learner, clip, crops, CLASSES, training))

    assert found[0] == found[1] != found[2]


def test_accuracy_by_hand(learner, clip, read):
    text = read()  # cat, grass, lawn, sky
    # three crops of cat, one of them like sky; one of grass, like a lawn
    crops = crops_of([0, 0, 0, 1], embeds=text[[0, 0, 3, 2]])

    found = crop_accuracy(learner, clip, crops, CLASSES)

    assert found == {Task.SEMANTIC: pytest.approx((200 / 3 + 100) / 2)}


def test_loss_by_hand(learner, clip, read):
    text = read()
    crops = crops_of([1])

    (loss,) = learn_prompts(
        learner, clip, crops, CLASSES, PromptTraining(iters=1, batch_size=1)
    )

    cosines = (crops.embeds @ text.T)[0]
    best = torch.stack([cosines[0], cosines[1:3].max(), cosines[3]])
    expected = -(clip.logit_scale * best).log_softmax(0)[1]
    assert_close(loss, expected.item(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'iters': 0}, 'iters is 0, expected at least 1'),
        ({'batch_size': 0}, 'batch_size is 0, expected at least 1'),
        ({'lr': 0.0}, 'lr is 0.0, expected more than 0'),
        ({'weight_decay': -1.0}, 'weight_decay is -1.0, expected at least 0'),
        ({'crops_per_class': 0}, 'crops_per_class is 0'),
        ({'held_out': 1.0}, 'held_out is 1.0, expected between 0 and 1'),
        ({'seed': -1}, 'seed is -1, expected at least 0'),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        PromptTraining(**change)
