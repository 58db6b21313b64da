from dataclasses import replace

import pytest

from freeseg_mm.cli.webdemo.form import Form, Limits, read_form, split_words
from freeseg_mm.structures import Task


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('cat', ('cat',)),
        (' cat|kitten , dog,grass', ('cat|kitten', 'dog', 'grass')),
        ('cat\ndog,\n\ngrass,', ('cat', 'dog', 'grass')),
        (' , \n', ()),
    ],
)
def test_words_are_split(text, words):
    assert split_words(text) == words


def test_everything_is_taken_over(photo):
    form = Form(
        str(photo), 'cat|kitten, dog', 'cat', ['panoptic', 'semantic'], 0.5
    )
    request = read_form(form, Limits())
    assert request.image == photo
    assert request.words == ('cat|kitten', 'dog')
    assert request.things == ('cat',)
    assert request.tasks == (Task.PANOPTIC, Task.SEMANTIC)
    assert request.score_thr == 0.5


@pytest.mark.parametrize(
    ('text', 'things'),
    [
        ('', None),
        (' ', None),
        ('-', ()),
        ('dog', ('dog',)),
        ('cat|kitten, dog, dog', ('cat', 'dog')),
    ],
)
def test_things(photo, text, things):
    form = Form(str(photo), 'cat|kitten, dog', text)
    assert read_form(form, Limits()).things == things


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'image': None}, 'no image: drop one into the field'),
        ({'image': '/no/such.png'}, '^such.png is no longer kept here'),
        ({'words': ' , '}, 'no words: write what to look for'),
        ({'words': None}, 'no words: write what to look for'),
        (
            {'things': 'dog, cow'},
            'not among the words: dog, cow; the words are cat, grass',
        ),
        ({'tasks': []}, 'no task: tick at least one'),
        ({'tasks': ['boxes']}, 'boxes'),
        ({'score_thr': 2}, 'score_thr: expected a number in'),
    ],
)
def test_what_is_wrong_is_said(photo, change, message):
    form = replace(Form(str(photo), 'cat|kitten, grass'), **change)
    with pytest.raises(ValueError, match=message):
        read_form(form, Limits())


def test_limits_hold(photo):
    with pytest.raises(ValueError, match='photo.png has 64 x 48 pixels'):
        read_form(Form(str(photo), 'cat'), Limits(max_side=20))
