"""What tuning changes, and what it leaves alone."""

from contextlib import nullcontext

import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.models.prompt_tuning import (
    ConfidentQueries,
    PromptTuner,
    PromptTuning,
    entropy_loss,
)
from freeseg_mm.models.prompts import AdaptivePromptLearner, FixedPrompt
from freeseg_mm.structures import Task, Vocabulary

TASKS = tuple(Task)
# All queries of the fixture are confident.
EASY = {'threshold': 1.0, 'unseen_first': False}
UNSEEN = torch.tensor([1, 3])
UNSEEN_ROWS, SEEN_ROWS = [1, 4], [0, 2, 3]


@pytest.fixture
def tune(learner, tiny_clip, text, queries, tiny_vocabulary):
    """Tune on the queries; settings, or a tuner of yours, are given."""

    def run(tuner=None, words=tiny_vocabulary, queries=queries, **settings):
        if tuner is None:
            settings = {**EASY, **settings}
            tuner = PromptTuner(PromptTuning(**settings))
        return tuner.tune(
            [queries], learner, tiny_clip.text, text, words, TASKS
        )

    return run


@pytest.fixture
def loss(queries):
    """L_ent of the queries with a text of all names."""
    chosen = ConfidentQueries.among(queries, UNSEEN, 4, PromptTuning(**EASY))
    assert len(chosen) == 18

    def measure(text):
        scores = chosen.log_scores(text[:, UNSEEN_ROWS], (0, 1))
        return entropy_loss(scores).item()

    return measure


def test_more_steps_have_less_entropy(tune, text, loss):
    losses = [loss(text)] + [
        loss(tune(learning_rate=1e-3, steps=steps)) for steps in (1, 2, 4)
    ]

    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


def test_first_adam_step_moves_every_number_by_the_learning_rate(
    tune, learner, monkeypatch
):
    prompts = []
    encode = AdaptivePromptLearner.encode_task

    def watched(self, *arguments):
        prompts.append(self.class_prompt.detach().clone())
        return encode(self, *arguments)

    monkeypatch.setattr(AdaptivePromptLearner, 'encode_task', watched)
    tune(learning_rate=0.01)

    # three tasks before the step, three after it
    assert len(prompts) == 6
    assert torch.equal(prompts[0], learner.class_prompt)
    moved = (prompts[-1] - prompts[0]).abs()
    # less where the gradient is hardly more than Adam's epsilon
    assert moved.max().item() == pytest.approx(0.01, rel=1e-4)
    assert moved.median().item() == pytest.approx(0.01, rel=1e-4)


def test_only_the_unseen_names_are_read(tune, learner, text, monkeypatch):
    read = []
    encode = AdaptivePromptLearner.encode_task

    def watched(self, tower, prompts, task):
        read.append(prompts)
        return encode(self, tower, prompts, task)

    monkeypatch.setattr(AdaptivePromptLearner, 'encode_task', watched)
    tuned = tune()

    assert set(read) == {('zebra', 'sky')}
    assert torch.equal(tuned[:, SEEN_ROWS], text[:, SEEN_ROWS])
    assert not torch.isclose(tuned[:, UNSEEN_ROWS], text[:, UNSEEN_ROWS]).all()


def test_tokens_that_pass_the_text_tower_by_hand(tune, tiny_clip, monkeypatch):
    """Of each task once with gradient, once without: no seen name's.

    The prefix of a task: its name (5, 4, 5 tokens), 2 task vectors, the
    start and 4 class vectors. Then two names of one token, each with a dot
    and the end token.
    """
    counts = []
    encode = tiny_clip.text.encode

    def watched(embeddings, end, prefix):
        own = int((end + 1).sum())
        counts.append((len(prefix), own, prefix.requires_grad))
        return encode(embeddings, end, prefix)

    monkeypatch.setattr(tiny_clip.text, 'encode', watched)
    tune()

    lengths = [5 + 7, 4 + 7, 5 + 7]
    assert counts == [
        (length, 6, has_gradient)
        for has_gradient in (True, False)
        for length in lengths
    ]


