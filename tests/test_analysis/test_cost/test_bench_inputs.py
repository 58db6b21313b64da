import numpy as np
import pytest
from PIL import Image

from freeseg_mm.analysis.cost.settings import make_images, make_vocabulary


def test_number_of_classes_gives_that_many_names():
    vocabulary = make_vocabulary('7')
    assert len(vocabulary) == 7
    assert sum(vocabulary.is_thing) == 4
    assert vocabulary.is_seen == (False, True, True) * 2 + (False,)


def test_classes_may_be_a_vocabulary():
    assert len(make_vocabulary('voc20')) == 20


@pytest.mark.parametrize('classes', ['0', '-3'])
def test_too_few_classes(classes):
    with pytest.raises(ValueError, match=f'--classes {classes}: expected at'):
        make_vocabulary(classes)


def test_random_images_follow_the_seed():
    one, again, other = (
        make_images(['random'], 64, 2, seed)[1] for seed in (0, 0, 1)
    )
    assert one.shape == (3, 64, 64)
    assert one.equal(again)
    assert not one.equal(other)
    assert one.float().std() > 10


def test_files_are_resized_and_repeated(tmp_path):
    path = tmp_path / 'a.png'
    Image.fromarray(np.zeros((50, 100, 3), np.uint8)).save(path)
    images = make_images([str(path)], 64, 3, 0)
    assert [image.shape for image in images] == [(3, 32, 64)] * 3


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'size': 31}, '--image-size 31: expected at least 32'),
        ({'batch': 0}, '--batch 0: expected at least 1'),
        ({'files': ['no.jpg']}, "no image 'no.jpg'"),
    ],
)
def test_refuses(change, message):
    arguments = {'files': ['random'], 'size': 64, 'batch': 1, 'seed': 0}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make_images(**{**arguments, **change})


def test_refuses_what_is_no_image(tmp_path):
    path = tmp_path / 'a.png'
    path.write_text('words')
    with pytest.raises(ValueError, match='cannot read image .*a.png'):
        make_images([str(path)], 64, 1, 0)
