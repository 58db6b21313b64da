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


@pytest.mark.parametrize(
    ('templates', 'count'),
    [(('a {}.', 'the {}', '{}!'), 3), ('vild14', 14), ('imagenet80', 80)],
)
def test_several_sentences_are_averaged(
    templates, count, tiny_clip, open_clip_twin
):
    prompt = FixedPrompt(class_template=templates, task_template=None)

    embeds = prompt(tiny_clip.text, VOCABULARY, [Task.SEMANTIC])

    model, tokenizer = open_clip_twin
    sentences = prompt.class_template.split('\n')
    assert len(set(sentences)) == count
    by_sentence = [
        model.encode_text(
            tokenizer([sentence.replace('{}', name) for name in NAMES]),
            normalize=True,
        )
        for sentence in sentences
    ]
    expected = torch.nn.functional.normalize(
        torch.stack(by_sentence).mean(0), dim=-1
    )
    torch.testing.assert_close(embeds[0], expected, rtol=0, atol=1e-5)


def test_sets_of_sentences_are_told_apart():
    one, two = (FixedPrompt(class_template=x) for x in ('vild14', '{}'))
    assert one.settings['class_template'].startswith('a photo of a {}.\nThis')
    assert two.settings['class_template'] == '{}'


def test_longest_sentence_counts(tiny_clip):
    prompt = FixedPrompt(class_template=['{}', 'a big {}'], task_template=None)
    # start, a, big, cat, end
    assert prompt.prompt_length(tiny_clip.text, 'cat', Task.SEMANTIC) == 5


def test_no_sentence_is_refused():
    with pytest.raises(ValueError, match='templates: expected at least one'):
        FixedPrompt(class_template=[])


def test_reworded_reads_other_sentences_and_is_one_object(tiny_clip):
    prompt = FixedPrompt(class_template='{}!', task_template='({})')
    other = prompt.reworded(('a {}.', 'the {}'))
    same = FixedPrompt(
        class_template=['a {}.', 'the {}'], task_template='({})'
    )
    tasks = [Task.SEMANTIC, Task.PANOPTIC]
    torch.testing.assert_close(
        other(tiny_clip.text, VOCABULARY, tasks),
        same(tiny_clip.text, VOCABULARY, tasks),
    )
    assert prompt.reworded(('a {}.', 'the {}')) is other
    assert not other.training
    assert prompt.settings['class_template'] == '{}!'