def test_learner_stays_as_it_is_and_only_the_class_prompt_has_a_gradient(
    tune, learner, tiny_clip, monkeypatch
):
    before = {k: v.clone() for k, v in learner.state_dict().items()}
    stepped = []
    step = torch.optim.Adam.step

    def watched(self, *arguments):
        stepped.append([p for g in self.param_groups for p in g['params']])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.Adam, 'step', watched)
    tune()

    ((prompt,),) = stepped
    assert prompt.grad.abs().sum() > 0
    assert prompt.shape == learner.class_prompt.shape
    assert prompt is not learner.class_prompt
    for module in (learner, tiny_clip.clip):
        assert all(p.grad is None for p in module.parameters())
    assert all(p.requires_grad for p in learner.parameters())
    for name, value in learner.state_dict().items():
        assert torch.equal(value, before[name])


def test_text_is_what_a_learner_with_the_tuned_prompt_reads(
    tune, learner, tiny_clip, tiny_vocabulary
):
    tuner = PromptTuner(PromptTuning(**EASY, online=True))
    tuned = tune(tuner)

    learner.load_state_dict(tuner._kept.learner.state_dict())
    with torch.no_grad():
        read = learner(tiny_clip.text, tiny_vocabulary, TASKS)
    assert_close(tuned[:, UNSEEN_ROWS], read[:, UNSEEN_ROWS])


@pytest.mark.parametrize(
    'context',
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast('cpu', torch.bfloat16),
        nullcontext,
    ],
)
def test_mode_of_the_caller_makes_no_difference(tune, context):
    expected = tune(steps=2)
    with context():
        found = tune(steps=2)

    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert torch.equal(found, expected)


def test_queries_made_in_inference_mode_serve(tune, queries):
    with torch.inference_mode():
        made = type(queries)(
            embeds=queries.embeds.clone(),
            logits=queries.logits.clone(),
            scale=torch.tensor(20.0),
            wanted=queries.wanted.clone(),
        )
        found = tune(queries=made)

    assert torch.equal(found, tune())


def test_episodic_batches_do_not_know_of_each_other(tune, learner):
    tuner = PromptTuner(PromptTuning(**EASY))

    assert torch.equal(tune(tuner), tune(tuner))
    assert tuner.counts.batches == tuner.counts.tuned == 2
    assert tuner.counts.queries == 36


def test_online_batches_go_on_until_reset(tune, learner):
    settings = PromptTuning(**EASY, online=True)
    tuner = PromptTuner(settings)

    first, second = tune(tuner), tune(tuner)
    tuner.reset()

    # the queries stay the same, so two batches are two steps on one
    assert torch.equal(second, tune(steps=2))
    assert not torch.equal(first, second)
    assert torch.equal(tune(tuner), first)
    assert tuner.counts.batches == 1


def test_several_sources_are_one_mean(
    learner, tiny_clip, text, queries, tiny_vocabulary, tune
):
    tuner = PromptTuner(PromptTuning(**EASY))
    tuned = tuner.tune(
        [queries, queries],
        learner,
        tiny_clip.text,
        text,
        tiny_vocabulary,
        TASKS,
    )

    assert tuner.counts.queries == 36
    # the mean over everything twice is the mean
    assert_close(tuned, tune(), rtol=1e-4, atol=1e-5)


def test_nothing_confident_nothing_tuned(tune, learner, queries):
    tuner = PromptTuner(PromptTuning(threshold=1e-9))

    assert tune(tuner) is None
    assert (tuner.counts.batches, tuner.counts.tuned) == (1, 0)
    unwanted = type(queries)(
        queries.embeds, queries.logits, 20.0, queries.wanted & False
    )
    assert tune(queries=unwanted) is None


def test_without_unseen_classes_nothing_is_tuned(
    learner, tiny_clip, text, queries
):
    tuner = PromptTuner(PromptTuning(**EASY))
    words = Vocabulary.from_names(['cat', 'grass'], unseen=[])

    found = tuner.tune([queries], learner, tiny_clip.text, text, words, TASKS)

    assert found is None
    assert (tuner.counts.batches, tuner.counts.tuned) == (1, 0)


@pytest.mark.parametrize('tokens', [None, 0])
def test_refuses_learners_without_a_class_prompt(tiny_clip, tokens):
    learner = FixedPrompt()
    if tokens == 0:
        learner = AdaptivePromptLearner(
            text_width=32, embed_dim=16, num_class_tokens=0
        )
    with pytest.raises(
        TypeError,
        match='needs a learned class prompt, and (FixedPrompt|Adapt.*) has '
        r'none; set model\.test_cfg\.prompt_tuning\.steps to 0',
    ):
        PromptTuner.check(learner)
