"""Names in any alphabet, with whatever fonts the system has."""

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import ImageFont

from freeseg_mm.analysis.results.class_bars import class_bars
from freeseg_mm.evaluation.results import ClassScore
from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization import fonts
from freeseg_mm.visualization.legend import legend
from freeseg_mm.visualization.segments import name_tag

CAT = {'Chinese': '\u732b', 'Hindi': '\u092c\u093f\u0932\u094d\u0932\u0940'}
ARABIC = '\u0642\u0637\u0629'
INK = (255, 255, 255, 255)


CACHES = (fonts._system_fonts, fonts.font_path, fonts._load, name_tag)


def forget():
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture
def bare_system(monkeypatch):
    """No fonts but matplotlib's own."""
    monkeypatch.setattr(font_manager, 'findSystemFonts', list)
    forget()
    yield
    forget()


@pytest.fixture
def stix(monkeypatch):
    """A system with one font, of mathematics."""
    path = font_manager.findfont('STIXGeneral')
    monkeypatch.setattr(font_manager, 'findSystemFonts', lambda: [path])
    forget()
    yield path
    forget()


def has_ink(image):
    return np.asarray(image)[..., 3].any()


def test_usual_names_keep_the_usual_font():
    assert fonts.is_usual('traffic light 93%\nbig')
    assert not fonts.is_usual('caf\xe9')


@pytest.mark.usefixtures('bare_system')
def test_letters_that_matplotlib_has():
    """Before, each of them was the same box."""
    letters = ['\xe9', '\xf8', '\u0436', '\u03b1', ARABIC]
    assert all(map(fonts.can_draw, letters))
    pictures = [fonts.draw_line(letter, INK) for letter in letters]
    assert all(map(has_ink, pictures))
    tags = {name_tag(f'{a}', is_seen=True).tobytes() for a in letters}
    assert len(tags) == len(letters)


@pytest.mark.usefixtures('bare_system')
def test_note_where_no_font_has_the_letters(monkeypatch):
    said = []
    monkeypatch.setattr(fonts, 'print_log', lambda *args: said.append(args[0]))
    words = Vocabulary.from_names(['cat', CAT['Chinese']])
    assert not fonts.can_draw(CAT['Chinese'])
    with_note = legend([0, 1], words).picture
    without = legend([0], words).picture
    rows = (with_note.shape[0] - without.shape[0]) / 21
    assert rows == 2  # the name, and the note
    (line,) = said  # once for all pictures
    assert CAT['Chinese'] in line
    assert 'install one' in line


def test_font_of_the_system(stix):
    sign = '\u2a00'
    assert fonts.font_path(sign) in (
        stix,
        font_manager.findfont('DejaVu Sans'),
    )
    assert has_ink(fonts.draw_line(f'{sign} 93%', INK))


def test_score_beside_a_name_whose_font_has_no_digits(stix, monkeypatch):
    """Each run of words by its own font, in their order."""
    sign = '\u2a00'
    monkeypatch.setattr(
        fonts, 'font_path', lambda text: stix if text == sign else None
    )
    assert list(fonts._runs(f'{sign} {sign} 93% x')) == [
        (f'{sign} {sign}', stix), ('93% x', None),
    ]  # fmt: skip
    alone = fonts.draw_line(sign, INK).width
    assert fonts.draw_line(f'{sign} 93%', INK).width > alone


@pytest.mark.usefixtures('bare_system')
def test_damaged_font_is_passed_over(tmp_path, monkeypatch):
    path = tmp_path / 'a.ttf'
    path.write_bytes(b'no font')
    monkeypatch.setattr(font_manager, 'findSystemFonts', lambda: [str(path)])
    assert not fonts.can_draw(CAT['Chinese'])


@pytest.mark.parametrize('name', CAT.values(), ids=CAT)
def test_system_as_it_is(name):
    """Letters where there is a font, boxes where there is none."""
    box = fonts._draw_run('\U000f0000', None, INK)[0]
    path = fonts.font_path(name)
    drawn = fonts.draw_line(name, INK)
    assert has_ink(drawn)
    assert (path is None) == (not fonts.can_draw(name))
    if path is None:
        assert drawn.height == box.height
    else:
        assert (
            ImageFont.truetype(path, fonts.FONT_SIZE).getmask(name).getbbox()
        )


@pytest.mark.parametrize('name', CAT.values(), ids=CAT)
def test_figures_of_results_too(name, recwarn):
    figure = class_bars(
        [ClassScore(name, True, True, 50.0)], title='', measure='IoU'
    )
    (axes,) = figure.axes
    (label,) = axes.get_yticklabels()
    assert label.get_fontfamily()[0] == 'DejaVu Sans'
    if fonts.can_draw(name):
        figure.draw_without_rendering()
        assert not [w for w in recwarn if 'missing from' in str(w.message)]
