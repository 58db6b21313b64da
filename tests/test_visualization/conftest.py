import pytest

from freeseg_mm.structures import Vocabulary


@pytest.fixture
def vocabulary():
    """cat and dog are things, dog and sky unseen."""
    return Vocabulary.from_names(
        ['cat', 'dog', 'grass', 'sky'],
        things=['cat', 'dog'],
        unseen=['dog', 'sky'],
        name='four',
    )
