import json
import re

import pytest

from freeseg_mm.analysis.paper_tables.result_files import Result, read_results

EXPECTED = (
    'no results; expected what tools/test.py --out writes, or metrics by '
    'name as metrics.json of the demo'
)


@pytest.fixture
def write(tmp_path):
    def make(content):
        path = tmp_path / 'results.json'
        path.write_text(
            content if isinstance(content, str) else json.dumps(content)
        )
        return path

    return make


def test_result_of_a_test(write):
    metrics = {'semantic/mIoU': 12.5, 'panoptic/PQ': None}
    path = write(
        {
            'metrics': metrics,
            'config': '/somewhere/configs/tables/table1/semantic_coco_ours.py',
            'checkpoint': 'x.pth',
            'images': 5000,
            'options': {'model.clip.pretrained': 'x', 'a.b': 1},
        }
    )
    (result,) = read_results(path)
    assert result == Result(
        path=path,
        title='/somewhere/configs/tables/table1/semantic_coco_ours.py',
        metrics=metrics,
        row='table1/semantic_coco_ours',
        checkpoint='x.pth',
        images=5000,
        options={'model.clip.pretrained': 'x', 'a.b': 1},
    )
    # where CLIP lies does not matter
    assert result.changes == {'a.b': 1}


def test_random_weights_are_no_other_place(write):
    options = {'model.clip.pretrained': 'random', 'x.data_root': 'y'}
    path = write(
        {'metrics': {'panoptic/PQ': 1}, 'config': 'a.py', 'options': options}
    )
    (result,) = read_results(path)
    assert result.changes == {'model.clip.pretrained': 'random'}


def test_older_results_say_less(write):
    path = write({'metrics': {'own': 1}, 'config': 'a.py'})
    (result,) = read_results(path)
    assert (result.images, result.options, result.checkpoint) == (None, {}, '')


def test_several_by_name(write):
    path = write({'query': {'panoptic/PQ': 1.0}, 'clip': {'panoptic/PQ': 2}})
    results = read_results(path)
    assert [result.title for result in results] == [
        f'{path}: query',
        f'{path}: clip',
    ]
    assert [result.metrics['panoptic/PQ'] for result in results] == [1.0, 2]
    assert [result.row for result in results] == [None, None]


@pytest.mark.parametrize(
    'content',
    [
        [],
        {},
        {'a': 1},
        {'metrics': {}, 'config': 'x'},
        {'metrics': {'panoptic/PQ': 1}, 'config': 3},
        {'query': {'loss': 1.0}},
        {'query': {'panoptic/PQ': 'much'}},
    ],
)
def test_other_files_are_refused(write, content):
    path = write(content)
    with pytest.raises(
        ValueError, match=f'^{re.escape(f"{path}: {EXPECTED}")}$'
    ):
        read_results(path)


def test_damaged_file_is_named(write):
    path = write('{"metrics": ')
    with pytest.raises(
        ValueError, match=f'^{re.escape(str(path))}: not readable as JSON: '
    ):
        read_results(path)


def test_missing_file_is_named(tmp_path):
    path = tmp_path / 'absent.json'
    with pytest.raises(
        FileNotFoundError, match=f'^no result file {re.escape(str(path))}$'
    ):
        read_results(path)
