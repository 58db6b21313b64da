import pytest
import torch

from freeseg_mm.models import AdaptivePromptLearner
from freeseg_mm.models.prompts import beside_text
from freeseg_mm.structures import Task, Vocabulary

NAMES = ['cat', 'traffic light']
VOCABULARY = Vocabulary.from_names(NAMES)
TASK_NAMES = [task.text for task in Task]
CLASS_VECTORS, TASK_VECTORS = 'a photo of', 'in this scene'


def build(**changes):
    arguments = {'num_class_tokens': 3, 'num_task_tokens': 3, **changes}
    return AdaptivePromptLearner(text_width=32, embed_dim=16, **arguments)


@pytest.fixture
def spelled(spell):
    """A learner whose vectors are embeddings of words."""

    def make(**changes):
        learner = build(**changes)
        spell(learner.class_prompt, CLASS_VECTORS)
        if learner.use_task_prompt:
            spell(learner.task_prompt, TASK_VECTORS)
        return learner

    return make


@pytest.fixture
def encoded(monkeypatch, tiny_clip):
    """Record the whole prompts that the text tower is given."""
    calls = []
    encode = tiny_clip.text.encode

    def record(embeddings, end, prefix):
        begin = prefix.detach().expand(len(end), -1, -1)
        calls.append((torch.cat([begin, embeddings], 1), end + len(prefix)))
        return encode(embeddings, end, prefix)

    monkeypatch.setattr(tiny_clip.text, 'encode', record)
    return calls


def layout(fusion, task_name, name):
    """What a prompt reads, word by word; the paper's Eq. 6 and its rivals."""
    return {
        'task_first': [
            task_name,
            TASK_VECTORS,
            'START',
            CLASS_VECTORS,
            name,
            '.',
            'END',
        ],
        'start_first': [
            'START',
            task_name,
            TASK_VECTORS,
            CLASS_VECTORS,
            name,
            '.',
            'END',
        ],
        'embed': ['START', CLASS_VECTORS, name, '.', 'END'],
    }[fusion]


@pytest.mark.parametrize('fusion', ['task_first', 'start_first', 'embed'])
def test_prompts_read_as_their_fusion_says(fusion, spelled, tiny_clip, read):
    embeds = spelled(fusion=fusion)(tiny_clip.text, VOCABULARY, list(Task))

    expected = torch.stack(
        [
            read(*(layout(fusion, task_name, name) for name in NAMES))
            for task_name in TASK_NAMES
        ]
    )
    assert embeds.shape == (3, 2, 16)
    torch.testing.assert_close(embeds, expected)


@pytest.mark.parametrize('fusion', ['task_first', 'start_first', 'embed'])
def test_token_embeddings_and_end_positions(fusion, tiny_clip, words, encoded):
    learner = build(fusion=fusion)
    learner.encode_task(tiny_clip.text, NAMES, Task.SEMANTIC)

    vectors = {
        CLASS_VECTORS: learner.class_prompt,
        TASK_VECTORS: learner.task_prompt,
    }
    embeddings, end = encoded[0]
    assert embeddings.shape[1] == int(end.max()) + 1  # cut to the longest
    for row, position, name in zip(embeddings, end, NAMES, strict=True):
        expected = torch.cat(
            [
                vectors[part]
                if part in vectors
                else tiny_clip.clip.token_embedding(torch.tensor(words[part]))
                for part in layout(fusion, 'semantic segmentation.', name)
            ]
        )
        assert int(position) == len(expected) - 1
        assert torch.equal(row[: len(expected)], expected)


def test_without_task_prompt_all_tasks_read_the_same(spelled, tiny_clip, read):
    embeds = spelled(use_task_prompt=False)(
        tiny_clip.text, VOCABULARY, list(Task)
    )

    expected = read(
        *(['START', CLASS_VECTORS, name, '.', 'END'] for name in NAMES)
    )
    for task_embeds in embeds:
        torch.testing.assert_close(task_embeds, expected)


def test_without_task_prompt_there_are_no_task_parameters():
    learner = build(use_task_prompt=False, fusion='embed')

    assert [name for name, _ in learner.named_parameters()] == ['class_prompt']


def test_no_vectors_and_no_task_encode_the_bare_text(
    tiny_clip, open_clip_twin
):
    learner = build(num_class_tokens=0, use_task_prompt=False)

    embeds = learner(tiny_clip.text, VOCABULARY, [Task.SEMANTIC])

    model, tokenizer = open_clip_twin
    expected = model.encode_text(
        tokenizer([f'{name}.' for name in NAMES]), normalize=True
    )
    torch.testing.assert_close(embeds[0], expected)


