import json
import re

import pytest

from freeseg_mm.structures import Vocabulary
from freeseg_mm.structures.vocabulary_file import (
    parse_class_list,
    parse_vocabulary_file,
    vocabulary_problems,
)


def test_good_file_has_no_problem():
    content = {
        'name': 'pets',
        'note': 'made up',
        'classes': ['cat', 'dog', 'sky'],
        'things': ['cat', 'dog'],
        'unseen': [],
        'synonyms': {'dog': ['hound']},
    }
    assert list(vocabulary_problems(content)) == []
    assert parse_vocabulary_file(json.dumps(content).encode()) == content


@pytest.mark.parametrize('name', Vocabulary.builtin_names())
def test_built_in_files_have_no_problem(name, repo):
    path = repo / f'freeseg_mm/structures/vocabularies/{name}.json'
    assert parse_vocabulary_file(path.read_bytes())['name'] == name


def test_everything_wrong_is_said_at_once():
    content = {
        'classes': ['cat', 'Cat', 'dog\n', '', 3],
        'things': ['cta', 'cat', 'cat'],
        'unseen': 'dog',
        'synonyms': {'cat': 'pus', 'cow': ['bull']},
        'seen': [],
    }
    assert list(vocabulary_problems(content)) == [
        "unknown keys ['seen']; known are ['classes', 'things', 'unseen', "
        "'synonyms', 'name', 'source', 'licence', 'note']",
        "expected 'unseen' to be a JSON array, got 'dog'",
        "expected a list of strings as synonyms of 'cat', got the string "
        "'pus'",
        'expected names that are strings, got [3]',
        '1 names or synonyms are empty',
        "the name 'dog\\n' holds U+000A (control character) as character 4, "
        'which nobody can see; write it without',
        "names that occur more than once: ['cat'] (synonyms included, "
        'capitals aside); every name must mean one class',
        "'things' names unknown classes ['cta'] (did you mean 'cat'?); they "
        'are not in its 5 classes',
        "'things' lists ['cat'] more than once",
        "'synonyms' names unknown classes ['cow']; they are not in its 5 "
        'classes',
    ]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'name': 3}, "expected 'name' to be a string, got 3"),
        ({'unseen': ['cat', 'cat']}, "'unseen' lists ['cat'] more than once"),
        ({'things': [['cat']]}, "expected class names under 'things', got"),
        (
            {'synonyms': {'cat': None}},
            "expected a list of strings as synonyms of 'cat', got the None",
        ),
        ({'synonyms': {'cat': ['']}}, '1 names or synonyms are empty'),
        ({'synonyms': {'cat': ['sky']}}, "more than once: ['sky']"),
    ],
)
def test_single_problem(change, message):
    content = {'classes': ['cat', 'sky'], **change}
    (problem,) = vocabulary_problems(content)
    assert message in problem


@pytest.mark.parametrize(
    ('text', 'key'),
    [
        ('{"classes": ["cat"], "unseen": [], "unseen": ["cat"]}', 'unseen'),
        ('{"classes": ["a"], "synonyms": {"a": ["b"], "a": ["c"]}}', 'a'),
    ],
)
def test_repeated_key_is_no_choice(text, key, tmp_path):
    path = tmp_path / 'words.json'
    path.write_text(text)
    message = f"vocabulary file {path}: the keys ['{key}'] occur more than"
    with pytest.raises(ValueError, match=re.escape(message)):
        Vocabulary.load(path)


def test_byte_order_mark_of_some_editors_is_fine(tmp_path):
    path = tmp_path / 'words.json'
    path.write_text('{"classes": ["cat"]}', 'utf-8-sig')
    assert Vocabulary.load(path).names == ('cat',)


LISTS = {
    # as published: an id, a colon, names between commas
    '1:wall,walls,brick wall\n2:building,buildings': {
        'wall': ['walls', 'brick wall'],
        'building': ['buildings'],
    },
    '0:invalid_class_id\n1:cat\n2:dog\n': {'cat': [], 'dog': []},
    # of COCO, whose ids have gaps
    '3:car\n\n1:person,child\n': {'person': ['child'], 'car': []},
    # of LVIS
    '1:bow (decorative, of ribbons),bow\n2:flip-flop_(sandal)': {
        'bow (decorative, of ribbons)': ['bow'],
        'flip-flop_(sandal)': [],
    },
    # of Mapillary: a name in two places of a class
    '50:traffic sign (back),traffic sign back\n41:mailbox,post,mailbox': {
        'mailbox': ['post'],
        'traffic sign (back)': ['traffic sign back'],
    },
    # a name twice in a class, spaces, an empty name, other line ends
    ' 1 : cat , Cat,, kitten, Cat\r\n2:dog\r\n': {
        'cat': ['kitten'],
        'dog': [],
    },
}


@pytest.mark.parametrize('mark', [b'', b'\xef\xbb\xbf'])
@pytest.mark.parametrize('text', LISTS)
def test_list_of_classes(text, mark):
    classes, notes = parse_class_list(mark + text.encode())
    assert list(classes.items()) == list(LISTS[text].items())
    assert notes == []


def test_a_name_of_two_classes_has_one_owner():
    text = b"""1:door,screen
2:screen door,screen
3:screen,silver screen
4:crt screen,silver screen,door
5:door,gate"""
    classes, notes = parse_class_list(text)
    assert classes == {
        'door': [],
        'screen door': [],
        'screen': ['silver screen'],
        'crt screen': [],
        'gate': [],  # called by its next name
    }
    assert notes == [
        "'screen' of 1 stays with 3",
        "'screen' of 2 stays with 3",
        "'silver screen' of 4 stays with 3",
        "'door' of 4 stays with 1",
        "'door' of 5 stays with 1",
    ]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('1:cat\ndog\n', r"line 2: expected id:name,synonym,..., got 'dog'"),
        ('1:cat\n2: , \n', 'line 2: expected id:name'),
        ('one:cat', 'line 1: expected'),
        ('1:cat\n\n1:dog', 'line 3: the id 1 occurs twice'),
        ('1:cat\n2:Cat', r'class 2 \(Cat\): other classes have all of its'),
        ('0:invalid_class_id', 'no classes'),
        ('', 'no classes'),
    ],
)
def test_odd_lists_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_class_list(text.encode())
