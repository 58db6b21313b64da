import json
import re
import subprocess
import sys

import pytest
import torch

from freeseg_mm.structures import Vocabulary, with_negatives


@pytest.fixture
def pets():
    return Vocabulary.from_names(
        ['cat', 'sky', 'dog'],
        things=['dog', 'cat'],
        unseen=['dog'],
        synonyms={'dog': ['hound', 'puppy']},
        name='pets',
    )


@pytest.fixture
def write(tmp_path):
    """Write a vocabulary file; text as it is, anything else as JSON."""

    def _write(content, name='words.json'):
        path = tmp_path / name
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return path

    return _write


class TestFields:
    def test_from_names_marks_by_name(self, pets):
        assert pets.names == ('cat', 'sky', 'dog')
        assert pets.is_thing == (True, False, True)
        assert pets.is_seen == (True, True, False)
        assert pets.synonyms == ((), (), ('hound', 'puppy'))
        assert pets.name == 'pets'
        assert len(pets) == 3

    def test_plain_list_is_all_things_and_all_unseen(self):
        words = Vocabulary.from_names(iter(['cat', 'sky']))
        assert words.is_thing == (True, True)
        assert words.is_seen == (False, False)
        assert words.synonyms == ((), ())
        assert words.name == 'custom'

    def test_empty_marks_differ_from_none(self):
        words = Vocabulary.from_names(['cat', 'sky'], things=(), unseen=())
        assert words.is_thing == (False, False)
        assert words.is_seen == (True, True)

    def test_single_class(self):
        assert len(Vocabulary.from_names(['cat'])) == 1

    def test_prompts_list_synonyms_after_their_name(self, pets):
        assert pets.prompts == ('cat', 'sky', 'dog', 'hound', 'puppy')
        assert pets.prompt_to_class == (0, 1, 2, 2, 2)

    def test_index(self, pets):
        assert [pets.index(name) for name in ('cat', 'sky', 'dog')] == [
            0,
            1,
            2,
        ]

    def test_names_by_mark(self, pets):
        assert pets.things == ('cat', 'dog')
        assert pets.unseen == ('dog',)

    @pytest.mark.parametrize('word', ['cow', 'hound'])
    def test_index_of_a_word_that_is_no_class(self, pets, word):
        with pytest.raises(
            KeyError,
            match=rf"vocabulary 'pets' \(3 classes\) has no class '{word}'",
        ):
            pets.index(word)

    def test_cannot_be_changed(self, pets):
        with pytest.raises(AttributeError):
            pets.names = ('cow',)

    def test_large_vocabulary_takes_no_quadratic_time(self):
        """30,000 names compared pair by pair would take minutes."""
        names = [f'class {index}' for index in range(30_000)]
        words = Vocabulary.from_names(names, unseen=names[1:])
        assert sum(words.is_seen) == 1


class TestRefusals:
    def test_no_name(self):
        with pytest.raises(
            ValueError, match="'none' is empty; give at least one category"
        ):
            Vocabulary.from_names([], name='none')

    def test_fields_of_different_length(self):
        with pytest.raises(
            ValueError,
            match=re.escape(
                "vocabulary 'odd': fields differ in length: {'names': 2, "
                "'is_thing': 1, 'is_seen': 2, 'synonyms': 2}"
            ),
        ):
            Vocabulary(('a', 'b'), (True,), (True, True), name='odd')

    @pytest.mark.parametrize(
        ('names', 'synonyms'),
        [(['cat', ''], {}), (['cat', ' '], {}), (['cat'], {'cat': ['']})],
    )
    def test_empty_text(self, names, synonyms):
        with pytest.raises(
            ValueError, match="'custom' has an empty name or synonym"
        ):
            Vocabulary.from_names(names, synonyms=synonyms)

    @pytest.mark.parametrize(
        ('names', 'synonyms'),
        [
            (['cat', 'dog', 'cat'], {}),
            (['cat', 'Cat '], {}),
            (['cat', 'dog'], {'dog': ['cat']}),
            (['cat', 'dog'], {'cat': ['cat']}),
            (['a', 'b'], {'a': ['cat'], 'b': ['cat']}),
        ],
    )
    def test_name_that_occurs_twice(self, names, synonyms):
        with pytest.raises(
            ValueError,
            match=re.escape(
                "'custom' has names that occur more than once: ['cat']; "
                'every name must mean one class'
            ),
        ):
            Vocabulary.from_names(names, synonyms=synonyms)

    @pytest.mark.parametrize(
        'marks',
        [
            {'things': ['cow', 'cat']},
            {'unseen': ['cow']},
            {'synonyms': {'cow': ['bull']}},
        ],
    )
    def test_mark_of_an_unknown_class(self, marks):
        (field,) = marks
        with pytest.raises(
            ValueError,
            match=re.escape(
                f"vocabulary 'custom': '{field}' names unknown classes "
                "['cow']; they are not in its 2 classes"
            ),
        ):
            Vocabulary.from_names(['cat', 'dog'], **marks)

    @pytest.mark.parametrize(
        ('arguments', 'field', 'found'),
        [
            ({'names': 'cat'}, 'names', 'cat'),
            ({'names': ['cat'], 'things': 'cat'}, 'things', 'cat'),
            ({'names': ['cat'], 'unseen': 'cat'}, 'unseen', 'cat'),
            (
                {'names': ['cat'], 'synonyms': {'cat': 'pus'}},
                "synonyms of 'cat'",
                'pus',
            ),
        ],
    )
    def test_string_in_place_of_a_list(self, arguments, field, found):
        with pytest.raises(
            TypeError,
            match=f'expected a list of strings as {field}, got the string '
            f"'{found}'",
        ):
            Vocabulary.from_names(**arguments)

    @pytest.mark.parametrize(
        ('names', 'synonyms', 'wrong'),
        [
            (['cat', 3], {}, r'\[3\]'),
            ([['cat']], {}, r"\[\['cat'\]\]"),
            (['cat'], {'cat': [None]}, r'\[None\]'),
        ],
    )
    def test_name_that_is_no_string(self, names, synonyms, wrong):
        with pytest.raises(
            TypeError, match=f'expected names that are strings, got {wrong}'
        ):
            Vocabulary.from_names(names, synonyms=synonyms)


