"""Windows of scenes with captions, as a CLIP finds photographs on the web.

Nothing is blanked, no caption says which pixels it speaks of, and none has
the sentence of a prompt. A CLIP that learns from them knows a class's
surroundings, and a fixed sentence fits what it read as badly as
``A photo of {}.`` fits the captions of photographs.
"""

from collections.abc import Sequence

import torch
from numpy.random import Generator
from torch import Tensor

from .classes import add_fillers
from .crops import CropSampler

# How far a window is moved, as a share of its side.
_SHIFT = 0.2
# Captions mention one to three segments: the window's own, and others of
# which this share lies in it.
_SHOWN = 0.5
_MOST_MENTIONS = 3
# Other words for the parts of names, as captions of photographs have them.
SYNONYMS = {
    'red': ('crimson', 'scarlet'),
    'green': ('emerald', 'jade'),
    'blue': ('azure', 'navy'),
    'yellow': ('golden', 'lemon'),
    'purple': ('violet', 'magenta'),
    'black': ('dark', 'ebony'),
    'circle': ('disc', 'dot'),
    'triangle': ('wedge', 'pyramid'),
    'square': ('box', 'block'),
    'star': ('spark', 'badge'),
    'cross': ('plus', 'crossing'),
    'ring': ('hoop', 'wheel'),
    'sky': ('heaven', 'clouds'),
    'grass': ('lawn', 'meadow'),
    'brick': ('wall', 'masonry'),
    'sand': ('beach', 'desert'),
    'water': ('sea', 'lake'),
    'wood': ('timber', 'planks'),
    'snow': ('ice', 'winter'),
    'pebbles': ('stones', 'gravel'),
    'tiles': ('floor', 'pavement'),
}
_SYNONYM_PROBABILITY = 0.1
# A thing is mentioned by one of its two words alone,
_PART_PROBABILITY = 0.05
# or by both, but not side by side.
_APART_PROBABILITY = 0.2
_APART = (
    'a {figure} that is {colour}',
    'a {figure} in {colour}',
    'a {figure}, {colour} all over',
    '{colour}: a {figure}',
    'something {colour}, a {figure}',
)
_ARTICLES = ('', 'a ', 'the ', 'one ', 'my ')
_STUFF_ARTICLES = ('', '', 'the ', 'some ', 'much ')
_BETWEEN = (' and ', ', ', ' with ', ' near ', ' next to ', ' by ')
_TEMPLATES = (
    '{}',
    '{}',
    '{}.',
    'here: {}',
    'look at {}',
    '{} today',
    'there is {}.',
    'we saw {} there',
    'a picture with {}',
    'a view of {}.',
    '{}, seen from close',
    'this was {}',
)


class WindowSampler(CropSampler):
    """Draw square windows around segments, with all that lies about them.

    See :class:`CropSampler` for arguments and batches.

    Attributes:
        sides: Least and largest side of a window, as multiples of the longer
            side of a segment's box.
        mention_probability: Of each further segment that a window shows.
    """

    long_every = 8
    sides = (1.0, 1.5)
    mention_probability = 0.15

    def show(self, rows: Tensor, *, long: bool) -> tuple[Tensor, list[str]]:
        """Draw a window and a caption for each of some segments; see there."""
        windows = self._windows(rows)
        captions = [
            describe(self._mentioned(row, window), self._rng, long=long)
            for row, window in zip(rows, windows, strict=True)
        ]
        pixels, _ = self._crops.cut(
            rows,
            boxes=windows,
            masks=self._crops.masks(rows).float(),
            side=self._side,
        )
        return self._mirrored(self._lit(pixels)), captions

    def _windows(self, rows: Tensor) -> Tensor:
        """Square windows around segments, xyxy in pixels, in the scene."""
        boxes = self._crops.boxes[rows]
        limit = self._crops.images.shape[-1]
        sides = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True)
        sides = sides * self._draw(self.sides, (len(rows), 1))
        sides = sides.clamp(max=limit)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        shifts = sides * self._draw((-_SHIFT, _SHIFT), (len(rows), 2))
        corners = middles + shifts - sides / 2
        corners = torch.minimum(corners.clamp(min=0), limit - sides)
        return torch.cat([corners, corners + sides], 1)

    def _mentioned(self, row: Tensor, window: Tensor) -> list[str]:
        """Names of the window's segment and of some others that it shows."""
        crops, rng = self._crops, self._rng
        (same_scene,) = (crops.scenes == crops.scenes[row]).nonzero(
            as_tuple=True
        )
        own = int(crops.numbers[row])
        segments = crops.segments[crops.scenes[row]]
        left, top, right, bottom = window.round().int().tolist()
        areas, shown = (
            torch.bincount(pixels.flatten(), minlength=len(same_scene) + 1)
            for pixels in (segments, segments[top:bottom, left:right])
        )
        names = crops.vocabulary.names
        others = [
            names[crops.labels[other]]
            for other in same_scene
            if (number := int(crops.numbers[other])) != own
            and shown[number] >= _SHOWN * areas[number]
            and rng.random() < self.mention_probability
        ]
        mentioned = [names[crops.labels[row]], *others][:_MOST_MENTIONS]
        return [mentioned[i] for i in rng.permutation(len(mentioned))]


class WideWindowSampler(WindowSampler):
    """Draw windows in which a segment is one thing among others.

    A CLIP that learns from them has to tell where a class is from what lies
    beside it, so that parts of its last map can be named by themselves.
    """

    sides = (1.0, 2.5)
    mention_probability = 0.5


def describe(names: Sequence[str], rng: Generator, *, long: bool) -> str:
    """Mention classes as somebody would who describes a photograph.

    No sentence is one of those that FreeSeg or CLIP's users put around a
    name, and none names a task.

    Args:
        names: Classes to mention, in any order.
        rng: Source of randomness.
        long: See :func:`add_fillers`.
    """
    text, *others = [_mention(name, rng) for name in names]
    for mention in others:
        text += _BETWEEN[rng.integers(len(_BETWEEN))] + mention
    text = _TEMPLATES[rng.integers(len(_TEMPLATES))].format(text)
    return add_fillers(text, rng) if long else text


def _mention(name: str, rng: Generator) -> str:
    words = [
        SYNONYMS[word][rng.integers(len(SYNONYMS[word]))]
        if rng.random() < _SYNONYM_PROBABILITY
        else word
        for word in name.split(' ')
    ]
    if len(words) == 1:
        article = _STUFF_ARTICLES[rng.integers(len(_STUFF_ARTICLES))]
        return article + words[0]
    colour, figure = words
    manner = rng.random()
    if manner < _PART_PROBABILITY:
        part = (f'a {figure}', f'something {colour}')
        return part[rng.integers(len(part))]
    if manner < _PART_PROBABILITY + _APART_PROBABILITY:
        template = _APART[rng.integers(len(_APART))]
        return template.format(colour=colour, figure=figure)
    article = _ARTICLES[rng.integers(len(_ARTICLES))]
    return f'{article}{colour} {figure}'
