import numpy as np
import pytest

from freeseg_mm.structures import Task
from freeseg_mm.visualization import (
    Region,
    TaskRegions,
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


def test_cells_stand_in_rows_of_sources_and_columns_of_tasks(
    image, regions, vocabulary
):
    nothing = TaskRegions()
    rows = {
        'truth': dict.fromkeys(Task, regions),
        'prediction': {Task.SEMANTIC: nothing, Task.PANOPTIC: regions},
    }
    picture = panel(image, rows, vocabulary, scale=1)
    key = legend([GRASS], vocabulary, width=WIDTH).picture
    first = GAP + max(WIDTH, key.shape[1]) + GAP
    column, row = WIDTH + GAP, CAPTION + HEIGHT + GAP
    assert picture.shape[1] == first + 3 * column
    assert picture.shape[0] == max(2 * row, row + key.shape[0]) + GAP

    np.testing.assert_array_equal(cut(picture, CAPTION, GAP, image), image)
    np.testing.assert_array_equal(cut(picture, row, GAP, key), key)
    drawn, empty = (
        draw_segments(image, task_regions, vocabulary)
        for task_regions in (regions, nothing)
    )
    for place, cell in {
        (0, 0): drawn,
        (0, 1): drawn,
        (0, 2): drawn,
        (1, 0): empty,
        (1, 2): drawn,
    }.items():
        top, left = CAPTION + place[0] * row, first + place[1] * column
        np.testing.assert_array_equal(cut(picture, top, left, cell), cell)
    # what was not answered stays blank
    blank = cut(picture, CAPTION + row, first + column, drawn)
    assert len(np.unique(blank.reshape(-1, 3), axis=0)) == 1


def test_only_tasks_that_occur_have_a_column(image, regions, vocabulary):
    rows = {'truth': {Task.INSTANCE: regions}}
    one = panel(image, rows, vocabulary, scale=1)
    rows['prediction'] = {Task.SEMANTIC: regions}
    two = panel(image, rows, vocabulary, scale=1)
    assert two.shape[1] == one.shape[1] + WIDTH + GAP


def test_small_images_are_enlarged(image, regions, vocabulary):
    rows = {'truth': {Task.SEMANTIC: regions}}
    picture = panel(image, rows, vocabulary)
    large = enlarge_image(image, 3)
    np.testing.assert_array_equal(cut(picture, CAPTION, GAP, large), large)


@pytest.mark.parametrize(
    ('size', 'scale'),
    [((128, 128), 3), ((64, 128), 3), ((480, 640), 1), ((2000, 3000), 1)],
)
def test_readable_scale(size, scale):
    assert readable_scale(*size) == scale


@pytest.mark.parametrize('rows', [{}, {'truth': {}}])
def test_nothing_to_draw_is_refused(image, vocabulary, rows):
    with pytest.raises(ValueError, match='nothing to draw: no row has'):
        panel(image, rows, vocabulary)


def test_same_inputs_give_the_same_bytes(image, regions, vocabulary):
    rows = {'truth': {Task.SEMANTIC: regions}}
    np.testing.assert_array_equal(
        panel(image, rows, vocabulary), panel(image, rows, vocabulary)
    )


def test_title_stands_over_the_image(image, regions, vocabulary):
    rows = {'truth': {Task.SEMANTIC: regions}}
    plain = panel(image, rows, vocabulary, scale=1)
    titled = panel(image, rows, vocabulary, scale=1, title='crop')
    rows_that_differ = np.flatnonzero((plain != titled).any(axis=(1, 2)))
    assert len(rows_that_differ)
    assert rows_that_differ.max() < CAPTION
