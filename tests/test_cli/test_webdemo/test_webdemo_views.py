from dataclasses import replace

import numpy as np
import pytest

from freeseg_mm.apis.inputs import read_image
from freeseg_mm.cli.webdemo.form import Form
from freeseg_mm.cli.webdemo.views import (
    LegendRow,
    legend_table,
    task_views,
)
from freeseg_mm.structures import Task
from freeseg_mm.visualization import class_colours
from freeseg_mm.visualization.palette import NUM_PATTERNS

COLOURS = class_colours(['cat', 'grass'])


@pytest.fixture
def views(halves, black):
    return halves.predict(Form(str(black), 'cat, grass', 'cat')).views


def test_rows_say_what_was_found(views):
    (cat,) = views[Task.PANOPTIC].rows
    assert (cat.name, cat.is_thing, cat.is_seen) == ('cat', True, True)
    assert (cat.score, cat.share) == (0.75, 0.5)
    assert cat.colour == tuple(COLOURS[0])
    (cat,) = views[Task.INSTANCE].rows
    assert cat.score == 0.875
    _, grass = views[Task.SEMANTIC].rows
    assert (grass.name, grass.is_thing, grass.is_seen) == (
        'grass',
        False,
        False,
    )
    assert grass.score is None
    assert grass.colour == tuple(COLOURS[1])


def test_pictures_have_the_colours_of_the_rows(views):
    # Black is painted three parts of colour, two of black. The image is
    # enlarged 4 times: 384 x 256, and names stand in the middle.
    picture = views[Task.SEMANTIC].picture
    assert picture.shape == (256, 384, 3)
    painted = np.rint(0.6 * COLOURS).astype(int)
    assert picture[20, 20].tolist() == painted[0].tolist()
    assert picture[20, 360].tolist() == painted[1].tolist()
    # right of the cat is no segment: dark grey stripes
    outside = views[Task.PANOPTIC].picture[:, 200:].reshape(-1, 3)
    assert set(np.unique(outside)) == {56, 84}
    # no instance there either: the image, dimmed
    assert not views[Task.INSTANCE].picture[:, 200:].any()


def test_largest_classes_and_best_objects_come_first(tiny_inferencer, photo):
    (result,) = tiny_inferencer(photo, ['dragon', 'house', 'car'])
    views = task_views(result)
    shares = [row.share for row in views[Task.SEMANTIC].rows]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    scores = [row.score for row in views[Task.PANOPTIC].rows]
    assert scores == sorted(scores, reverse=True)


def test_pictures_are_those_of_predict(tiny_inferencer, photo):
    """Patterns of classes that look alike, too: those of all tasks."""
    (result,) = tiny_inferencer(photo, ['dragon', 'house', 'car', 'pea'])
    whole = np.asarray(result.plot())
    for task, view in task_views(result).items():
        assert holds(whole, view.picture), task


def holds(whole, part):
    height, width = part.shape[:2]
    places = (whole[: 1 - height, : 1 - width] == part[0, 0]).all(axis=2)
    return any(
        np.array_equal(whole[top : top + height, left : left + width], part)
        for top, left in np.argwhere(places)
    )


def test_large_images_are_drawn_smaller(halves, black):
    form = Form(str(black), 'cat, grass', 'cat', ['semantic'])
    image = read_image(str(black))
    (result,) = halves._inferencer(
        image.pixels,
        ['cat', 'grass'],
        things=None,
        tasks=['semantic'],
        score_thr=0.0,
    )
    view = task_views(result, max_side=48)[Task.SEMANTIC]
    assert view.picture.shape == (8 * 32, 8 * 48, 3)
    assert list(halves.predict(form).views) == [Task.SEMANTIC]


CAT = LegendRow('cat', (255, 0, 16), True, True, 0.875, 0.5)
GRASS = LegendRow('grass', (1, 2, 3), False, False, None, 0.125)


def test_a_row_says_everything():
    text = legend_table([CAT])
    assert 'background-color:#ff0010' in text
    assert 'cat</td>' in text
    assert 'thing</td>' in text
    assert '0.88' in text
    assert 'width:88%' in text
    assert '50.0%</td>' in text
    assert '★' not in text


def test_stuff_without_score_and_labels():
    text = legend_table([CAT, GRASS])
    assert text.count('<tr>') == 3
    assert '<td class="score"></td>' in text
    assert 'stuff</td>' in text
    assert '12.5%</td>' in text
    assert '★ had no labels in training' in text


def test_swatches_have_the_pattern_of_the_picture(repo):
    row = replace(CAT, colour=(0, 0, 0), pattern=2)
    # lines on black are 55 % white
    assert (
        'thing pattern-2" style="background-color:#000000;--ink:#8c8c8c"'
        in (legend_table([row]))
    )
    style = (repo / 'freeseg_mm/cli/webdemo/page.css').read_text()
    for number in range(1, NUM_PATTERNS):
        assert style.count(f'.pattern-{number} {{') == 1


def test_names_are_not_taken_for_html():
    text = legend_table([LegendRow('<b>', (0, 0, 0), True, True, 1.0, 1.0)])
    assert '<b>' not in text.replace('<b style', '')
    assert '&lt;b&gt;' in text


def test_nothing_found():
    assert 'nothing found' in legend_table([])