class TestSubset:
    def test_takes_the_order_given(self, pets):
        subset = pets.subset([2, 0], 'two')
        assert subset == Vocabulary(
            names=('dog', 'cat'),
            is_thing=(True, True),
            is_seen=(False, True),
            synonyms=(('hound', 'puppy'), ()),
            name='two',
        )

    def test_seen_only(self, pets):
        seen = pets.seen_only()
        assert seen.names == ('cat', 'sky')
        assert seen.is_thing == (True, False)
        assert seen.is_seen == (True, True)
        assert seen.name == 'pets/seen'

    def test_seen_only_of_all_unseen(self):
        with pytest.raises(
            ValueError, match="'custom': all 2 classes are unseen, so training"
        ):
            Vocabulary.from_names(['cat', 'dog']).seen_only()


class TestDictAndHash:
    def test_from_dict_inverts_to_dict(self, pets):
        assert Vocabulary.from_dict(pets.to_dict()) == pets

    def test_dict_survives_json(self, pets):
        content = json.loads(json.dumps(pets.to_dict()))
        assert Vocabulary.from_dict(content) == pets

    def test_to_dict_is_plain(self, pets):
        assert pets.to_dict() == {
            'names': ['cat', 'sky', 'dog'],
            'is_thing': [True, False, True],
            'is_seen': [True, True, False],
            'synonyms': [[], [], ['hound', 'puppy']],
            'name': 'pets',
        }

    def test_hash_is_the_same_in_every_process(self, pets):
        """Features cached on disk are found by it."""
        expected = '0bdeb5f3c5bd31fb'
        assert pets.content_hash == expected
        code = (
            'from freeseg_mm.structures import Vocabulary;'
            f'print(Vocabulary.from_dict({pets.to_dict()!r}).content_hash)'
        )
        result = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True
        )
        assert result.stdout.strip() == expected

    @pytest.mark.parametrize(
        ('field', 'value'),
        [
            ('names', ['cat', 'sky', 'wolf']),
            ('names', ['sky', 'cat', 'dog']),
            ('is_thing', [True, True, True]),
            ('is_seen', [True, True, True]),
            ('synonyms', [[], [], ['hound']]),
            ('synonyms', [[], ['hound', 'puppy'], []]),
        ],
    )
    def test_hash_knows_every_field(self, pets, field, value):
        other = Vocabulary.from_dict({**pets.to_dict(), field: value})
        assert other.content_hash != pets.content_hash

    def test_hash_does_not_know_the_name(self, pets):
        other = Vocabulary.from_dict({**pets.to_dict(), 'name': 'animals'})
        assert other.content_hash == pets.content_hash


