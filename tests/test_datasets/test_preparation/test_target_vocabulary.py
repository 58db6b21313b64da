import json
import re

import pytest

from freeseg_mm.datasets.preparation.target_vocabulary import (
    settle_vocabulary,
    write_builtin_vocabulary,
    write_vocabulary,
)
from freeseg_mm.structures import Vocabulary

PETS = Vocabulary.from_names(
    ['cat', 'sky', 'dog'],
    things=['cat', 'dog'],
    unseen=['sky'],
    synonyms={'dog': ['hound']},
    name='pets',
)


def test_first_import_writes_all_that_is_known(tmp_path):
    found = settle_vocabulary(tmp_path / 'new', PETS, unseen=None)
    assert found == PETS
    assert not (tmp_path / 'new').exists()
    write_vocabulary(tmp_path / 'new', found)
    assert Vocabulary.load(tmp_path / 'new/vocabulary.json') == PETS


def test_unseen_of_the_command_goes_first(tmp_path):
    found = settle_vocabulary(tmp_path, PETS, unseen=['dog'])
    assert found.is_seen == (True, True, False)


def test_unknown_unseen_class(tmp_path):
    with pytest.raises(
        ValueError, match=r"unseen classes \['cow'\] are none of the 3 classes"
    ):
        settle_vocabulary(tmp_path, PETS, unseen=['cow'])
    assert not list(tmp_path.iterdir())


def test_what_a_user_wrote_into_the_file_stays(tmp_path):
    path = tmp_path / 'vocabulary.json'
    write_vocabulary(tmp_path, PETS)
    content = json.loads(path.read_text())
    content['synonyms']['cat'] = ['kitten']
    content['unseen'] = ['cat']
    path.write_text(json.dumps(content))
    before = path.read_bytes()
    write_vocabulary(tmp_path, PETS)
    found = settle_vocabulary(tmp_path, PETS, unseen=None)
    assert found.synonyms == (('kitten',), (), ('hound',))
    assert found.is_seen == (False, True, True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ('names', 'in_order', 'problem'),
    [
        (['cat', 'dog', 'sky'], True, "has the classes 'cat', 'sky', 'dog'"),
        (['cat', 'sky'], True, "has the classes 'cat', 'sky', 'dog'"),
        (['cat', 'cow'], False, "lacks the classes 'cow'"),
    ],
)
def test_other_classes(tmp_path, names, in_order, problem):
    write_vocabulary(tmp_path, PETS)
    other = Vocabulary.from_names(names, ['cat'])
    with pytest.raises(FileExistsError, match=re.escape(problem)) as caught:
        settle_vocabulary(tmp_path, other, unseen=None, in_order=in_order)
    assert str(tmp_path / 'vocabulary.json') in str(caught.value)


def test_part_of_the_classes_in_another_order_is_fine_by_name(tmp_path):
    write_vocabulary(tmp_path, PETS)
    part = PETS.subset([2, 0], 'part')
    assert settle_vocabulary(tmp_path, part, unseen=None) == PETS


@pytest.mark.parametrize(
    ('things', 'unseen', 'problem'),
    [
        (['cat'], None, "says that 'dog' is a thing"),
        (['cat', 'dog', 'sky'], None, "says that 'sky' is stuff"),
        (['cat', 'dog'], ['dog'], "says that 'sky' is unseen"),
        (['cat', 'dog'], ['dog', 'sky'], "says that 'dog' is seen"),
    ],
)
def test_other_marks(tmp_path, things, unseen, problem):
    write_vocabulary(tmp_path, PETS)
    other = Vocabulary.from_names(PETS.names, things)
    with pytest.raises(FileExistsError, match=problem):
        settle_vocabulary(tmp_path, other, unseen=unseen)


def test_builtin_is_copied_and_defended(tmp_path):
    write_builtin_vocabulary('voc20', tmp_path)
    write_builtin_vocabulary('voc20', tmp_path)
    path = tmp_path / 'vocabulary.json'
    assert Vocabulary.load(path) == Vocabulary.load('voc20')
    with pytest.raises(
        FileExistsError, match=f'{path} is not the built-in ade20k150'
    ):
        write_builtin_vocabulary('ade20k150', tmp_path)
