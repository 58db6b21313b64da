import json
from types import SimpleNamespace

import numpy as np
import pytest

from freeseg_mm.evaluation.results import write_results


@pytest.fixture
def evaluators():
    def values(is_seen, value):
        return {'is_seen': is_seen, 'is_thing': True, 'PQ': value}

    return [
        SimpleNamespace(
            prefix='panoptic',
            per_class_results={
                'cat': values(True, 12.5),
                'dog': values(False, float('nan')),
            },
        ),
        SimpleNamespace(prefix='speed'),  # a metric without classes
    ]


def write(path, vocabulary, evaluators, metrics):
    write_results(
        path,
        metrics,
        evaluators,
        {'classes': vocabulary.names, 'vocabulary': vocabulary.to_dict()},
        config_path='configs/freeseg/coco.py',
        checkpoint='work_dirs/coco/iter_60000.pth',
        test_cfg={'tasks': ['panoptic'], 'overlap_thr': 0.8},
        options={'model.test_cfg.overlap_thr': 0.8},
        images=7,
    )


def test_content(tmp_path, vocabulary, evaluators):
    path = tmp_path / 'new' / 'folder' / 'results.json'
    metrics = {
        'panoptic/PQ_seen': 12.5,
        'panoptic/PQ_unseen': float('nan'),
        'panoptic/PQ': np.float64(12.5),
        'count': 3,
    }
    write(path, vocabulary, evaluators, metrics)
    text = path.read_text()
    assert json.loads(text) == {
        'metrics': {
            'panoptic/PQ_seen': 12.5,
            'panoptic/PQ_unseen': None,
            'panoptic/PQ': 12.5,
            'count': 3,
        },
        'config': 'configs/freeseg/coco.py',
        'checkpoint': 'work_dirs/coco/iter_60000.pth',
        'vocabulary': {
            'name': 'four',
            'hash': vocabulary.content_hash,
            'classes': 4,
        },
        'test_cfg': {'tasks': ['panoptic'], 'overlap_thr': 0.8},
        'options': {'model.test_cfg.overlap_thr': 0.8},
        'images': 7,
        'per_class': {
            'panoptic': {
                'cat': {'is_seen': True, 'is_thing': True, 'PQ': 12.5},
                'dog': {'is_seen': False, 'is_thing': True, 'PQ': None},
            }
        },
    }
    # NaN is no JSON, whatever Python reads
    assert 'NaN' not in text
    assert text.endswith('}\n')


def test_replaces_an_older_file(tmp_path, vocabulary, evaluators):
    path = tmp_path / 'results.json'
    path.write_text('x' * 100_000)
    write(path, vocabulary, evaluators, {'panoptic/PQ': 1.0})
    assert json.loads(path.read_text())['metrics'] == {'panoptic/PQ': 1.0}
