"""One set of rules for names, at every door by which they come and go."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.apis.inputs import read_image
from freeseg_mm.apis.results import ImageResult
from freeseg_mm.apis.vocabulary import read_classes
from freeseg_mm.cli.webdemo.form import Form, Limits, read_form
from freeseg_mm.datasets.preparation.own_data import (
    read_classes as read_own_classes,
)
from freeseg_mm.datasets.preparation.target_vocabulary import write_vocabulary
from freeseg_mm.structures import Vocabulary
from freeseg_mm.structures.vocabulary_file import parse_class_list
from freeseg_mm.utils.files import read_json, write_json
from freeseg_mm.utils.names import normal_name, printable, require_visible

SPELLED = {
    'cat': 'cat',
    'traffic  light ': 'traffic light',
    'cafe\u0301': 'caf\xe9',
    'pedestrian\xa0crossing': 'pedestrian crossing',
    '\u2003wide\u3000space': 'wide space',
    # Persian, Hindi, and a woman scientist
    '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645': None,
    '\u0915\u094d\u200d\u0937': None,
    '\U0001f469\u200d\U0001f52c': None,
    '\u2764\ufe0f': None,
    '\u732b': None,
    '\u0642\u0637\u0629': None,
    # letters of Hangul, an angstrom sign, a ligature that stays
    '\u1100\u1161': '\uac00',
    '\u212b': '\xc5',
    '\ufb01sh': None,
    "d'or <b>&amp;</b> 100 %": None,
}
REFUSED = {
    'c\0at': 'U+0000',
    'c\u200bat': 'U+200B',
    'c\u200cat': 'U+200C',
    '\u0645\u200c': 'U+200C',
    '\u0645\u200c\u200d\u0645': 'U+200C',
    'c\u202eat': 'U+202E',
    'c\u2066at': 'U+2066',
    'c\u200eat': 'U+200E',
    'c\ufeffat': 'U+FEFF',
    'c\xadat': 'U+00AD',
    'c\x1b[31mat': 'U+001B',
    'c\x85at': 'U+0085',
    'c\u2028at': 'U+2028',
    'c\u3164at': 'U+3164',
    'c\U000e0061at': 'U+E0061',
}


def by_json(name, folder):
    (folder / 'v.json').write_text(json.dumps({'classes': [name]}))
    return Vocabulary.load(folder / 'v.json').names[0]


def by_marks(name, folder):
    vocabulary = Vocabulary.from_names(
        [normal_name(name)], things=[name], synonyms={name: ['other']}
    )
    assert vocabulary.is_thing == (True,)
    assert vocabulary.synonyms == (('other',),)
    assert vocabulary.index(name) == 0
    return vocabulary.names[0]


def by_list(name, folder):
    return read_classes([name]).names[0]


def by_synonym(name, folder):
    return read_classes([f'one|{name}']).synonyms[0][0]


def by_text(name, folder):
    (folder / 'v.txt').write_text(name, 'utf-8')
    return read_classes(folder / 'v.txt').names[0]


def by_own_text(name, folder):
    (folder / 'v.txt').write_text(name, 'utf-8')
    return read_own_classes(folder / 'v.txt', [name], 'own').names[0]


def by_list_of_others(name, folder):
    ((found, _),) = parse_class_list(f'7:{name}'.encode())[0].items()
    return found


def by_page(name, folder):
    Image.new('RGB', (4, 4)).save(folder / 'image.png')
    form = Form(str(folder / 'image.png'), name, things=name)
    request = read_form(form, Limits())
    vocabulary = read_classes(request.classes, things=request.things)
    assert vocabulary.is_thing == (True,)
    return vocabulary.names[0]


def by_annotations(name, folder):
    path = folder / 'a.json'
    write_json({'categories': [{'id': 1, 'name': name}]}, path)
    return read_json(path, ['categories'])['categories'][0]['name']


def by_predictions(name, folder):
    """What a prediction writes its own readers read."""
    image = np.zeros((2, 2, 3), np.uint8)
    result = ImageResult('a.png', image, read_classes([name]))
    path = folder / 'p.json'
    write_json({'categories': result.categories}, path)
    return read_json(path, ['categories'])['categories'][0]['name']


def by_dataset(name, folder):
    write_vocabulary(folder / 'set', Vocabulary.from_names([name]))
    return Vocabulary.load(folder / 'set/vocabulary.json').names[0]


def by_checkpoint(name, folder):
    content = Vocabulary.from_names(['cat']).to_dict() | {'names': [name]}
    return Vocabulary.from_dict(content).names[0]


DOORS = [
    by_json, by_marks, by_list, by_synonym, by_text, by_own_text,
    by_list_of_others, by_page, by_annotations, by_predictions, by_dataset,
    by_checkpoint,
]  # fmt: skip


@pytest.mark.parametrize('door', DOORS)
class TestDoors:
    @pytest.mark.parametrize('name', SPELLED)
    def test_name_is_spelled_alike(self, tmp_path, door, name):
        assert door(name, tmp_path) == (SPELLED[name] or name)

    @pytest.mark.parametrize('name', REFUSED)
    def test_name_is_refused_with_its_code_point(self, tmp_path, door, name):
        with pytest.raises(ValueError, match=re.escape(REFUSED[name])):
            door(name, tmp_path)


def test_two_spellings_of_a_name_are_one():
    with pytest.raises(ValueError, match='occur more than once'):
        Vocabulary.from_names(['caf\xe9', 'cafe\u0301'])


def test_surrogate_of_a_broken_file_name():
    with pytest.raises(ValueError, match=r'holds U\+DC80'):
        require_visible('photo\udc80.jpg')


@pytest.mark.parametrize('name', ['a\u202egpj.png', 'a\n.png', '\x1b[2J.png'])
def test_file_names_obey_too(tmp_path, name):
    path = tmp_path / name
    Image.new('RGB', (4, 4)).save(path)
    with pytest.raises(ValueError, match='which nobody can see'):
        read_image(path)
    listed = tmp_path / 'a.json'
    write_json({'images': [{'file_name': name}]}, listed)
    with pytest.raises(ValueError, match=r'images\[0\]: file_name: the name'):
        read_json(listed, ['images'])


def test_file_of_another_alphabet_is_read(tmp_path):
    for name in ('\u732b', 'e\u0301', 'photo#1 100%', 'a\u202fb'):
        path = tmp_path / f'{name}.png'
        Image.new('RGB', (4, 4)).save(path)
        assert Path(read_image(path).source) == path


def test_what_a_terminal_may_see():
    text = 'a\tb\nc\x1b[31m\x7f\x9b\u202e\udcff 猫\u200d🐈\xa0'
    assert printable(text) == (
        'a\tb\nc\\x1b[31m\\x7f\\x9b\\u202e\\udcff 猫\u200d🐈\xa0'
    )