def test_no_vectors_encode_task_and_class_sentence(tiny_clip, open_clip_twin):
    learner = build(
        num_class_tokens=0, num_task_tokens=0, fusion='start_first'
    )

    embeds = learner(tiny_clip.text, VOCABULARY, [Task.INSTANCE])

    model, tokenizer = open_clip_twin
    expected = model.encode_text(
        tokenizer([f'instance segmentation. {name}.' for name in NAMES]),
        normalize=True,
    )
    torch.testing.assert_close(embeds[0], expected)


def test_embed_fusion_joins_two_passes(spelled, tiny_clip, read):
    learner = spelled(fusion='embed')
    class_weight = torch.randn(16, 16)
    task_weight = torch.randn(16, 16)
    with torch.no_grad():
        learner.join.weight.copy_(torch.cat([class_weight, task_weight], 1))

    embeds = learner(tiny_clip.text, VOCABULARY, [Task.PANOPTIC])

    classes = read(*(layout('embed', '', name) for name in NAMES))
    task = read(['START', TASK_VECTORS, 'panoptic segmentation.', 'END'])
    joined = classes @ class_weight.T + task @ task_weight.T
    torch.testing.assert_close(
        embeds[0], joined / joined.norm(dim=1, keepdim=True)
    )


def test_tasks_and_names_keep_their_order(spelled, tiny_clip, read):
    vocabulary = Vocabulary.from_names(
        ['sky', 'grass', 'cat'], synonyms={'grass': ['lawn']}
    )
    tasks = [Task.PANOPTIC, Task.SEMANTIC]

    embeds = spelled()(tiny_clip.text, vocabulary, tasks)

    assert embeds.shape == (2, 4, 16)
    for row, task in zip(embeds, tasks, strict=True):
        torch.testing.assert_close(
            row,
            read(
                *(
                    layout('task_first', task.text, name)
                    for name in ('sky', 'grass', 'lawn', 'cat')
                )
            ),
        )


@pytest.mark.parametrize('fusion', ['task_first', 'start_first', 'embed'])
def test_gradient_reaches_both_prompts_and_not_clip(fusion, tiny_clip):
    learner = build(fusion=fusion)
    if fusion == 'embed':
        # it starts as the class embedding alone
        torch.nn.init.normal_(learner.join.weight)

    embeds = learner(tiny_clip.text, VOCABULARY, [Task.SEMANTIC])
    (embeds * torch.randn_like(embeds)).sum().backward()

    for name, parameter in learner.named_parameters():
        assert (parameter.grad.abs() > 0).any(-1).all(), name
    for parameter in tiny_clip.clip.parameters():
        assert not parameter.requires_grad
        assert parameter.grad is None


@pytest.mark.parametrize(
    ('changes', 'lengths'),
    [
        # 5 task + 3 + start + 3 + name + dot + end
        ({'fusion': 'task_first'}, (15, 16)),
        ({'fusion': 'start_first'}, (15, 16)),
        ({'fusion': 'embed'}, (7, 8)),
        ({'use_task_prompt': False}, (7, 8)),
    ],
)
def test_prompt_length_is_what_gets_encoded(
    changes, lengths, tiny_clip, encoded
):
    learner = build(**changes)
    learner.encode_task(tiny_clip.text, NAMES, Task.SEMANTIC)

    assert lengths == tuple(
        learner.prompt_length(tiny_clip.text, name, Task.SEMANTIC)
        for name in NAMES
    )
    assert tuple(encoded[0][1].tolist()) == tuple(n - 1 for n in lengths)


def test_number_and_start_of_the_learned_vectors():
    learner = AdaptivePromptLearner(text_width=512, embed_dim=16)

    assert learner.class_prompt.shape == (16, 512)
    assert learner.task_prompt.shape == (8, 512)
    assert learner.class_prompt.std().item() == pytest.approx(0.02, rel=0.1)
    assert learner.task_prompt.std().item() == pytest.approx(
        (0.4 / 512) ** 0.5, rel=0.1
    )


def test_unknown_fusion():
    with pytest.raises(
        ValueError, match=r"fusion 'mix' is none of \('task_first', "
    ):
        build(fusion='mix')


