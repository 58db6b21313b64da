import re

import pytest
import torch

from freeseg_mm.models import FixedPrompt
from freeseg_mm.structures import Task, Vocabulary

NAMES = ['cat', 'traffic light', 'Granny Smith']
VOCABULARY = Vocabulary.from_names(NAMES)


@pytest.mark.parametrize(
    ('templates', 'sentence'),
    [
        ({}, 'A photo of {name}. for {task} segmentation.'),
        ({'task_template': None}, 'A photo of {name}.'),
        (
            {'class_template': '{}!', 'task_template': '({})'},
            '{name}! ({task} segmentation.)',
        ),
    ],
)
def test_equals_open_clip_on_the_sentence(
    templates, sentence, tiny_clip, open_clip_twin
):
    embeds = FixedPrompt(**templates)(tiny_clip.text, VOCABULARY, list(Task))

    model, tokenizer = open_clip_twin
    assert embeds.shape == (3, 3, 16)
    for row, task in zip(embeds, Task, strict=True):
        sentences = [
            sentence.format(name=name, task=task.value) for name in NAMES
        ]
        expected = model.encode_text(tokenizer(sentences), normalize=True)
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-5)


def test_tasks_differ_only_with_a_task_template(tiny_clip):
    semantic, instance = FixedPrompt()(
        tiny_clip.text, VOCABULARY, [Task.SEMANTIC, Task.INSTANCE]
    )
    assert not torch.allclose(semantic, instance, atol=1e-3)

    semantic, instance = FixedPrompt(task_template=None)(
        tiny_clip.text, VOCABULARY, [Task.SEMANTIC, Task.INSTANCE]
    )
    assert torch.equal(semantic, instance)


def test_single_braces_are_plain_text(tiny_clip, open_clip_twin):
    prompt = FixedPrompt(class_template='a {big} {}}.', task_template=None)

    embeds = prompt(tiny_clip.text, VOCABULARY, [Task.SEMANTIC])

    model, tokenizer = open_clip_twin
    expected = model.encode_text(
        tokenizer([f'a {{big}} {name}}}.' for name in NAMES]), normalize=True
    )
    torch.testing.assert_close(embeds[0], expected, rtol=0, atol=1e-5)


def test_nothing_is_learned(tiny_clip):
    prompt = FixedPrompt()

    embeds = prompt(tiny_clip.text, VOCABULARY, [Task.SEMANTIC])

    assert list(prompt.parameters()) == []
    assert not embeds.requires_grad


def test_prompt_length_counts_start_and_end(tiny_clip):
    prompt = FixedPrompt()

    # start + 'a photo of' + 2 + '.' + 'for' + 5 + end
    assert (
        prompt.prompt_length(tiny_clip.text, 'traffic light', Task.SEMANTIC)
        == 1 + 3 + 2 + 1 + 1 + 5 + 1
    )


@pytest.mark.parametrize('template', ['no place', '{} and {}', '{', '{0}'])
@pytest.mark.parametrize('field', ['class_template', 'task_template'])
def test_template_without_exactly_one_place(field, template):
    message = (
        f'expected a template with one {{}}, got {template!r} '
        "(sets of class templates are ['imagenet80', 'vild14'])"
    )
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        FixedPrompt(**{field: template})
