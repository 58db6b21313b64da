import pytest
from torch import nn

from freeseg_mm.analysis.cost.meter import Hotspot
from freeseg_mm.analysis.cost.passes import Contender
from freeseg_mm.analysis.cost.report import cost_table, ratio_lines, ratios


@pytest.fixture
def sides():
    hotspots = [Hotspot(part, nn.Identity()) for part in ('text', 'net')]
    this = Contender('this', run=None, hotspots=hotspots)
    this.costs = {
        'macs': {'net': 2e9, 'other': 0, 'total': 2e9},
        'seconds': {'net': 0.5, 'other': 0.0, 'total': 0.5},
        'peak_bytes': None,
        'first': {
            'macs': {'net': 4e9, 'total': 4e9},
            'seconds': {'net': 1.0, 'total': 1.0},
            'peak_bytes': None,
        },
    }
    against = Contender('that', run=None, hotspots=hotspots)
    against.costs = {
        'macs': {'net': 10e9, 'text': 2e9, 'other': 0, 'total': 12e9},
        'seconds': {'net': 1.0, 'text': 1.0, 'other': 0.0, 'total': 2.0},
        'peak_bytes': None,
    }
    return this, against


def test_table_has_a_column_for_the_first_image(sides):
    assert cost_table('macs', sides).splitlines() == [
        'Multiply-adds (GMAC)  this, first  this  that',
        'text                            -     -     2',
        'net                             4     2    10',
        'other                           -     0     0',
        'total                           4     2    12',
    ]


def test_says_where_memory_is_unknown(sides):
    text = cost_table('peak_bytes', sides)
    assert text == (
        'Peak memory above the start (MiB): this system cannot tell'
    )


def test_ratios(sides):
    found = ratios(*sides)
    assert found['macs'] == 6
    assert found['macs_first'] == 3
    assert found['macs_by_part'] == {'net': 5, 'other': None}
    assert found['seconds'] == 4
    assert found['seconds_first'] == 2
    assert ratio_lines(*sides, found).splitlines() == [
        'that takes 6 x the multiply-adds of this (first image 3 x)',
        'that takes 4 x the time of this (first image 2 x)',
    ]
