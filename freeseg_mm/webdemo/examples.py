"""Scenes to click, drawn anew: the package carries no pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from freeseg_mm.shapes.plan import plan_split
from freeseg_mm.shapes.scene import compose_scene

_SIDE = 128
_SEED = 0
# By number in the shapes benchmark's test split: other names for some, and
# something that is not there.
_WORDS = {
    3: (
        'purple cross, red cross, yellow square|yellow box, sky, water, sand',
        'purple cross, red cross, yellow square',
    ),
    7: (
        'green square|green box, black triangle, purple star, red circle, '
        'wood, grass, sand, snow',
        'green square, black triangle, purple star, red circle',
    ),
    9: (
        'blue triangle, black ring, green star, brick, sky',
        'blue triangle, black ring, green star',
    ),
}


@dataclass(frozen=True)
class Example:
    """What a click fills in.

    Attributes:
        image: A file.
        words: As a user would write them.
        things: The same.
    """

    image: Path
    words: str
    things: str


def write_examples(folder: Path) -> list[Example]:
    """Draw the examples into a folder.

    The scenes are those that ``make demo`` tests on, at their size.
    """
    plans = {plan.number: plan for plan in plan_split('val', 9, _SEED)}
    examples = []
    for number, (words, things) in _WORDS.items():
        plan = plans[number]
        rng = np.random.default_rng(plan.seed)
        scene = compose_scene(plan.stuff, plan.things, _SIDE, rng)
        path = folder / f'scene_{number}.png'
        Image.fromarray(scene.image).save(path)
        examples.append(Example(path, words, things))
    return examples
