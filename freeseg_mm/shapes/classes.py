"""Names of the generated world and its fixed split into seen and unseen."""

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


def thing_name(colour: str, figure: str) -> str:
    """Class name of a figure of one colour, such as ``'red triangle'``."""
    return f'{colour} {figure}'


def split_thing_name(name: str) -> tuple[str, str]:
    """Inverse of :func:`thing_name`: colour and figure."""
    colour, figure = name.split(' ')
    return colour, figure


def shapes_vocabulary() -> Vocabulary:
    """The 45 classes: 36 things (colour by colour), then 9 stuff.

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