@pytest.mark.parametrize('count', ['num_class_tokens', 'num_task_tokens'])
def test_negative_count(count):
    with pytest.raises(ValueError, match=f'at least 0, got .*{count}=-1'):
        build(**{count: -1})


AROUND = {
    'task_first': (
        ['in this', 'TASK', 'scene', 'START', 'a photo', 'NAME', 'of', '.']
    ),
    'start_first': (
        ['START', 'in this', 'TASK', 'scene', 'a photo', 'NAME', 'of', '.']
    ),
    'embed': ['START', 'a photo', 'NAME', 'of', '.'],
}


@pytest.mark.parametrize('fusion', list(AROUND))
@pytest.mark.parametrize('names', [NAMES, NAMES[1:]], ids=['two', 'one'])
def test_vectors_stand_around_names(
    fusion, names, spelled, tiny_clip, read, words
):
    learner = spelled(fusion=fusion, placement='around')
    vocabulary = Vocabulary.from_names(names)

    embeds = learner(tiny_clip.text, vocabulary, list(Task))

    for row, task_name in zip(embeds, TASK_NAMES, strict=True):
        filled = [
            [
                {'TASK': task_name, 'NAME': name}.get(part, part)
                for part in AROUND[fusion]
            ]
            for name in names
        ]
        expected = read(*([*parts, 'END'] for parts in filled))
        torch.testing.assert_close(row, expected)
    for name, parts in zip(names, filled, strict=True):
        tokens = sum(len(words[part]) for part in parts)
        length = learner.prompt_length(tiny_clip.text, name, Task.PANOPTIC)
        assert length == tokens + 1


@pytest.mark.parametrize('placement', ['before', 'around'])
def test_all_vectors_learn_wherever_they_stand(placement, tiny_clip):
    learner = build(fusion='concat', placement=placement)

    learner(tiny_clip.text, VOCABULARY, list(Task))[..., :3].sum().backward()
    learner(tiny_clip.text, VOCABULARY, list(Task))[..., -3:].sum().backward()

    for parameter in (learner.class_prompt, learner.task_prompt):
        assert (parameter.grad != 0).any(1).all()


def test_concatenation_is_class_beside_task(spelled, tiny_clip, read):
    learner = spelled(fusion='concat')

    embeds = learner(tiny_clip.text, VOCABULARY, list(Task))

    classes = read(
        *(['START', CLASS_VECTORS, name, '.', 'END'] for name in NAMES)
    )
    for row, task_name in zip(embeds, TASK_NAMES, strict=True):
        task = read(['START', TASK_VECTORS, task_name, 'END'])
        expected = torch.cat([classes, task.expand(2, -1)], 1) / 2**0.5
        torch.testing.assert_close(row, expected)
    images = torch.nn.functional.normalize(torch.randn(4, 16), dim=-1)
    torch.testing.assert_close(
        beside_text(images, embeds) @ embeds.mT,
        (images @ classes.T).expand(3, -1, -1),
    )
    assert torch.equal(beside_text(images, classes), images)


@pytest.mark.parametrize(
    ('settings', 'parts'),
    [
        ({}, 1),
        ({'fusion': 'concat'}, 2),
        ({'fusion': 'concat', 'use_task_prompt': False}, 1),
        ({'fusion': 'embed'}, 1),
    ],
)
def test_parts_are_known_before_and_after_building(settings, parts):
    assert AdaptivePromptLearner.num_parts(settings) == parts
    learner = build(**settings)
    assert learner.num_parts(learner.settings) == parts


def test_pretrained_is_short_for_frozen_prompts_of_a_file():
    learner = build(pretrained='prompts.pth')
    assert learner.init_cfg == {
        'type': 'Pretrained',
        'checkpoint': 'prompts.pth',
    }
    assert not any(p.requires_grad for p in learner.parameters())
    with pytest.raises(ValueError, match='both name where'):
        build(pretrained='a.pth', init_cfg={'type': 'Pretrained'})
    with pytest.raises(ValueError, match="'behind' is none of"):
        build(placement='behind')


def test_period_apart_is_a_token_of_its_own(tiny_clip):
    """Read together with a name's last mark, it is another token."""
    for name, differs in (('toy (small)', True), ('toy', False)):
        together, apart = (
            [
                int(token)
                for token in build(period_apart=choice)._suffix(
                    tiny_clip.text, name
                )
            ]
            for choice in (False, True)
        )
        period = tiny_clip.text.token_ids('.')
        assert apart[-2:] == [*period, tiny_clip.text.end_id]
        assert (together != apart) is differs
