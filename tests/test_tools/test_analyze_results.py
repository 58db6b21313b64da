import csv
import json
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config

from freeseg_mm.structures import Vocabulary


@pytest.fixture
def checkpoint(build_tiny_model, tmp_path):
    """Random weights in a file."""
    path = tmp_path / 'random.pth'
    torch.save({'state_dict': build_tiny_model().state_dict()}, path)
    return path


@pytest.fixture
def analyse(run_tool, capsys):
    """Run the tool; gives exit code, output and errors."""

    def run(*arguments):
        code = 0
        try:
            run_tool('analyze_results.py', *arguments)
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def results_file(config_file, shapes_world, tmp_path):
    """What a test of the tiny run could have written."""
    vocabulary = Vocabulary.load(shapes_world / 'vocabulary.json')
    path = tmp_path / 'results.json'
    content = {
        'metrics': {'semantic/mIoU': 12.345, 'semantic/mIoU_unseen': None},
        'config': str(config_file),
        'checkpoint': 'tiny.pth',
        'vocabulary': {
            'name': vocabulary.name,
            'hash': vocabulary.content_hash,
            'classes': len(vocabulary),
        },
        'images': 4,
        'options': {'model.test_cfg.max_per_image': 7},
        'per_class': {
            'panoptic': {
                name: {
                    'is_seen': vocabulary.is_seen[index],
                    'is_thing': vocabulary.is_thing[index],
                    'PQ': None if index == 3 else float(index),
                }
                for index, name in enumerate(vocabulary.names)
            }
        },
    }
    path.write_text(json.dumps(content))
    return path


def read_csv(path):
    with open(path, encoding='utf-8', newline='') as file:
        return list(csv.reader(file))


def linked(page):
    """Files that a page shows or links to."""
    return re.findall(r'\]\(([^)]+)\)', page.read_text('utf-8'))


def test_checkpoint_is_tested_and_shown(
    analyse, config_file, checkpoint, tmp_path
):
    out = tmp_path / 'out'
    code, printed, told = analyse(
        *(config_file, checkpoint, '--out', out, '--topk', 2),
        *('--max-classes', 5, '--show-score-thr', 0),
        *('--cfg-options', 'test_dataloader.dataset.indices=3'),
    )
    assert code == 0
    assert printed == f'open {out / "index.md"}\n'
    assert '3/3' in told
    assert all((out / path).is_file() for path in linked(out / 'index.md'))

    pictures = sorted(path.name for path in (out / 'gallery').iterdir())
    assert [name for name in pictures if name.startswith('semantic')] == [
        'semantic_01.png',
        'semantic_02.png',
    ]
    images = read_csv(out / 'images.csv')
    assert images[0][:2] == ['image', 'semantic mIoU']
    assert len(images) == 4
    results = json.loads((out / 'results.json').read_text())
    assert results['images'] == 3
    assert results['checkpoint'] == str(checkpoint)

    # the IoU that the matrix gives is the metric's
    header, *rows = read_csv(out / 'confusion.csv')
    assert header[2:] == [row[0] for row in rows]
    totals = np.array([float(row[1]) for row in rows])
    shares = [[float(share) / 100 for share in row[2:]] for row in rows]
    pixels = np.nan_to_num(shares) * totals[:, None]
    both = np.diag(pixels)
    union = totals + pixels.sum(axis=0) - both
    occurring = union > 0
    found = dict(
        zip(
            np.array(header[2:])[occurring],
            100 * both[occurring] / union[occurring],
            strict=True,
        )
    )
    expected = {
        name: row['IoU']
        for name, row in results['per_class']['semantic'].items()
        if row['IoU'] is not None
    }
    # shares are written with four digits
    assert found == pytest.approx(expected, abs=0.01)


def test_results_need_no_model(analyse, config_file, results_file, tmp_path):
    out = tmp_path / 'out'
    code, _, told = analyse(config_file, results_file, '--out', out)
    assert (code, told) == (0, '')
    assert sorted(path.name for path in out.iterdir()) == [
        'classes.csv',
        'classes_panoptic.png',
        'index.md',
    ]
    page = (out / 'index.md').read_text('utf-8')
    assert re.search(r'\| semantic/mIoU +\| 12.3 \|', page)
    assert re.search(r'\| semantic/mIoU_unseen \| +- \|', page)
    assert 'model.test_cfg.max_per_image: 7' in page
    vocabulary = Vocabulary.from_dict(
        _test_dataset(config_file).metainfo['vocabulary']
    )
    name = vocabulary.names[3]
    assert f'Neither in the ground truth nor predicted (1): {name}' in page
    assert 'give tools/analyze_results.py the checkpoint' in page
    rows = read_csv(out / 'classes.csv')
    assert rows[5][1:] == [
        vocabulary.names[4],
        'seen' if vocabulary.is_seen[4] else 'unseen',
        'thing',
        'PQ',
        '4.0000',
    ]
    assert rows[4][-1] == ''


def _test_dataset(config_file):
    from freeseg_mm.datasets.from_config import build_dataset, dataset_configs

    config = Config.fromfile(config_file)
    return build_dataset(dataset_configs(config, 'test')[0])


def test_mistakes_end_in_a_sentence(
    analyse, config_file, results_file, tmp_path, repo
):
    out = tmp_path / 'out'
    broken = tmp_path / 'broken.pth'
    broken.write_text('nothing')
    other = repo / 'configs' / 'freeseg' / 'shapes.py'
    gone = tmp_path / 'gone.pth'
    for arguments, message in (
        ((config_file, gone), f'no checkpoint or result file {gone}'),
        ((config_file, broken), 'not a checkpoint that can be read'),
        ((tmp_path / 'gone.py', results_file), 'gone.py'),
        ((config_file, results_file, '--topk', -1), 'worst: expected at lea'),
        ((config_file, results_file, '--max-classes', 0), 'classes: expect'),
        (
            (config_file, results_file, '--show-score-thr', 2),
            'score_thr: expected 0 to 1, got 2',
        ),
        (
            (
                *(other, results_file, '--cfg-options'),
                f'test_dataloader.dataset.data_root={out.parent}',
            ),
            'no vocabulary',
        ),
    ):
        code, printed, told = analyse(*arguments, '--out', out)
        assert code == 1, told
        assert printed == ''
        (line,) = told.splitlines()
        assert line.startswith('analyze_results: ')
        assert message in line


def test_results_of_another_config(analyse, results_file, config_file):
    other = config_file.with_name('other.py')
    other.write_text(config_file.read_text())
    code, _, told = analyse(other, results_file, '--out', 'unused')
    assert code == 1
    assert told == (
        f'analyze_results: {results_file} holds results of {config_file}, '
        f'not of {other}; give the config that was tested\n'
    )


def test_weights_of_another_model(analyse, config_file, checkpoint, tmp_path):
    """They would load in part, and the rest would be random."""
    content = torch.load(checkpoint, weights_only=True)
    content['state_dict'].popitem()
    torch.save(content, checkpoint)
    code, _, told = analyse(config_file, checkpoint, '--out', tmp_path / 'o')
    assert code == 1
    assert 'does not fit the config: 1 of' in told
