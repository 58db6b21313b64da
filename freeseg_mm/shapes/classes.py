"""Class names of the generated world, and captions that mention them."""

from numpy.random import Generator

from freeseg_mm.structures import Vocabulary

COLOURS = ('red', 'green', 'blue', 'yellow', 'purple', 'black')
FIGURES = ('circle', 'triangle', 'square', 'star', 'cross', 'ring')
STUFF = (
    'sky',
    'grass',
    'brick',
    'sand',
    'water',
    'wood',
    'snow',
    'pebbles',
    'tiles',
)

# Every colour and every figure is left out at most twice, so that each of
# them still occurs among the seen things: only the combination is new.
UNSEEN_THINGS = (
    ('red', 'triangle'),
    ('green', 'star'),
    ('blue', 'circle'),
    ('yellow', 'cross'),
    ('purple', 'square'),
    ('black', 'ring'),
    ('red', 'ring'),
    ('green', 'square'),
)
# Each looks, by colour, like a seen one: water like sky, wood like brick.
UNSEEN_STUFF = ('water', 'wood')

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


def thing_name(colour: str, figure: str) -> str:
    """Class name of a figure of one colour, such as ``'red triangle'``."""
    return f'{colour} {figure}'


def split_thing_name(name: str) -> tuple[str, str]:
    """Inverse of :func:`thing_name`: colour and figure."""
    colour, figure = name.split(' ')
    return colour, figure


def shapes_vocabulary() -> Vocabulary:
    """Vocabulary of 45 classes: 36 things (colour by colour), then 9 stuff.

    Unseen are 8 things, each a combination of a colour and a figure that
    both occur among the seen things, and 2 stuff.
    """
    things = [
        thing_name(colour, figure) for colour in COLOURS for figure in FIGURES
    ]
    unseen = [thing_name(*pair) for pair in UNSEEN_THINGS]
    return Vocabulary.from_names(
        [*things, *STUFF],
        things=things,
        unseen=[*unseen, *UNSEEN_STUFF],
        name='shapes',
    )


def caption(
    name: str, rng: Generator, *, place: str | None, long: bool
) -> str:
    """Mention the class of a crop, in one of many ways.

    Args:
        name: Class of the crop.
        rng: Source of randomness.
        place: Stuff class that a thing lies on, if the crop shows it.
        long: See :func:`add_fillers`.
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
    return add_fillers(text, rng) if long else text


def add_fillers(text: str, rng: Generator) -> str:
    """Put 12 to 30 words that say nothing before a caption.

    Late positions are trained thereby: FreeSeg's learned vectors come before
    a name.
    """
    count = rng.integers(_FEWEST_FILLERS, _MOST_FILLERS + 1)
    fillers = [_FILLERS[i] for i in rng.integers(len(_FILLERS), size=count)]
    return ' '.join([*fillers, text])
