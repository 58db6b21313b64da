import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.models.layers import LinearClassifier
from freeseg_mm.structures import Vocabulary

TRAINED = Vocabulary.from_names(
    ['person', 'dog', 'grass'], synonyms={'person': ['man', 'Woman']}
)
# of person, dog, grass and no object
PROBS = torch.tensor([0.4, 0.1, 0.3, 0.2])


@pytest.fixture
def classify():
    """Probabilities of one query that says PROBS, by the names asked for."""
    classifier = LinearClassifier(1, TRAINED)
    with torch.no_grad():
        classifier.weight.copy_(PROBS.log()[:, None])
        classifier.bias.zero_()

    def probs(*names, **changes):
        words = Vocabulary.from_names(names, **changes)
        logits = classifier(torch.ones(1, 1, 1, 1), torch.ones(1, 9, 9), words)
        return logits.softmax(-1).flatten().tolist()

    return probs


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        # its own classes, in its order and in another
        (('person', 'dog', 'grass'), [0.4, 0.1, 0.3, 0.2]),
        (('Grass', 'person', 'dog'), [0.3, 0.4, 0.1, 0.2]),
        # grass is nothing that was asked for
        (('dog', 'woman'), [0.1, 0.4, 0.5]),
        # dog and person are objects, though none it could call lamp or sofa
        (('lamp', 'grass', 'sofa'), [0.25, 0.3, 0.25, 0.2]),
        (('lamp',), [0.8, 0.2]),
        # it cannot tell one from the other
        (('man', 'woman', 'grass'), [0.2, 0.2, 0.3, 0.3]),
        # it leaves nothing for a lamp
        (('person', 'dog', 'grass', 'lamp'), [0.4, 0.1, 0.3, 0, 0.2]),
    ],
)
def test_scores_by_hand(names, expected, classify):
    assert classify(*names) == pytest.approx(expected, abs=1e-6)


def test_synonyms_of_either_side_count(classify):
    probs = classify('pet', 'human', synonyms={'pet': ['DOG', 'person']})
    # pet has dog and person; human is unknown and has grass
    assert probs == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)


def test_tells_what_it_was_trained_on():
    words = Vocabulary.from_names(['lamp', 'kid', 'dog'], unseen=['dog'])
    assert LinearClassifier(1, TRAINED).is_seen(words) == (False, False, True)


def test_logits_are_finite_and_of_every_task():
    classifier = LinearClassifier(4, TRAINED)
    queries = 1e3 * torch.randn(2, 1, 5, 4)
    words = Vocabulary.from_names(['person', 'dog', 'grass', 'lamp'])

    logits = classifier(queries, torch.randn(3, 4, 8), words)

    assert logits.shape == (2, 3, 5, 5)
    assert logits.isfinite().all()
    assert_close(logits[:, 0], logits[:, 2])
