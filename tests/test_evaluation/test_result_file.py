import json
from copy import deepcopy

import pytest

from freeseg_mm.evaluation.results import (
    ClassScore,
    check_belongs,
    read_result_file,
)
from freeseg_mm.structures import Task


@pytest.fixture
def content(vocabulary):
    return {
        'metrics': {'semantic/mIoU': 50.0},
        'config': 'configs/freeseg/four.py',
        'checkpoint': 'four.pth',
        'vocabulary': {
            'name': 'four',
            'hash': vocabulary.content_hash,
            'classes': 4,
        },
        'images': 1,
        'options': {},
        'per_class': {
            'semantic': {
                'cat': {'is_seen': True, 'is_thing': True, 'IoU': 50.0},
                'sky': {'is_seen': False, 'is_thing': False, 'IoU': None},
            }
        },
    }


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / 'results.json'
        path.write_text(json.dumps(content))
        return path

    return write


def test_classes_are_read(write, content):
    result = read_result_file(write(content))
    assert result.classes == {
        Task.SEMANTIC: (
            ClassScore('cat', True, True, 50.0),
            ClassScore('sky', False, False, None),
        )
    }


def test_metrics_of_the_demo_are_none(write):
    path = write({'query': {'semantic/mIoU': 1.0}})
    with pytest.raises(ValueError, match=r"results.json is no .*'per_class'"):
        read_result_file(path)


def test_classes_are_needed(write, content):
    path = write({**content, 'per_class': {}})
    with pytest.raises(ValueError, match='no scores of single classes'):
        read_result_file(path)


def test_measure_is_needed(write, content):
    del content['per_class']['semantic']['cat']['IoU']
    with pytest.raises(ValueError, match=r"semantic .* do not say.*'IoU'"):
        read_result_file(write(content))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.json'):
        read_result_file(tmp_path / 'gone.json')


def test_belongs_to_its_config_wherever_it_lies(write, content, vocabulary):
    result = read_result_file(write(content))
    for path in ('configs/freeseg/four.py', 'work_dirs/four/four.py'):
        check_belongs(result, path, vocabulary)


def test_other_config_is_refused(write, content, vocabulary):
    result = read_result_file(write(content))
    with pytest.raises(ValueError, match=r'freeseg/four.py, not of coco.py'):
        check_belongs(result, 'coco.py', vocabulary)


def test_other_vocabulary_is_refused(write, content, vocabulary):
    other = deepcopy(content)
    other['vocabulary'] |= {'hash': 'abc', 'name': 'five', 'classes': 5}
    result = read_result_file(write(other))
    message = r"'five' \(5 classes, abc\), but .*four.py is tested with 'four'"
    with pytest.raises(ValueError, match=message):
        check_belongs(result, 'four.py', vocabulary)