class TestLoad:
    def test_reads_a_file(self, write, pets):
        path = write(
            {
                'name': 'pets',
                'source': 'made up',
                'licence': 'none',
                'note': 'for a test',
                'classes': ['cat', 'sky', 'dog'],
                'things': ['cat', 'dog'],
                'unseen': ['dog'],
                'synonyms': {'dog': ['hound', 'puppy']},
            }
        )
        assert Vocabulary.load(path) == pets
        assert Vocabulary.load(str(path)) == pets

    def test_defaults_are_things_seen_and_the_file_name(self, write):
        words = Vocabulary.load(write({'classes': ['cat', 'Straße']}))
        assert words == Vocabulary(
            ('cat', 'Straße'), (True, True), (True, True), name='words'
        )

    def test_vocabulary_is_returned_as_it_is(self, pets):
        assert Vocabulary.load(pets) is pets

    def test_built_in_name(self):
        assert Vocabulary.load('voc20').name == 'voc20'

    def test_missing_file_lists_the_built_in_names(self, tmp_path):
        path = tmp_path / 'words.json'
        with pytest.raises(
            FileNotFoundError,
            match=re.escape(
                f'no vocabulary {str(path)!r}: neither a file nor one of the '
                f'built-in {Vocabulary.builtin_names()}'
            ),
        ):
            Vocabulary.load(path)

    @pytest.mark.parametrize(
        ('content', 'message'),
        [
            ('{"classes": ["cat",', 'Expecting value'),
            (b'\xff\xfe', "'utf-8' codec can't decode"),
            (['cat'], "expected an object with a 'classes' list"),
            ({'things': ['cat']}, "expected an object with a 'classes' list"),
            (
                {'classes': ['cat'], 'thing': [], 'seen': []},
                r"unknown keys \['seen', 'thing'\]; known are \['classes', "
                r"'things', 'unseen', 'synonyms', 'name', ",
            ),
            (
                {'classes': 'cat'},
                "expected 'classes' to be a JSON array, got 'cat'",
            ),
            (
                {'classes': ['cat'], 'unseen': None},
                "expected 'unseen' to be a JSON array, got None",
            ),
            (
                {'classes': ['cat'], 'synonyms': ['pus']},
                r"expected 'synonyms' to be a JSON object, got \['pus'\]",
            ),
            (
                {'classes': ['cat'], 'things': ['cow']},
                r"'things' names unknown classes \['cow'\]",
            ),
            (
                {'classes': ['cat'], 'unseen': ['cow']},
                r"'unseen' names unknown classes \['cow'\]",
            ),
            (
                {'classes': ['cat'], 'synonyms': {'cow': []}},
                r"'synonyms' names unknown classes \['cow'\]",
            ),
            (
                {'classes': ['cat'], 'synonyms': {'cat': 'pus'}},
                "expected a list of strings as synonyms of 'cat'",
            ),
            ({'classes': []}, 'is empty; give at least one category name'),
            ({'classes': ['a', 'a']}, r"more than once: \['a'\]"),
            (
                {'classes': ['a', 'b'], 'synonyms': {'a': ['b']}},
                r"more than once: \['b'\]",
            ),
            ({'classes': [1]}, r'names that are strings, got \[1\]'),
        ],
    )
    def test_refusal_names_the_file(self, write, content, message):
        path = write(content)
        with pytest.raises(
            ValueError,
            match=f'^vocabulary file {re.escape(str(path))}: .*{message}',
        ):
            Vocabulary.load(path)


def test_all_unseen_changes_nothing_else(tiny_vocabulary):
    unseen = tiny_vocabulary.all_unseen()
    assert unseen.is_seen == (False,) * 4
    assert unseen.to_dict() == {
        **tiny_vocabulary.to_dict(),
        'is_seen': [False] * 4,
    }


FIVE = Vocabulary.from_names(
    ['cat', 'dog', 'grass', 'sky', 'sea'],
    things=['cat', 'dog'],
    synonyms={'sky': ['heaven']},
    name='five',
)


def test_occurring_classes_and_some_others_stay_in_order():
    smaller, place = with_negatives(FIVE, [3, 0, 3], 1)

    assert len(smaller) == 3
    kept = [FIVE.names.index(name) for name in smaller.names]
    assert kept == sorted(kept)
    assert {smaller.names[i] for i in place.values()} == {'cat', 'sky'}
    assert smaller.names[place[0]] == 'cat'
    assert smaller.names[place[3]] == 'sky'
    assert smaller.is_thing[place[0]]
    assert not smaller.is_thing[place[3]]
    assert smaller.synonyms[place[3]] == ('heaven',)


@pytest.mark.parametrize('number', [3, 100])
def test_all_others_give_the_vocabulary_back(number):
    smaller, place = with_negatives(FIVE, [1, 4], number)

    assert smaller.names == FIVE.names
    assert place == {1: 1, 4: 4}


def test_draws_differ_and_follow_the_seed():
    def draw():
        return with_negatives(FIVE, [], 2)[0].names

    torch.manual_seed(0)
    first = [draw() for _ in range(20)]
    torch.manual_seed(0)

    assert [draw() for _ in range(20)] == first
    # every class is drawn at some time
    assert {name for names in first for name in names} == {*FIVE.names}


def test_no_negatives_are_refused():
    with pytest.raises(ValueError, match=r'num_negative_classes >= 1.*got 0'):
        with_negatives(FIVE, [1], 0)


def test_deep_nesting_of_a_file_is_an_error_of_it(tmp_path):
    path = tmp_path / 'deep.json'
    path.write_text('[' * 100_000)
    with pytest.raises(ValueError, match=r'deep\.json: it is nested too deep'):
        Vocabulary.load(path)
