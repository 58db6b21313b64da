import pytest

from freeseg_mm.models.prompt_tuning import PromptTuning


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'steps': -1}, 'prompt_tuning.steps=-1: expected at least 0'),
        ({'learning_rate': 0.0}, 'learning_rate=0.0: expected more than 0'),
        ({'threshold': 0.0}, r'threshold=0.0: expected a number in \(0, 1\]'),
        ({'threshold': 1.1}, r'threshold=1.1: expected a number in \(0, 1\]'),
        (
            {'source': 'CLIP'},
            r"source='CLIP': expected one of \('query'",
        ),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        PromptTuning(**changes)
