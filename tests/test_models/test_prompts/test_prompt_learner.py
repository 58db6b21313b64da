import re

import pytest
import torch

from freeseg_mm.models import AdaptivePromptLearner, FixedPrompt
from freeseg_mm.models.prompts.prompt_learner import encode_suffixes
from freeseg_mm.structures import Task, Vocabulary


def learners():
    return [
        AdaptivePromptLearner(text_width=32, embed_dim=16),
        FixedPrompt(),
    ]


def longest_name(learner):
    """The count of one-token words that fills CLIP's 77 tokens exactly."""
    if isinstance(learner, FixedPrompt):
        return 77 - 1 - 3 - 1 - 1 - 5 - 1  # start, a photo of, ., for, task
    return 77 - 5 - 8 - 1 - 16 - 1 - 1  # task, its vectors, start, ..., ., end


@pytest.mark.parametrize('learner', learners())
def test_name_that_just_fits(learner, tiny_clip):
    name = ' '.join(['cat'] * longest_name(learner))
    vocabulary = Vocabulary.from_names(['dog', name])

    assert learner.prompt_length(tiny_clip.text, name, Task.SEMANTIC) == 77
    learner.check_lengths(tiny_clip.text, vocabulary, [Task.SEMANTIC])
    embeds = learner(tiny_clip.text, vocabulary, [Task.SEMANTIC])
    assert embeds.isfinite().all()


@pytest.mark.parametrize('too_much', [1, 5])
@pytest.mark.parametrize('call', ['check_lengths', 'forward'])
@pytest.mark.parametrize('learner', learners())
def test_name_that_is_too_long(learner, call, too_much, tiny_clip):
    name = ' '.join(['cat'] * (longest_name(learner) + too_much))
    vocabulary = Vocabulary.from_names(
        ['dog', 'cat'], synonyms={'cat': [name]}, name='pets'
    )

    # The instance task's name is a token shorter.
    task, more = ('semantic', 1) if too_much == 1 else ('instance', 4)
    message = (
        f"vocabulary 'pets': the {task} prompt of {name!r} takes "
        f'{77 + more} tokens, CLIP reads 77; shorten the name by {more} '
        'tokens'
    )
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        getattr(learner, call)(
            tiny_clip.text, vocabulary, [Task.INSTANCE, Task.SEMANTIC]
        )


def test_a_batch_of_names_equals_each_alone(tiny_clip):
    learner = learners()[0]
    names = ['cat', 'a very long name of a thing', 'traffic light']

    together = learner.encode_task(tiny_clip.text, names, Task.SEMANTIC)

    for row, name in zip(together, names, strict=True):
        alone = learner.encode_task(tiny_clip.text, [name], Task.SEMANTIC)
        torch.testing.assert_close(row, alone[0])


def test_cutting_to_the_longest_prompt_changes_nothing(tiny_clip):
    text = tiny_clip.text
    prefix = torch.randn(30, 32)
    suffixes = [
        (*text.token_ids(name), text.end_id)
        for name in ('cat', 'a very long name')
    ]

    embeds = encode_suffixes(text, prefix, suffixes)

    for row, ids in zip(embeds, suffixes, strict=True):
        padded = torch.tensor([*ids, *[0] * (77 - 30 - len(ids))])
        full = torch.cat([prefix, text.embed_tokens(padded)])[None]
        end = torch.tensor([30 + len(ids) - 1])
        torch.testing.assert_close(row, text.encode(full, end)[0])
