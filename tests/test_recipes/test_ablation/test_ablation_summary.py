import re

import pytest

from freeseg_mm.analysis.paper_tables.result_files import Result
from freeseg_mm.analysis.paper_tables.row_configs import RowConfig
from freeseg_mm.recipes.ablation import read_rows, summarize, tables_of

MIOU = 'semantic/mIoU_unseen'


def result(value, path):
    return Result(path=path, title='x', metrics={MIOU: value})


@pytest.fixture
def rows(write_config):
    note = "paper_row = 'table4/ablation_4_interaction'\n"
    return read_rows([write_config('whole', note), write_config('own')])


@pytest.fixture(scope='module')
def paper(repo):
    from freeseg_mm.analysis.paper_tables import load_rows

    return load_rows(repo / 'configs/tables')


def test_mean_and_deviation_by_hand(rows, tmp_path):
    values = {'whole': {0: 40.0, 1: 42.0, 2: 47.0}, 'own': {1: 5.0}}
    summary = summarize(
        rows,
        {
            name: {seed: result(v, tmp_path) for seed, v in each.items()}
            for name, each in values.items()
        },
        {
            'table4/ablation_4_interaction': RowConfig(
                name='table4/ablation_4_interaction',
                paper={MIOU: 42.6},
                weights='table4/ablation_4_interaction',
                num_things=(1, 1),
                training='',
                test='',
            )
        },
    )['rows']

    assert summary['whole']['mean'] == {MIOU: 43.0}
    # ((40 - 43)^2 + (42 - 43)^2 + (47 - 43)^2) / 2 = 13
    assert summary['whole']['std'] == {MIOU: pytest.approx(13**0.5)}
    assert summary['whole']['paper'] == {MIOU: 42.6}
    assert summary['whole']['seeds']['2'] == {MIOU: 47.0}
    assert summary['own']['mean'] == {MIOU: 5.0}
    assert summary['own']['std'] == {MIOU: None}
    assert summary['own']['paper'] == {}


def test_metric_that_a_seed_lacks_has_no_mean(rows, tmp_path):
    results = {0: result(None, tmp_path), 1: result(5.0, tmp_path)}
    summary = summarize(rows, {'own': results}, {})['rows']

    assert summary['own']['mean'] == {MIOU: None}
    assert summary['own']['std'] == {MIOU: None}
    assert summary['whole']['seeds'] == {}


def test_tables_have_the_papers_layout(rows, paper, tmp_path):
    results = {
        row.name: {0: result(40.0, tmp_path), 1: result(41.0, tmp_path)}
        for row in rows
    }
    text = tables_of(summarize(rows, results, paper), paper, tmp_path)

    assert '## Table 4.' in text
    assert '## Table 5.' not in text
    assert '42.6 / 40.5 ± 0.7' in text
    assert re.search(r'\| semantic/mIoU_unseen +\| +40.5 ± 0.7 \|', text)
    assert 'own (seeds 0, 1)' in text
    assert 'Ours is a mean over seeds ± its standard deviation.' in text


def test_options_are_said(rows, paper, tmp_path):
    results = {'whole': {0: result(40.0, tmp_path)}}
    summary = summarize(rows, results, paper)
    text = tables_of(summary, paper, tmp_path, {'model.width': 3})

    assert '42.6 / 40.0‡' in text
    assert '±' not in text
    assert f'‡ row 4: {tmp_path}/whole was tested with model.width=3' in text
