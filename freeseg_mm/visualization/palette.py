"""One colour per category name, in every picture the same."""

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b

import numpy as np

from freeseg_mm.shapes import shapes_vocabulary
from freeseg_mm.structures import Vocabulary

from .colour_vision import VISIONS, lab_to_rgb, rgb_to_lab, simulate

_LIGHTNESS = np.arange(38, 87, 4)
_OPPONENT = np.arange(-96, 97, 6)
# Greyer ones are left to what is ignored and to the image itself.
_LEAST_CHROMA = 28
# Colour-blind people tell two dimensions of colour apart, not three; asking
# as much of theirs would leave too little for all others.
_SHARE = 2
_ANY = np.iinfo(np.int64).max


def class_colours(names: Sequence[str]) -> np.ndarray:
    """Colours of category names.

    The colour of a name depends on its spelling alone: not on the other
    names, the data set, the image or the run. Names of the vocabularies
    that come with the package were given colours far apart within each
    vocabulary, for colour-blind people too; those of other names are drawn,
    and two of them may be alike. :func:`class_patterns` tells alike ones
    apart.

    Args:
        names: Category names, C of them.

    Returns:
        RGB, (C, 3) uint8, read-only.
    """
    known = _known()
    candidates = _candidates()
    chosen = [
        known.get(name, _digest(name) % len(candidates)) for name in names
    ]
    colours = np.rint(255 * lab_to_rgb(candidates[chosen])).astype(np.uint8)
    colours.setflags(write=False)
    return colours


@cache
def _known() -> dict[str, int]:
    """Candidates of the names of all vocabularies of the package.

    Each name takes what is farthest from the names it shares a vocabulary
    with; the smallest vocabularies choose first.
    """
    vocabularies = [shapes_vocabulary()]
    vocabularies += map(Vocabulary.load, Vocabulary.builtin_names())
    vocabularies.sort(
        key=lambda vocabulary: (len(vocabulary), vocabulary.name)
    )
    candidates = _candidates()
    # whole numbers, so that every machine chooses the same
    seen = [
        np.rint(rgb_to_lab(simulate(lab_to_rgb(candidates), name)))
        for name in VISIONS
    ]
    chosen: dict[str, int] = {}
    room = [np.full(len(candidates), _ANY) for _ in vocabularies]
    for vocabulary in vocabularies:
        new = set(vocabulary.names) - set(chosen)
        # by digest, so that the order of the names plays no role
        for name in sorted(new, key=_digest):
            shared = [
                i
                for i, other in enumerate(vocabularies)
                if name in other.names
            ]
            least = np.min([room[i] for i in shared], axis=0)
            is_first = least.min() == _ANY
            choice = _digest(name) % len(least) if is_first else least.argmax()
            chosen[name] = int(choice)
            away = _squared_distances(seen, chosen[name])
            for i in shared:
                room[i] = np.minimum(room[i], away)
    return chosen


def _squared_distances(seen: Sequence[np.ndarray], index: int) -> np.ndarray:
    """From one candidate to all, normal vision weighing less."""
    normal, *others = (
        ((lab - lab[index]) ** 2).sum(axis=1).astype(np.int64) for lab in seen
    )
    return np.min([normal, *(_SHARE**2 * other for other in others)], axis=0)


def _digest(name: str) -> int:
    digest = blake2b(name.encode('utf-8'), digest_size=8).digest()
    return int.from_bytes(digest, 'big')


@cache
def _candidates() -> np.ndarray:
    """Grid of vivid colours that a screen can show, CIELAB, (n, 3)."""
    grid = np.meshgrid(_LIGHTNESS, _OPPONENT, _OPPONENT, indexing='ij')
    lab = np.stack(grid, axis=-1).reshape(-1, 3).astype(np.float64)
    rgb = lab_to_rgb(lab)
    shown = ((rgb >= 0) & (rgb <= 1)).all(axis=1)
    vivid = np.hypot(lab[:, 1], lab[:, 2]) >= _LEAST_CHROMA
    return lab[shown & vivid]
