"""Which classes each scene of a split shows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from .classes import shapes_vocabulary, split_thing_name

SPLITS = ('train', 'val', 'clip')

_NUM_STUFF = (2, 3)
_NUM_THINGS = (2, 4)
# How often a scene shows a second thing of a class it has: two objects of
# one class are what tells instance from semantic segmentation.
_TWIN_PROBABILITY = 0.3


@dataclass(frozen=True)
class ScenePlan:
    """What to draw, decided before any scene is drawn.

    Attributes:
        number: Position in the split, from 1; names the files.
        stuff: Different stuff classes, 2 or 3.
        things: Thing classes from the back to the front, 2 to 5.
        seed: Seed of everything random about the drawing.
    """

    number: int
    stuff: tuple[str, ...]
    things: tuple[str, ...]
    seed: tuple[int, ...]


def plan_split(split: str, count: int, seed: int) -> list[ScenePlan]:
    """Deal the classes out to the scenes of a split.

    Classes come from shuffled decks, so that all occur equally often, up to
    chance repeats, however few scenes there are. Unseen classes are dealt
    like all others: hiding their labels is up to the dataset class.

    Args:
        split: One of ``SPLITS``.
        count: Number of scenes.
        seed: Seed of the world.
    """
    stream = SPLITS.index(split)
    rng = np.random.default_rng((seed, stream))
    vocabulary = shapes_vocabulary()
    is_thing = dict(zip(vocabulary.names, vocabulary.is_thing, strict=True))
    things = [name for name in vocabulary.names if is_thing[name]]
    stuff = [name for name in vocabulary.names if not is_thing[name]]
    stuff_hands = _deal(stuff, _NUM_STUFF, rng, kind=str)
    thing_hands = _deal(things, _NUM_THINGS, rng, kind=_colour)
    plans = []
    for number in range(1, count + 1):
        hand = next(thing_hands)
        if rng.random() < _TWIN_PROBABILITY:
            hand.insert(rng.integers(len(hand) + 1), hand[0])
        plans.append(
            ScenePlan(
                number=number,
                stuff=tuple(next(stuff_hands)),
                things=tuple(hand),
                seed=(seed, stream, number),
            )
        )
    return plans


def _colour(thing: str) -> str:
    return split_thing_name(thing)[0]


def _deal(
    names: Sequence[str],
    sizes: tuple[int, int],
    rng: Generator,
    *,
    kind: Callable[[str], str],
) -> Iterator[list[str]]:
    """Hands of different kinds, of a random size, from shuffled decks.

    Things of one scene differ in colour (but for twins): objects of one
    colour that touch take a network far longer to tell apart than this
    benchmark's few minutes.
    """
    cards: list[str] = []
    while True:
        hand: list[str] = []
        for _ in range(rng.integers(sizes[0], sizes[1] + 1)):
            kinds = {kind(card) for card in hand}
            if all(kind(card) in kinds for card in cards):
                cards += [names[i] for i in rng.permutation(len(names))]
            card = next(card for card in cards if kind(card) not in kinds)
            cards.remove(card)
            hand.append(card)
        yield hand
