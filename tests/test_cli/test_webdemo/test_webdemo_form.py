from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.cli.webdemo.form import Form, Limits, read_form, split_names
from freeseg_mm.structures import Task


@pytest.mark.parametrize(
    ('text', 'names'),
    [
        ('cat', ('cat',)),
        (' cat|kitten , dog,grass', ('cat|kitten', 'dog', 'grass')),
        ('cat\ndog,\n\ngrass,', ('cat', 'dog', 'grass')),
        (' , \n', ()),
    ],
)
def test_names_are_split(text, names):
    assert split_names(text) == names


def test_everything_is_taken_over(photo):
    form = Form(
        str(photo), 'cat|kitten, dog', 'cat', ['panoptic', 'semantic'], 0.5
    )
    request = read_form(form, Limits())
    assert request.image == photo
    assert request.classes == ('cat|kitten', 'dog')
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
        ({'classes': ' , '}, 'no classes: write what to look for'),
        ({'classes': None}, 'no classes: write what to look for'),
        (
            {'things': 'dog, cow'},
            'not among the classes: dog, cow; the classes are cat, grass',
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


def test_sides_up_to_the_limit_pass(photo):
    Limits(max_side=64).check(photo, 1, 1)
    with pytest.raises(
        ValueError, match='photo.png has 64 x 48 pixels, .* 63'
    ):
        Limits(max_side=63).check(photo, 1, 1)


def test_bytes_up_to_the_limit_pass(tmp_path):
    path = tmp_path / 'photo.png'
    path.write_bytes(bytes(1_500_000))
    Limits(max_upload_mb=1.5).check(path, 1, 1)
    with pytest.raises(
        ValueError, match=r'photo.png has 1.5 MB, .* up to 1.4'
    ):
        Limits(max_upload_mb=1.4).check(path, 1, 1)
    assert Limits(max_upload_mb=1e-9).max_bytes == 1


def test_what_is_no_image_is_left_to_its_reader(tmp_path):
    path = tmp_path / 'photo.png'
    path.write_text('no image')
    Limits().check(path, 1, 1)


def test_far_too_many_pixels(tmp_path, monkeypatch):
    """Pillow refuses to open what could fill the memory."""
    path = tmp_path / 'bomb.png'
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    with pytest.raises(ValueError, match='bomb.png has far more pixels'):
        Limits().check(path, 1, 1)


@pytest.mark.parametrize(
    ('numbers', 'message'),
    [
        ({'max_upload_mb': 0}, 'max_upload_mb: .* number over 0, got 0'),
        ({'keep_minutes': float('inf')}, 'keep_minutes: .* got inf'),
        ({'max_upload_mb': float('nan')}, 'max_upload_mb: .* got nan'),
        ({'max_side': 0}, 'max_side: expected at least 1, got 0'),
    ],
)
def test_impossible_limits(numbers, message):
    with pytest.raises(ValueError, match=message):
        Limits(**numbers)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            ', '.join(f'w{i}' for i in range(3000)),
            '3,000 class names, .* 1,000',
        ),
        ('|'.join(['a'] * 1001), '1,001 class names'),
        ('x' * 10**6, 'xxx.* has 1,000,000 letters, .* up to 1,000'),
        (f'cat, {"x" * 1001}', 'has 1,001 letters'),
    ],
)
@pytest.mark.parametrize('field', ['classes', 'things'])
def test_words_have_limits(photo, text, message, field):
    form = replace(Form(str(photo), 'cat'), **{field: text})
    with pytest.raises(ValueError, match=message):
        read_form(form, Limits())


def test_work_has_a_limit(photo):
    form = Form(str(photo), 'cat, dog', tasks=['semantic', 'panoptic'])
    read_form(form, Limits(max_work=64 * 48 * 2 * 2))
    with pytest.raises(
        ValueError, match='64 x 48 pixels x 2 classes x 2 tasks are 12,288'
    ):
        read_form(form, Limits(max_work=64 * 48 * 2 * 2 - 1))


def test_large_images_count_as_they_are_predicted(tmp_path):
    path = tmp_path / 'large.png'
    Image.new('L', (4096, 1024)).save(path)
    with pytest.raises(ValueError, match='2048 x 512 pixels x 3'):
        Limits(max_work=1).check(path, 3, 1)
