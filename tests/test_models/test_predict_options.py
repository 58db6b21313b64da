import pytest

from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.structures import Vocabulary

CLASSES = Vocabulary.from_names(['cat', 'dog', 'red circle'])


def test_a_number_holds_for_all_classes():
    chosen = PredictOptions(score_thr=0.3)
    assert chosen.least('score_thr', CLASSES) == (0.3, 0.3, 0.3)


def test_thresholds_by_class_change_those_alone():
    base = PredictOptions(score_thr=0.3)
    one = base.override(score_thr={' red  circle': 0.7})
    assert one.least('score_thr', CLASSES) == (0.3, 0.3, 0.7)
    two = one.override(score_thr={'cat': 0.1, '*': 0.2})
    assert two.least('score_thr', CLASSES) == (0.1, 0.2, 0.7)
    assert base.score_thr == 0.3
    assert two.override(score_thr=0.5).score_thr == 0.5
    assert base.override(score_thr={}) == base


def test_those_of_a_config_are_nought_for_the_others():
    chosen = PredictOptions.from_config({'pixel_score_thr': {'cat': 0.4}})
    assert chosen.least('pixel_score_thr', CLASSES) == (0.4, 0.0, 0.0)


def test_unknown_classes_are_refused_with_those_there_are():
    chosen = PredictOptions(object_score_thr={'cow': 0.5, 'cat': 0.1})
    with pytest.raises(
        ValueError,
        match=r"object_score_thr is given for \['cow'\], .* among the classes "
        r"\['cat', 'dog', 'red circle'\]",
    ):
        chosen.competing(CLASSES)


@pytest.mark.parametrize(
    ('given', 'error', 'message'),
    [
        ({'cat': 2}, ValueError, r"score_thr of 'cat': expected .* \[0, 1\]"),
        ({3: 0.5}, TypeError, 'score_thr: expected class names, got 3'),
        ({'': 0.5}, ValueError, 'is empty'),
        ('high', ValueError, 'score_thr: expected a number'),
    ],
)
def test_refuses(given, error, message):
    with pytest.raises(error, match=message):
        PredictOptions().override(score_thr=given)


def test_examples_come_by_classes():
    with pytest.raises(TypeError, match='examples: expected a tuple of Class'):
        PredictOptions().override(examples=['logo.png'])


# ---- negatives ----


def test_negatives_stand_behind_the_classes_and_are_no_things():
    chosen = PredictOptions().override(negatives=['cow', 'hand'])
    both = chosen.competing(CLASSES)
    assert both.names == ('cat', 'dog', 'red circle', 'cow', 'hand')
    assert both.is_thing == (True, True, True, False, False)
    assert PredictOptions().competing(CLASSES) is CLASSES
    assert chosen.override(negatives=[]).negatives is None


@pytest.mark.parametrize(
    ('negatives', 'error', 'message'),
    [
        (['cow', 'Cat'], ValueError, r"negatives \['Cat'\] are classes"),
        (['kitten'], ValueError, r"negatives \['kitten'\] are .* synonyms"),
        ('cow', TypeError, "expected a list of words, got 'cow'"),
        (3, TypeError, 'expected a list of words, got 3'),
        (['cow', 'cow'], ValueError, 'more than once'),
    ],
)
def test_refuses_negatives(negatives, error, message):
    classes = Vocabulary.from_names(
        ['cat', 'dog'], synonyms={'cat': ['kitten']}
    )
    with pytest.raises(error, match=message):
        PredictOptions().override(negatives=negatives).competing(classes)
