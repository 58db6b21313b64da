import numpy as np
import open_clip
import pytest

from freeseg_mm.shapes.classes import (
    COLOURS,
    FIGURES,
    LONGEST_CAPTION,
    STUFF,
    caption,
    shapes_vocabulary,
    split_thing_name,
    thing_name,
)


def names_where(flag):
    vocabulary = shapes_vocabulary()
    return [
        name
        for name, is_thing, is_seen in zip(
            vocabulary.names,
            vocabulary.is_thing,
            vocabulary.is_seen,
            strict=True,
        )
        if flag(is_thing, is_seen)
    ]


def test_counts_of_the_split():
    assert len(shapes_vocabulary()) == 45
    assert len(names_where(lambda thing, seen: thing and seen)) == 28
    assert len(names_where(lambda thing, seen: thing and not seen)) == 8
    assert names_where(lambda thing, seen: not thing and not seen) == [
        'water',
        'wood',
    ]


def test_every_unseen_combination_has_seen_parts():
    seen = [
        split_thing_name(name)
        for name in names_where(lambda thing, seen: thing and seen)
    ]
    unseen = [
        split_thing_name(name)
        for name in names_where(lambda thing, seen: thing and not seen)
    ]
    assert ('red', 'triangle') in unseen
    assert set(COLOURS) == {colour for colour, _ in seen}
    assert set(FIGURES) == {figure for _, figure in seen}
    # Every colour and figure is also tested on something unseen.
    assert set(COLOURS) == {colour for colour, _ in unseen}
    assert set(FIGURES) == {figure for _, figure in unseen}


def test_things_come_first_colour_by_colour():
    names = shapes_vocabulary().names
    assert names[0] == 'red circle'
    assert names[7] == 'green triangle'
    assert names[36:] == STUFF


def test_thing_name_and_its_inverse():
    assert thing_name('red', 'ring') == 'red ring'
    assert split_thing_name('red ring') == ('red', 'ring')


NAMES = shapes_vocabulary().names


def captions(name, count=200, *, long=False, place=None):
    rng = np.random.default_rng(0)
    return [caption(name, rng, long=long, place=place) for _ in range(count)]


@pytest.fixture(scope='module')
def count_tokens():
    tokenizer = open_clip.get_tokenizer('ViT-B-16')
    return lambda text: len(tokenizer.encode(text)) + 2


@pytest.mark.parametrize('name', NAMES)
def test_caption_names_its_class_and_no_other(name):
    words = name.split(' ')
    others = {word for other in NAMES for word in other.split(' ')}
    for text in captions(name, 60) + captions(name, 20, long=True):
        said = set(text.replace('.', ' ').replace(',', ' ').split(' '))
        assert said & others == set(words)


def test_templates_are_varied():
    assert len(set(captions('red triangle'))) > 60
    texts = captions('red triangle')
    assert 'red triangle' in texts
    assert any(text.startswith('A photo of red') for text in texts)
    # The colour also stands apart from the figure.
    assert any('red triangle' not in text for text in texts)


def test_place_is_told_for_things_only():
    assert any('grass' in t for t in captions('red star', place='grass'))
    assert not any('grass' in t for t in captions('sky', place='grass'))
    assert not any('None' in t for t in captions('red star'))


@pytest.mark.parametrize('name', [*STUFF, 'purple triangle', 'yellow cross'])
def test_captions_fit_the_context(name, count_tokens):
    short = max(map(count_tokens, captions(name, 100, place='pebbles')))
    assert short <= 24
    long = max(
        map(count_tokens, captions(name, 100, long=True, place='pebbles'))
    )
    assert long <= LONGEST_CAPTION <= 77


def test_long_captions_reach_the_positions_of_learned_prompts(count_tokens):
    counts = [count_tokens(text) for text in captions('red star', long=True)]
    # The class name and end of FreeSeg's prompts stand at 28 to 40.
    assert np.mean(np.array(counts) > 40) > 0.05
    assert np.mean(np.array(counts) > 28) > 0.4
    assert min(counts) > 12
