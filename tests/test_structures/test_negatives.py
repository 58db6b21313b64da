import pytest
import torch

from freeseg_mm.structures import Vocabulary, with_negatives

VOCABULARY = Vocabulary.from_names(
    ['cat', 'dog', 'grass', 'sky', 'sea'],
    things=['cat', 'dog'],
    synonyms={'sky': ['heaven']},
    name='five',
)


def test_occurring_classes_and_some_others_stay_in_order():
    smaller, place = with_negatives(VOCABULARY, [3, 0, 3], 1)

    assert len(smaller) == 3
    kept = [VOCABULARY.names.index(name) for name in smaller.names]
    assert kept == sorted(kept)
    assert {smaller.names[i] for i in place.values()} == {'cat', 'sky'}
    assert smaller.names[place[0]] == 'cat'
    assert smaller.names[place[3]] == 'sky'
    assert smaller.is_thing[place[0]]
    assert not smaller.is_thing[place[3]]
    assert smaller.synonyms[place[3]] == ('heaven',)


@pytest.mark.parametrize('number', [3, 100])
def test_all_others_give_the_vocabulary_back(number):
    smaller, place = with_negatives(VOCABULARY, [1, 4], number)

    assert smaller.names == VOCABULARY.names
    assert place == {1: 1, 4: 4}


def test_draws_differ_and_follow_the_seed():
    def draw():
        return with_negatives(VOCABULARY, [], 2)[0].names

    torch.manual_seed(0)
    first = [draw() for _ in range(20)]
    torch.manual_seed(0)

    assert [draw() for _ in range(20)] == first
    # every class is drawn at some time
    assert {name for names in first for name in names} == {*VOCABULARY.names}


def test_no_negatives_are_refused():
    with pytest.raises(ValueError, match=r'num_negative_classes >= 1.*got 0'):
        with_negatives(VOCABULARY, [1], 0)
