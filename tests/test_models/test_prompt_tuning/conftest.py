"""A learner, and queries that it scores."""

import pytest
import torch
import torch.nn.functional as F

from freeseg_mm.models.layers import max_over_synonyms
from freeseg_mm.models.prompt_tuning import ScoredQueries
from freeseg_mm.models.prompts import AdaptivePromptLearner
from freeseg_mm.structures import Task


@pytest.fixture
def learner(tiny_clip):
    return AdaptivePromptLearner(
        text_width=tiny_clip.text.width,
        embed_dim=tiny_clip.embed_dim,
        num_class_tokens=4,
        num_task_tokens=2,
    ).eval()


@pytest.fixture
def text(learner, tiny_clip, tiny_vocabulary):
    """What the learner reads, (3, 5, D)."""
    with torch.no_grad():
        return learner(tiny_clip.text, tiny_vocabulary, tuple(Task))


@pytest.fixture
def queries(text, tiny_vocabulary):
    """One image: six queries, near the unseen zebra and sky in turn."""
    zebra, sky = text[:, 1], text[:, 4]
    embeds = torch.stack([zebra, sky] * 3, dim=1)  # (3, 6, D)
    embeds = F.normalize(embeds + 0.1 * torch.randn_like(embeds), dim=-1)
    logits = 20 * max_over_synonyms(
        embeds @ text.mT, tiny_vocabulary.prompt_to_class
    )
    return ScoredQueries(
        embeds=embeds[None],
        logits=logits[None],
        scale=20.0,
        wanted=torch.ones(1, 3, 6, dtype=torch.bool),
    )
