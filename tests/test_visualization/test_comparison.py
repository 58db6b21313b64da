import numpy as np
import pytest

from freeseg_mm.structures import Task
from freeseg_mm.visualization import (
    Region,
    TaskRegions,
    class_patterns,
    comparison,
    draw_segments,
)
from freeseg_mm.visualization.comparison import UNSEEN_INK

CAT, DOG, GRASS, SKY = range(4)
HEIGHT, WIDTH = 320, 400


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def halves(*labels):
    """Regions of the left and the right half."""
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[0, :, : WIDTH // 2] = masks[1, :, WIDTH // 2 :] = True
    return TaskRegions(
        [Region(mask, x) for mask, x in zip(masks, labels, strict=True)]
    )


def place_of(picture, part):
    """Top and left of a part that the picture holds once."""
    windows = np.lib.stride_tricks.sliding_window_view(
        picture[..., 0], (2, 32)
    )
    begins = (windows == part[:2, :32, 0]).all((2, 3))
    (place,) = [
        (top, left)
        for top, left in np.argwhere(begins).tolist()
        if np.array_equal(
            picture[top : top + len(part), left : left + part.shape[1]], part
        )
    ]
    return place


def red(picture):
    return (picture == UNSEEN_INK).all(-1)


def test_image_methods_and_names_stand_side_by_side_a_row_a_task(
    image, vocabulary
):
    ours = {
        Task.SEMANTIC: halves(CAT, GRASS),
        Task.PANOPTIC: halves(DOG, GRASS),
    }
    clip = {
        Task.SEMANTIC: halves(SKY, CAT),
        Task.PANOPTIC: halves(DOG, SKY),
    }

    picture = comparison(image, {'ours': ours, 'CLIP': clip}, vocabulary)

    patterns = class_patterns(range(4), vocabulary.names)  # of both sides
    top, left = place_of(picture, image)
    columns = []
    for views in (ours, clip):
        first, second = (
            place_of(
                picture,
                draw_segments(
                    image, views[task], vocabulary, patterns=patterns
                ),
            )
            for task in (Task.SEMANTIC, Task.PANOPTIC)
        )
        assert first[0] == top
        assert second[0] >= top + HEIGHT
        assert first[1] == second[1]
        columns.append(first[1])
    assert left + WIDTH < columns[0] < columns[0] + WIDTH < columns[1]
    assert picture.shape[1] > columns[1] + WIDTH + 50  # the names


def test_names_of_unseen_classes_are_red(image, vocabulary):
    def names_of(*labels):
        found = {'one': {Task.SEMANTIC: halves(*labels)}}
        return comparison(image, found, vocabulary)[:, 2 * WIDTH + 40 :]

    assert not red(names_of(CAT, GRASS)).any()
    rows = np.flatnonzero(red(names_of(CAT, DOG)).any(1))
    others = np.flatnonzero(
        (names_of(CAT, GRASS) == 0).all(-1).any(1)  # black, title first
    )
    assert rows.min() > others.min()  # below seen ones
    assert red(names_of(DOG, SKY)).sum() > red(names_of(CAT, DOG)).sum()


def test_classes_that_neither_finds_are_not_named(image, vocabulary):
    def width(*labels):
        found = TaskRegions(
            [Region(np.ones((HEIGHT, WIDTH), bool), x) for x in labels]
        )
        return comparison(
            image, {'one': {Task.SEMANTIC: found}}, vocabulary
        ).shape[1]  # fmt: skip

    assert width(GRASS) > width(CAT)
    assert width() > 2 * WIDTH  # and that there is none is said


def test_large_images_are_shrunk(image, vocabulary):
    found = {'one': {Task.SEMANTIC: halves(CAT, GRASS)}}
    large = comparison(image, found, vocabulary)
    small = comparison(image, found, vocabulary, max_side=200)
    assert large.shape[1] - small.shape[1] == 2 * (WIDTH - 2 * 200)
    with pytest.raises(ValueError, match='at least 1, got 0'):
        comparison(image, found, vocabulary, max_side=0)


def test_nothing_to_draw(image, vocabulary):
    with pytest.raises(ValueError, match='no method has regions'):
        comparison(image, {'one': {}}, vocabulary)
