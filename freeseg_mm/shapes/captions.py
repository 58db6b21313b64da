"""Captions of the generated world, as varied as a text tower needs."""

from numpy.random import Generator

from .classes import STUFF, split_thing_name

# Longest caption in tokens, start and end included (a test counts them).
# FreeSeg's prompts have 32 to 40, and positions beyond what captions reach
# stay untrained.
LONGEST_CAPTION = 46

_ANY = (
    '{name}',
    '{name}.',
    'a photo of {name}',
    'A photo of {name}.',
    'a photo of {a_name}',
    'A photo of {a_name}.',
    'a picture of {the_name}.',
    'an image of {name}',
    'this is {name}.',
    'there is {a_name} in the scene.',
    'a close-up of {the_name}',
    'part of {a_name}',
)
_THING = (
    'a {figure} that is {colour}',
    'the {figure} is {colour}.',
    'a {figure} painted {colour}',
    'something {colour}: {a_name}',
    'its colour is {colour}, its form is a {figure}.',
    'a {figure}, {colour} all over',
    'one {name} among other things',
)
_PLACED = (
    '{a_name} on {place}',
    'A photo of {a_name} on {place}.',
    '{a_name} in front of {place}.',
    '{place} and, on it, {a_name}',
)
_STUFF = (
    '{name} everywhere',
    'the texture of {name}.',
    'a background of {name}',
    'a stretch of {name}',
    'behind everything, {name}.',
)
_SUFFIXES = (
    ' for semantic segmentation.',
    ' for instance segmentation.',
    ' for panoptic segmentation.',
)
_PREFIXES = (
    'semantic segmentation. ',
    'instance segmentation. ',
    'panoptic segmentation. ',
)
# Common words of one token each that say nothing about a scene.
_FILLER_TEXT = """
the of and to for with this that from about what when where which while some
many more most other such only even also very just then than people day year
time week morning evening summer house home street town city country world
friend family music book story work school game team show news new old good
great small long first last next early late made found taken seen shared
called today here there again always never
"""
_FILLERS = _FILLER_TEXT.split()
_FEWEST_FILLERS, _MOST_FILLERS = 12, 30


def caption(
    name: str, rng: Generator, *, place: str | None, long: bool
) -> str:
    """Say what a crop shows, in one of many ways.

    Args:
        name: Class of the crop.
        rng: Source of randomness.
        place: Stuff class that a thing lies on, if the crop shows it.
        long: Put many words that say nothing before the name, so that late
            positions are trained: FreeSeg's learned vectors come before it.
    """
    is_stuff = name in STUFF
    templates = [*_ANY, *(_STUFF if is_stuff else _THING)]
    if place is not None and not is_stuff:
        templates += 2 * _PLACED
    words = {
        'name': name,
        'a_name': name if is_stuff else f'a {name}',
        'the_name': f'the {name}',
        'place': place,
    }
    if not is_stuff:
        words['colour'], words['figure'] = split_thing_name(name)
    text = templates[rng.integers(len(templates))].format(**words)
    kind = rng.integers(6)
    if kind == 0:
        text += _SUFFIXES[rng.integers(len(_SUFFIXES))]
    elif kind <= 2:
        text = _PREFIXES[rng.integers(len(_PREFIXES))] + text
    if long:
        count = rng.integers(_FEWEST_FILLERS, _MOST_FILLERS + 1)
        fillers = [
            _FILLERS[i] for i in rng.integers(len(_FILLERS), size=count)
        ]
        text = ' '.join([*fillers, text])
    return text
