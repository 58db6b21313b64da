import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.models.layers import CosineClassifier, max_over_synonyms
from freeseg_mm.structures import Vocabulary


def classes(*num_names):
    """A vocabulary of classes with so many names each."""
    names = [f'class {i}' for i in range(len(num_names))]
    return Vocabulary.from_names(
        names,
        synonyms={
            name: [f'{name}, {j}' for j in range(1, count)]
            for name, count in zip(names, num_names, strict=True)
        },
    )


@pytest.fixture
def plain():
    """A classifier whose projection is the identity, scale 10."""
    classifier = CosineClassifier(
        feat_channels=2, embed_dim=2, hidden_channels=4, temperature=10.0
    )
    eye = torch.eye(2)
    with torch.no_grad():
        # relu(x) - relu(-x) = x
        classifier.project[0].weight.copy_(torch.cat([eye, -eye]))
        classifier.project[0].bias.zero_()
        classifier.project[2].weight.copy_(torch.cat([eye, -eye], dim=1))
        classifier.project[2].bias.zero_()
        classifier.no_object.copy_(torch.tensor([0.0, -2.0]))
    return classifier


def test_two_queries_and_two_classes_by_hand(plain):
    queries = torch.tensor([[3.0, 4.0], [-5.0, 0.0]]).view(1, 1, 2, 2)
    texts = torch.eye(2)[None]

    logits = plain(queries, texts, classes(1, 1))

    # (0.6, 0.8) and (-1, 0) against (1, 0), (0, 1) and nothing at (0, -1)
    expected = torch.tensor([[6.0, 8.0, -8.0], [-10.0, 0.0, 0.0]])
    assert logits.shape == (1, 1, 2, 3)
    assert_close(logits[0, 0], expected)


def test_best_name_counts_by_hand(plain):
    queries = torch.tensor([[3.0, 4.0], [-5.0, 0.0]]).view(1, 1, 2, 2)
    # class 0 has two names, class 1 one
    texts = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]])

    logits = plain(queries, texts, classes(2, 1))

    # 10 max(0.6, 0.8), 10 (0.48 + 0.48); 10 max(-1, 0), -10 * 0.8
    expected = torch.tensor([[8.0, 9.6, -8.0], [0.0, -8.0, 0.0]])
    assert_close(logits[0, 0], expected)


def test_queries_shared_by_all_tasks_meet_each_tasks_text(plain):
    queries = torch.randn(2, 1, 3, 2)
    texts = torch.nn.functional.normalize(torch.randn(3, 4, 2), dim=-1)

    together = plain(queries, texts, classes(1, 1, 1, 1))

    assert together.shape == (2, 3, 3, 5)
    for task in range(3):
        alone = plain(queries, texts[task : task + 1], classes(1, 1, 1, 1))
        assert_close(together[:, task], alone[:, 0])


def test_temperature_is_learned_only_if_asked():
    fixed = CosineClassifier(feat_channels=2, embed_dim=2, temperature=7.0)
    learned = CosineClassifier(
        feat_channels=2, embed_dim=2, temperature=7.0, learn_temperature=True
    )

    assert 'log_temperature' not in dict(fixed.named_parameters())
    assert 'log_temperature' not in fixed.state_dict()
    assert 'log_temperature' in dict(learned.named_parameters())
    queries, texts = torch.randn(1, 1, 5, 2), torch.eye(2)[None]
    learned.load_state_dict(
        {**fixed.state_dict(), 'log_temperature': fixed.log_temperature}
    )
    assert_close(
        fixed(queries, texts, classes(1, 1)),
        learned(queries, texts, classes(1, 1)),
    )
    learned(queries, texts, classes(1, 1))[..., 0].sum().backward()
    assert learned.log_temperature.grad.abs() > 0


def test_logits_ignore_the_length_of_query_and_no_object(plain):
    queries, texts = torch.randn(1, 1, 5, 2), torch.eye(2)[None]
    before = plain(queries, texts, classes(1, 1))
    with torch.no_grad():
        plain.no_object.mul_(3)

    assert_close(plain(2 * queries, texts, classes(1, 1)), before)


@pytest.mark.parametrize('temperature', [0.0, -1.0])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(
        ValueError, match=f'expected temperature > 0, got {temperature}'
    ):
        CosineClassifier(feat_channels=2, embed_dim=2, temperature=temperature)


def test_best_of_prompts_by_hand():
    scores = torch.tensor([[1.0, 5.0, -2.0, -3.0, 4.0], [9, 8, -7, -1, 0]])

    best = max_over_synonyms(scores, (0, 0, 1, 1, 2))

    assert best.tolist() == [[5, -2, 4], [9, -1, 0]]


def test_best_of_prompts_sends_the_gradient_to_the_best():
    scores = torch.tensor([[1.0, 5.0, 3.0]], requires_grad=True)

    max_over_synonyms(scores, (0, 0, 1)).sum().backward()

    assert scores.grad.tolist() == [[0, 1, 1]]


def test_three_layers_and_a_bounded_temperature():
    classifier = CosineClassifier(
        feat_channels=2,
        embed_dim=3,
        hidden_channels=4,
        num_layers=3,
        temperature=99.0,
        learn_temperature=True,
        max_temperature=100.0,
    )
    shapes = [tuple(x.weight.shape) for x in classifier.project[::2]]
    assert shapes == [(4, 2), (4, 4), (3, 4)]
    assert classifier.scale.item() == pytest.approx(99)
    with torch.no_grad():
        classifier.log_temperature.add_(1)
    assert classifier.scale.item() == 100


def test_one_layer_is_too_few():
    with pytest.raises(ValueError, match='expected num_layers >= 2, got 1'):
        CosineClassifier(feat_channels=2, embed_dim=2, num_layers=1)
