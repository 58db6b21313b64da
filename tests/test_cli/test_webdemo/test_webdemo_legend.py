from dataclasses import replace

from freeseg_mm.cli.webdemo.views import LegendRow, legend_table
from freeseg_mm.visualization.patterns import NUM_PATTERNS

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
    style = (repo / 'freeseg_mm/webdemo/page.css').read_text()
    for number in range(1, NUM_PATTERNS):
        assert style.count(f'.pattern-{number} {{') == 1


def test_names_are_not_taken_for_html():
    text = legend_table([LegendRow('<b>', (0, 0, 0), True, True, 1.0, 1.0)])
    assert '<b>' not in text.replace('<b style', '')
    assert '&lt;b&gt;' in text


def test_nothing_found():
    assert 'nothing found' in legend_table([])
