import pytest

from freeseg_mm.analysis.paper_tables.filling import contradictions


def semantic(seen, unseen, harmonic):
    return {
        'semantic/mIoU_seen': seen,
        'semantic/mIoU_unseen': unseen,
        'semantic/hIoU': harmonic,
    }


def instance(seen, unseen, mean):
    return {
        'instance/mAP_seen': seen,
        'instance/mAP_unseen': unseen,
        'instance/mAP': mean,
    }


def test_hiou_is_the_harmonic_mean():
    # 2 * 44.2 * 28.6 / 72.8 = 34.728...
    found = contradictions(semantic(44.2, 28.6, 39.8))
    assert found == {'semantic/hIoU': pytest.approx(34.7286, abs=1e-4)}
    assert contradictions(semantic(44.2, 28.6, 34.7)) == {}


def test_map_is_the_mean_of_classes():
    # (73 * 23.7 + 7 * 20.6) / 80 = 1874.3 / 80 = 23.42875
    found = contradictions(instance(23.7, 20.6, 22.8), (73, 7))
    assert found == {'instance/mAP': pytest.approx(23.42875)}
    assert contradictions(instance(23.7, 20.6, 23.4), (73, 7)) == {}
    # nothing is said where the classes are not known
    assert contradictions(instance(23.7, 20.6, 22.8)) == {}


@pytest.mark.parametrize(
    ('printed', 'sound'),
    [
        # between 1.95 and 2.05, each mean lies in [1.95, 2.05]
        (1.9, True),
        (2.1, True),
        (1.8, False),
        (2.2, False),
    ],
)
def test_rounding_is_allowed_for(printed, sound):
    numbers = semantic(2.0, 2.0, printed) | instance(2.0, 2.0, printed)
    assert (contradictions(numbers, (1, 1)) == {}) == sound


def test_missing_numbers_are_not_checked():
    whole = semantic(44.2, 28.6, 39.8)
    for metric in whole:
        rest = {key: whole[key] for key in whole if key != metric}
        assert contradictions(rest) == {}
