import dataclasses
import re

import numpy as np
import open_clip
import pytest
import torch

from freeseg_mm.shapes import shapes_vocabulary
from freeseg_mm.shapes.classes import COLOURS, FIGURES, STUFF
from freeseg_mm.shapes.crops import SegmentCrops
from freeseg_mm.shapes.windows import (
    SYNONYMS,
    WideWindowSampler,
    WindowSampler,
    describe,
)
from freeseg_mm.structures import Vocabulary

NAMES = shapes_vocabulary().names
# class of each word that captions may use for a part of a name
MEANING = {
    other: word
    for word, others in SYNONYMS.items()
    for other in (word, *others)
}


def captions(*names, count=200, long=False):
    rng = np.random.default_rng(0)
    return [describe(names, rng, long=long) for _ in range(count)]


def said(text):
    words = re.findall('[a-z]+', text)
    return {MEANING[word] for word in words if word in MEANING}


@pytest.fixture(scope='module')
def count_tokens():
    tokenizer = open_clip.get_tokenizer('ViT-B-16')
    return lambda text: len(tokenizer.encode(text)) + 2


def test_every_part_of_a_name_has_synonyms_of_its_own():
    assert set(SYNONYMS) == {*COLOURS, *FIGURES, *STUFF}
    words = [word for others in SYNONYMS.values() for word in others]
    assert len({*words, *SYNONYMS}) == len(words) + len(SYNONYMS)


@pytest.mark.parametrize('name', NAMES)
def test_caption_names_its_class_and_no_other(name):
    for text in captions(name, count=60) + captions(name, count=20, long=True):
        assert said(text) <= set(name.split(' '))
        assert said(text)


def test_every_class_of_a_caption_is_mentioned():
    for text in captions('red star', 'water', 'black ring', count=100):
        assert 'water' in said(text)
        assert said(text) & {'red', 'star'}
        assert said(text) & {'black', 'ring'}


def test_shares_of_the_manners_of_a_mention():
    texts = captions('red triangle', count=2000)
    both = [said(text) == {'red', 'triangle'} for text in texts]
    assert 0.93 < np.mean(both) < 0.97
    plain = ['red triangle' in text for text in texts]
    # 0.75 side by side, 0.81 of them without a synonym
    assert 0.57 < np.mean(plain) < 0.65


def test_no_caption_is_a_prompt_of_the_benchmark():
    texts = captions('red triangle', count=500) + captions('sky', count=500)
    texts += captions('red star', 'sky', long=True)
    for text in texts:
        assert 'photo of' not in text.lower()
        assert 'segmentation' not in text


@pytest.mark.parametrize('name', [*STUFF, 'purple triangle', 'yellow cross'])
def test_captions_fit_the_context(name, count_tokens):
    names = (name, 'pebbles', 'purple triangle')
    assert max(map(count_tokens, captions(*names))) <= 32
    assert max(map(count_tokens, captions(name))) <= 20
    long = max(map(count_tokens, captions(*names, long=True)))
    assert long <= 60


def test_long_captions_reach_the_positions_of_learned_prompts(count_tokens):
    names = ('red star', 'black ring')
    counts = [count_tokens(text) for text in captions(*names, long=True)]
    # The class name and end of FreeSeg's prompts stand at 28 to 40.
    assert np.mean(np.array(counts) > 38) > 0.02
    assert np.mean(np.array(counts) > 28) > 0.4
    assert min(counts) > 12


@pytest.fixture
def hand_made():
    """A 4 x 4 scene: stuff 0, and a 2 x 2 thing at its lower right."""
    image = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    segments = torch.ones(1, 4, 4, dtype=torch.uint8)
    segments[0, 2:, 2:] = 2
    return SegmentCrops(
        vocabulary=Vocabulary.from_names(
            ['sky', 'red star'], things=['red star']
        ),
        images=image.repeat(1, 3, 1, 1),
        segments=segments,
        scenes=torch.tensor([0, 0]),
        numbers=torch.tensor([1, 2], dtype=torch.uint8),
        labels=torch.tensor([0, 1]),
        boxes=torch.tensor([[0, 0, 4, 4], [2, 2, 4, 4]], dtype=torch.float32),
        places=torch.tensor([0, 0]),
    )


MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.25, 0.5)


def sampler(crops, seed=0, kind=WindowSampler):
    return kind(
        crops, mean=MEAN, std=STD, side=24, rng=np.random.default_rng(seed)
    )


@pytest.fixture(scope='module')
def crops(tiny_world):
    return SegmentCrops.load(tiny_world, 'clip')


def test_group_holds_every_class_once(crops):
    images, captions = sampler(crops).batch(20, long=False)
    assert images.shape == (20 * 45, 3, 24, 24)
    assert len(captions) == 20 * 45
    # most mentions are of the plain name
    for label, name in enumerate(shapes_vocabulary().names):
        assert any(name in text for text in captions[label::45])


@pytest.mark.parametrize(
    ('kind', 'most'), [(WindowSampler, 1.5), (WideWindowSampler, 2.5)]
)
def test_windows_are_squares_around_their_segments(
    kind, most, crops, monkeypatch
):
    seen = []
    cut = SegmentCrops.cut

    def spy(self, rows, *, boxes, masks, side):
        seen.append((self.boxes[rows], boxes))
        return cut(self, rows, boxes=boxes, masks=masks, side=side)

    monkeypatch.setattr(SegmentCrops, 'cut', spy)
    sampler(crops, kind=kind).batch(4, long=False)
    ((segments, windows),) = seen
    assert windows.min() >= 0
    assert windows.max() <= 64
    sides = windows[:, 2:] - windows[:, :2]
    torch.testing.assert_close(sides[:, 0], sides[:, 1])
    longest = (segments[:, 2:] - segments[:, :2]).amax(1)
    ratio = sides[:, 0] / longest
    free = longest * most < 64  # the frame does not limit these
    assert ratio[free].min() >= 1
    assert ratio[free].max() <= most
    middle = (1 + most) / 2
    assert abs(ratio[free].mean() - middle) < 0.1 * middle
    middles, own = (
        (boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (windows, segments)
    )
    inner = free & (segments > 20).all(1) & (segments < 44).all(1)
    assert inner.any()
    moved = (middles - own)[inner].abs() / sides[inner, :1]
    assert moved.max() <= 0.2 + 1e-6


def test_nothing_of_a_window_is_blanked(hand_made):
    # a scene without a pixel of the mean colour has windows without one
    images, _ = sampler(
        dataclasses.replace(hand_made, images=hand_made.images + 100)
    ).batch(8, long=False)
    assert (images != 0).all()


@pytest.mark.parametrize(
    ('kind', 'least', 'most'),
    [(WindowSampler, 0.05, 0.16), (WideWindowSampler, 0.3, 0.55)],
)
def test_captions_mention_what_the_window_shows(kind, least, most, hand_made):
    captions = sampler(hand_made, kind=kind).batch(200, long=False)[1]
    stuff, things = captions[::2], captions[1::2]
    assert all('sky' in t or 'heaven' in t or 'clouds' in t for t in stuff)
    # The sky's window is the scene, which holds the whole star; the star's
    # holds at most 5 of the 12 pixels of sky.
    also = np.mean(['red star' in text for text in stuff])
    assert least < also < most
    if kind is WindowSampler:
        assert not any('sky' in text for text in things)


def test_seed_decides(crops):
    first, same = (sampler(crops).batch(1, long=False) for _ in range(2))
    torch.testing.assert_close(first[0], same[0], rtol=0, atol=0)
    assert first[1] == same[1]
    other = sampler(crops, seed=1).batch(1, long=False)
    assert first[1] != other[1]
