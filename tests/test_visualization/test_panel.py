import numpy as np
import pytest

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.visualization import (
    Region,
    TaskRegions,
    class_patterns,
    draw_segments,
    legend,
    panel,
)
from freeseg_mm.visualization.panel import readable_scale
from freeseg_mm.visualization.segments import enlarge_image

GRASS = 2
GAP, CAPTION = 6, 22
HEIGHT, WIDTH = 100, 120


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


@pytest.fixture
def regions():
    return TaskRegions([Region(np.ones((HEIGHT, WIDTH), dtype=bool), GRASS)])


def cut(picture, top, left, cell):
    return picture[top : top + cell.shape[0], left : left + cell.shape[1]]


def test_sources_stand_side_by_side_a_row_for_each_task(
    image, regions, vocabulary
):
    nothing = TaskRegions()
    rows = {
        'ground truth': dict.fromkeys(Task, regions),
        'prediction': {Task.SEMANTIC: nothing, Task.PANOPTIC: regions},
    }
    picture = panel(image, rows, vocabulary, scale=1)
    key = legend([GRASS], vocabulary, width=WIDTH).picture
    first = GAP + max(WIDTH, key.shape[1]) + GAP
    column, row = WIDTH + GAP, CAPTION + HEIGHT + GAP
    assert picture.shape[1] == first + 2 * column
    assert picture.shape[0] == max(3 * row, row + key.shape[0]) + GAP

    np.testing.assert_array_equal(cut(picture, CAPTION, GAP, image), image)
    np.testing.assert_array_equal(cut(picture, row, GAP, key), key)
    drawn, empty = (
        draw_segments(image, task_regions, vocabulary)
        for task_regions in (regions, nothing)
    )
    for place, cell in {
        (0, 0): drawn,
        (1, 0): drawn,
        (2, 0): drawn,
        (0, 1): empty,
        (2, 1): drawn,
    }.items():
        top, left = CAPTION + place[0] * row, first + place[1] * column
        np.testing.assert_array_equal(cut(picture, top, left, cell), cell)
    # what was not predicted stays blank
    blank = cut(picture, CAPTION + row, first + column, drawn)
    assert len(np.unique(blank.reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize(
    'rows',
    [
        {'prediction': [Task.SEMANTIC, Task.PANOPTIC]},
        {'ground truth': [Task.SEMANTIC], 'prediction': [Task.SEMANTIC]},
    ],
)
def test_one_row_has_the_legend_at_its_right(image, regions, vocabulary, rows):
    rows = {name: dict.fromkeys(row, regions) for name, row in rows.items()}
    picture = panel(image, rows, vocabulary, scale=1)
    height = CAPTION + HEIGHT
    key = legend([GRASS], vocabulary, height=height).picture
    left = GAP + 3 * (WIDTH + GAP)
    np.testing.assert_array_equal(cut(picture, CAPTION, left, key), key)
    assert picture.shape[1] == left + key.shape[1] + GAP
    assert picture.shape[0] == CAPTION + key.shape[0] + GAP


def test_only_tasks_that_occur_have_a_row(image, regions, vocabulary):
    rows = {'ground truth': {Task.INSTANCE: regions}}
    one = panel(image, rows, vocabulary, scale=1)
    rows['prediction'] = {Task.SEMANTIC: regions}
    two = panel(image, rows, vocabulary, scale=1)
    # the legend goes below the image
    key = legend([GRASS], vocabulary, width=WIDTH).picture
    row = CAPTION + HEIGHT + GAP
    assert two.shape[0] == max(2 * row, row + key.shape[0]) + GAP
    assert one.shape[1] == 3 * GAP + 2 * WIDTH + key_width(vocabulary) + GAP


def key_width(vocabulary):
    return legend([GRASS], vocabulary, height=HEIGHT).picture.shape[1]


def test_legend_has_the_best_score_of_a_class(image, vocabulary):
    mask = np.ones((HEIGHT, WIDTH), dtype=bool)
    scored = [Region(mask, GRASS, score) for score in (0.3, 0.875, 0.5)]
    rows = {
        'ground truth': {Task.PANOPTIC: TaskRegions([Region(mask, GRASS)])},
        'prediction': {Task.PANOPTIC: TaskRegions(scored)},
    }
    picture = panel(image, rows, vocabulary, scale=1)
    key = legend(
        [GRASS], vocabulary, height=CAPTION + HEIGHT, scores={GRASS: 0.875}
    ).picture
    left = GAP + 3 * (WIDTH + GAP)
    np.testing.assert_array_equal(cut(picture, CAPTION, left, key), key)


def test_all_cells_and_the_legend_share_patterns(image, vocabulary):
    """A class has its pattern though the like one is in another cell."""
    like = Vocabulary.from_names([f'word {i}' for i in range(200)])
    pairs = class_patterns(range(200), like.names)
    label = next(i for i, pattern in pairs.items() if pattern)
    mask = np.ones((HEIGHT, WIDTH), dtype=bool)
    cell = TaskRegions([Region(mask, label)])
    others = TaskRegions([Region(mask, i) for i in range(200) if i != label])
    rows = {
        'ground truth': {Task.SEMANTIC: others},
        'prediction': {Task.SEMANTIC: cell},
    }
    picture = panel(image, rows, like, scale=1)
    drawn = draw_segments(image, cell, like, patterns=pairs)
    alone = draw_segments(image, cell, like)
    left = GAP + 2 * (WIDTH + GAP)
    found = cut(picture, CAPTION, left, drawn)
    np.testing.assert_array_equal(found, drawn)
    assert (found != alone).any()


def test_small_images_are_enlarged(image, regions, vocabulary):
    rows = {'ground truth': {Task.SEMANTIC: regions}}
    picture = panel(image, rows, vocabulary)
    large = enlarge_image(image, 3)
    np.testing.assert_array_equal(cut(picture, CAPTION, GAP, large), large)


@pytest.mark.parametrize(
    ('size', 'scale'),
    [((128, 128), 3), ((64, 128), 3), ((480, 640), 1), ((2000, 3000), 1)],
)
def test_readable_scale(size, scale):
    assert readable_scale(*size) == scale


@pytest.mark.parametrize('rows', [{}, {'ground truth': {}}])
def test_nothing_to_draw_is_refused(image, vocabulary, rows):
    with pytest.raises(ValueError, match='nothing to draw: no row has'):
        panel(image, rows, vocabulary)


def test_same_inputs_give_the_same_bytes(image, regions, vocabulary):
    rows = {'ground truth': {Task.SEMANTIC: regions}}
    np.testing.assert_array_equal(
        panel(image, rows, vocabulary), panel(image, rows, vocabulary)
    )


def test_title_stands_over_the_image(image, regions, vocabulary):
    rows = {'ground truth': {Task.SEMANTIC: regions}}
    plain = panel(image, rows, vocabulary, scale=1)
    titled = panel(image, rows, vocabulary, scale=1, title='crop')
    rows_that_differ = np.flatnonzero((plain != titled).any(axis=(1, 2)))
    assert len(rows_that_differ)
    assert rows_that_differ.max() < CAPTION
