"""Choice of queries, and how they are scored again."""

import math

import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.models.prompt_tuning import (
    ConfidentQueries,
    PromptTuning,
    ScoredQueries,
)

UNSEEN = torch.tensor([1, 3])
# Class probabilities of five queries and no-object: of classes 1 and 3 the
# first three are as sure as 9 to 1, the others as 1 to 1.
PROBS = [
    [0.05, 0.72, 0.05, 0.08, 0.10],
    [0.60, 0.09, 0.15, 0.01, 0.15],
    [0.02, 0.09, 0.01, 0.01, 0.87],
    [0.10, 0.40, 0.05, 0.40, 0.05],
    [0.60, 0.10, 0.10, 0.10, 0.10],
]


def scored(wanted=(True,) * 5):
    """One image, one task, five queries, four classes."""
    return ScoredQueries(
        embeds=torch.eye(5)[None, None],
        logits=torch.tensor(PROBS).log()[None, None],
        scale=10.0,
        wanted=torch.tensor(wanted)[None, None],
    )


def choose(queries, **settings):
    return ConfidentQueries.among(
        queries, UNSEEN, 4, PromptTuning(threshold=0.5, **settings)
    )


@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        ({}, [0, 2]),  # no-object is not in the way of the third
        ({'unseen_first': False}, [0, 1, 2]),
    ],
)
def test_choice_by_hand(settings, expected):
    chosen = choose(scored(), **settings)

    assert chosen.embeds.argmax(1).tolist() == expected


def test_only_wanted_queries_are_chosen():
    assert len(choose(scored(wanted=[False, True, True, True, True]))) == 1
    assert len(choose(scored(wanted=[False] * 5))) == 0


def test_queries_of_all_tasks_and_images_are_chosen_together():
    logits = torch.tensor(PROBS).log()[None, None].repeat(2, 3, 1, 1)
    logits[1, 2, 0] = 0.0  # here even the first is unsure
    queries = ScoredQueries(
        embeds=torch.eye(5).expand(2, 1, -1, -1),  # shared by the tasks
        logits=logits,
        scale=10.0,
        wanted=torch.ones(2, 3, 5, dtype=torch.bool),
    )

    chosen = choose(queries)

    assert chosen.tasks.tolist() == [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2]
    assert chosen.embeds.shape == (11, 5)


def test_scores_of_other_text_by_hand():
    chosen = ConfidentQueries(
        embeds=torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        scale=torch.tensor(math.log(2)),
        tasks=torch.tensor([0, 1]),
    )
    # classes 1 and 3, the latter with a synonym, for two tasks
    text = torch.tensor(
        [
            [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]],
            [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]],
        ]
    )

    scores = chosen.log_scores(text, (0, 1, 1)).exp()

    # logits ln(2) * cosine: 2 and 1, then 1 and 2 by its better name
    expected = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    assert_close(scores, expected / 3)
