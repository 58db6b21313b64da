import re

import pytest
import torch

from freeseg_mm.models import AdaptivePromptLearner, FixedPrompt
from freeseg_mm.models.prompts import PromptLearner, build_prompts
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


def whole_prompts(text):
    """Make the tower read each prompt whole; the reference."""
    encode = type(text).encode

    def full(embeddings, end, prefix):
        begin = prefix.expand(len(end), -1, -1)
        whole = torch.cat([begin, embeddings], dim=1)
        return encode(text, whole, end + len(prefix))

    return full


@pytest.mark.parametrize('names', [['cat'], ['sky', 'a red cat', 'sky hook']])
@pytest.mark.parametrize(
    'settings',
    [
        {'fusion': 'task_first'},
        {'fusion': 'start_first'},
        {'fusion': 'embed'},
        {'use_task_prompt': False},
        {'num_class_tokens': 0, 'num_task_tokens': 0},
    ],
    ids=str,
)
def test_equals_whole_prompts_in_value_and_gradient(
    settings, names, tiny_clip, monkeypatch
):
    learner = AdaptivePromptLearner(text_width=32, embed_dim=16, **settings)
    if settings.get('fusion') == 'embed':
        torch.nn.init.normal_(learner.join.weight)
    vocabulary = Vocabulary.from_names(names)
    weights = torch.randn(3, len(names), 16)

    def run():
        embeds = learner(tiny_clip.text, vocabulary, list(Task))
        learner.zero_grad()
        (embeds * weights).sum().backward()
        return embeds, [p.grad for p in learner.parameters()]

    embeds, gradients = run()
    monkeypatch.setattr(
        tiny_clip.text, 'encode', whole_prompts(tiny_clip.text)
    )
    expected, expected_gradients = run()

    torch.testing.assert_close(embeds, expected, rtol=0, atol=1e-6)
    assert len(gradients) > 0
    for got, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('task_template', ['for {}', None])
def test_fixed_prompts_equal_whole_prompts(
    task_template, tiny_clip, monkeypatch
):
    learner = FixedPrompt(task_template=task_template)
    # 'a' is a word of the template, too
    vocabulary = Vocabulary.from_names(['cat', 'a cat', 'sky-other', 'a'])
    embeds = learner(tiny_clip.text, vocabulary, list(Task))
    monkeypatch.setattr(
        tiny_clip.text, 'encode', whole_prompts(tiny_clip.text)
    )

    torch.testing.assert_close(
        embeds,
        learner(tiny_clip.text, vocabulary, list(Task)),
        rtol=0,
        atol=1e-6,
    )


@pytest.fixture
def passed(tiny_clip, monkeypatch):
    """Record prefix length and end positions of what is encoded."""
    calls = []
    encode = tiny_clip.text.encode

    def record(embeddings, end, prefix):
        calls.append((len(prefix), end.tolist()))
        return encode(embeddings, end, prefix)

    monkeypatch.setattr(tiny_clip.text, 'encode', record)
    return calls


@pytest.mark.parametrize(
    ('suffixes', 'expected'),
    [
        ([(5, 6, 9), (5, 7, 9)], (3 + 1, [1, 1])),
        ([(5, 6, 9), (5, 9), (5, 6, 6, 9)], (3 + 1, [1, 0, 2])),
        ([(5, 9), (6, 9)], (3, [1, 1])),
        # a prompt keeps its end token
        ([(5, 6, 9)], (3 + 2, [0])),
        ([(9,), (9,)], (3, [0, 0])),
        ([(5, 9), (5, 9, 9)], (3 + 1, [0, 1])),
    ],
)
def test_ids_that_all_begin_with_join_the_prefix(
    suffixes, expected, tiny_clip, passed
):
    encode_suffixes(tiny_clip.text, torch.randn(3, 32), suffixes)

    assert passed == [expected]


def test_fixed_template_is_part_of_the_prefix(tiny_clip, passed):
    FixedPrompt(task_template=None).encode_task(
        tiny_clip.text, ['cat', 'traffic light'], Task.SEMANTIC
    )

    # start, 'a photo of'; then the name, '.', end
    assert passed == [(1 + 3, [2, 3])]


def test_what_depends_on_no_task_is_encoded_once(tiny_clip, passed):
    vocabulary = Vocabulary.from_names(['cat', 'dog'])
    for learner, depends in (
        (AdaptivePromptLearner(text_width=32, embed_dim=16), True),
        (FixedPrompt(), True),
        (FixedPrompt(task_template=None), False),
        (
            AdaptivePromptLearner(
                text_width=32, embed_dim=16, use_task_prompt=False
            ),
            False,
        ),
    ):
        passed.clear()
        embeds = learner(tiny_clip.text, vocabulary, list(Task))

        assert learner.depends_on_task is depends
        assert len(passed) == (3 if depends else 1)
        assert embeds.shape == (3, 2, 16)


class UnusualName(PromptLearner):
    """A learner of a user's own, under any name."""

    clip_arguments = ('text_width', 'embed_dim')

    def __init__(self, *, text_width, embed_dim, extra=0):
        super().__init__()
        self.widths = f'{text_width} {embed_dim} {extra}'

    def encode_task(self, text_tower, prompts, task):
        return torch.ones(len(prompts), 1)

    def prompt_length(self, text_tower, prompt, task):
        return 0


def test_a_learner_of_any_name_gets_the_widths_it_names(tiny_clip):
    learner = build_prompts({'type': UnusualName, 'extra': 3}, tiny_clip)
    assert learner.widths == '32 16 3'


@pytest.mark.parametrize(
    ('kind', 'names', 'message'),
    [
        (UnusualName, ('depth',), r"UnusualName\.clip_arguments: \['depth'\]"),
        ('freeseg_mm.Nothing', (), 'expected a PromptLearner that is reg'),
        ('freeseg_mm.FrozenCLIP', (), 'expected a PromptLearner that is reg'),
    ],
)
def test_what_is_no_learner_is_refused(
    tiny_clip, monkeypatch, kind, names, message
):
    monkeypatch.setattr(UnusualName, 'clip_arguments', names)
    with pytest.raises(TypeError, match=message):
        build_prompts({'type': kind}, tiny_clip)
