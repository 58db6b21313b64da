import json

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.cli.webdemo.form import Form, Limits
from freeseg_mm.cli.webdemo.predictor import Predictor
from freeseg_mm.structures import Task


@pytest.fixture
def tiny(tiny_inferencer):
    return Predictor(tiny_inferencer, Limits())


def test_tasks_and_words_are_those_of_the_form(tiny, photo):
    form = Form(str(photo), 'cat|kitten, dragon', 'dragon', ['instance'], 0.0)
    prediction = tiny.predict(form)
    assert set(prediction.views) == {Task.INSTANCE}
    assert prediction.content['classes'] == [
        {'id': 1, 'name': 'cat', 'isthing': 0},
        {'id': 2, 'name': 'dragon', 'isthing': 1},
    ]
    names = {row.name for row in prediction.views[Task.INSTANCE].rows}
    assert names == {
        found['name'] for found in prediction.content['instances']
    }
    none = tiny.predict(
        Form(str(photo), 'cat', '', ['instance'], score_thr=1.0)
    )
    assert none.views[Task.INSTANCE].rows == ()


def test_things_are_looked_up_when_the_field_is_empty(tiny, photo):
    prediction = tiny.predict(
        Form(str(photo), 'cat, grass', tasks=['semantic'])
    )
    marks = [entry['isthing'] for entry in prediction.content['classes']]
    assert marks == [1, 0]


def test_prediction_is_that_of_the_inferencer(tiny, tiny_inferencer, photo):
    words = ['dragon', 'house']
    (result,) = tiny_inferencer(photo, words)
    prediction = tiny.predict(Form(str(photo), 'dragon, house'))
    expected = {**result.to_json(), 'source': 'photo.png'}
    assert prediction.content == expected


def test_files(halves, black, tmp_path):
    prediction = halves.predict(Form(str(black), 'cat, grass'))
    png, text = prediction.write(tmp_path)
    assert (png.name, text.name) == (
        'black_prediction.png',
        'black_prediction.json',
    )
    with Image.open(png) as picture:
        assert np.array_equal(picture, prediction.picture)
    content = json.loads(text.read_text('utf-8'))
    assert content == prediction.content
    assert content['source'] == 'black.png'


def test_what_was_done_to_the_image_is_said(halves, tmp_path):
    path = tmp_path / 'turned.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (96, 64)).save(path, exif=exif)
    prediction = halves.predict(Form(str(path), 'cat, grass'))
    assert prediction.summary.startswith(
        'turned.jpg: 64 x 96 pixels, 2 classes, '
    )
    assert 'EXIF orientation 6' in prediction.summary
    assert prediction.content['notes'] == [
        'turned as its EXIF orientation 6 says'
    ]


def test_progress_grows(halves, black):
    told = []
    halves.predict(
        Form(str(black), 'cat, grass'),
        lambda done, what: told.append((done, what)),
    )
    shares = [done for done, _ in told]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1
    assert [what for _, what in told][2] == 'drawing'


@pytest.mark.parametrize(
    ('cut', 'message'),
    [
        (0, '^photo.png is empty, expected an image'),
        (40, '^photo.png: not an image that can be read'),
    ],
)
def test_damaged_images_are_named_without_their_folder(
    tiny, photo, cut, message
):
    photo.write_bytes(photo.read_bytes()[:cut])
    with pytest.raises(ValueError, match=message) as e:
        tiny.predict(Form(str(photo), 'cat'))
    assert str(photo.parent) not in str(e.value)


def test_other_files_are_no_images(tiny, photo):
    """Whatever their name: no folder, pattern or film is spelled out."""
    for name in ('film.mp4', '*.png'):
        path = photo.with_name(name)
        path.write_text('no image')
        with pytest.raises(ValueError, match='not an image that can be read'):
            tiny.predict(Form(str(path), 'cat'))


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ('cat, cat', r"occur more than once: \['cat'\]"),
        ('cat|', 'has an empty synonym'),
        ('cat ' * 100, 'shorten the name'),
    ],
)
def test_unusable_words(tiny, photo, words, message):
    with pytest.raises(ValueError, match=message):
        tiny.predict(Form(str(photo), words))
