import re

import pytest
import torch

from freeseg_mm.models.prompts import ClassEmbedding
from freeseg_mm.structures import Task, Vocabulary


@pytest.fixture
def learner():
    """Four classes, five names: grass is also called lawn."""
    torch.manual_seed(0)
    return ClassEmbedding(vocabulary=DECLARED, embed_dim=16)


DECLARED = Vocabulary.from_names(
    ['cat', 'zebra', 'grass', 'sky'],
    unseen=['zebra'],
    synonyms={'grass': ['lawn']},
    name='four',
)


def test_rows_are_normed_parameters_in_the_order_asked_for(learner, tiny_clip):
    with torch.no_grad():
        learner.embedding.zero_()
        learner.embedding[:, 0] = torch.tensor([3.0, 3, 3, 3, 3])
        learner.embedding[:, 1] = torch.tensor([0.0, 4, -4, 0, 4])
    asked = Vocabulary.from_names(['sky', 'grass', 'zebra'])

    embeds = learner(tiny_clip.text, asked, [Task.SEMANTIC])

    # rows: cat, zebra, grass, lawn, sky
    expected = torch.zeros(1, 3, 16)
    expected[0, :, 0] = 0.6
    expected[0, :, 1] = torch.tensor([0.8, -0.8, 0.8])
    torch.testing.assert_close(embeds, expected)


def test_a_name_means_the_same_in_every_vocabulary_and_task(
    learner, tiny_clip
):
    train = learner(tiny_clip.text, DECLARED.seen_only(), [Task.PANOPTIC])
    test = learner(tiny_clip.text, DECLARED, list(Task))

    assert test.shape == (3, 5, 16)
    assert torch.equal(test[0], test[2])
    # without zebra
    assert torch.equal(train[0], test[0, [0, 2, 3, 4]])


def test_training_on_seen_names_leaves_the_others_as_they_were(
    learner, tiny_clip
):
    before = learner.embedding.detach().clone()
    optimizer = torch.optim.AdamW(learner.parameters(), lr=0.1, weight_decay=0)
    embeds = learner(tiny_clip.text, DECLARED.seen_only(), [Task.SEMANTIC])
    embeds[..., 0].sum().backward()
    optimizer.step()

    changed = (learner.embedding != before).any(dim=1)
    assert changed.tolist() == [True, False, True, True, True]


def test_no_text_is_read(learner):
    long = ' '.join(['zebra'] * 200)
    declared = Vocabulary.from_names([long])

    embeds = ClassEmbedding(vocabulary=declared, embed_dim=4)(
        None, declared, [Task.SEMANTIC]
    )

    assert embeds.shape == (1, 1, 4)
    assert learner.prompt_length(None, long, Task.SEMANTIC) == 0


def test_built_in_vocabulary_by_name():
    learner = ClassEmbedding(vocabulary='coco_stuff171', embed_dim=8)

    assert learner.embedding.shape == (171, 8)


def test_caches_are_told_the_names(learner):
    other = Vocabulary.from_names(['sky', 'cat'], name='four')

    assert learner.settings == {
        'vocabulary_name': 'four',
        'vocabulary_hash': DECLARED.content_hash,
    }
    assert (
        ClassEmbedding(vocabulary=other, embed_dim=16).settings
        != learner.settings
    )


def test_name_without_embedding_is_an_error(learner, tiny_clip):
    asked = Vocabulary.from_names(['cat', 'dog', 'Sky'], name='mine')
    message = (
        "vocabulary 'mine': ['dog', 'Sky'] have no class embedding; there is "
        "one for each of the 5 names of 'four' alone, and without text no "
        'other name can be read'
    )
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        learner(tiny_clip.text, asked, [Task.SEMANTIC])
