import re

import pytest

from freeseg_mm.analysis.paper_tables.row_configs import (
    load_rows,
    row_name,
    same_results,
)

BASE = """
model = dict(type='x', test_cfg=dict(mode='both'), clip_prompt=None)
train_dataloader = dict(batch_size=4)
test_dataloader = dict(dataset=dict(vocabulary='coco_stuff171', seen='own'))
val_evaluator = test_evaluator = [dict(type='m')]
paper = {'semantic/mIoU': 12.5}
"""


@pytest.fixture
def write(tmp_path):
    folder = tmp_path / 'tables' / 'table1'
    folder.mkdir(parents=True)
    (folder / 'first.py').write_text(BASE)

    def make(**changes):
        for name, text in changes.items():
            (folder / f'{name}.py').write_text(
                f"_base_ = './first.py'\n{text}"
            )
        return load_rows(folder.parent)

    return make


def test_row(write):
    rows = write(
        second="paper = {'_delete_': True, 'panoptic/PQ': 2.5}\n"
        "weights = 'table1/first'"
    )
    assert list(rows) == ['table1/first', 'table1/second']
    first, second = rows.values()
    assert first.paper == {'semantic/mIoU': 12.5}
    assert first.weights == 'table1/first'
    # COCO's things, of which 7 are unseen
    assert first.num_things == (73, 7)
    assert second.paper == {'panoptic/PQ': 2.5}
    assert second.weights == 'table1/first'
    assert same_results(first, second, rows)


LEARNED = "prompt_learner=dict(type='freeseg_mm.AdaptivePromptLearner'"
FIXED = "dict(type='freeseg_mm.FixedPrompt')"


@pytest.mark.parametrize(
    ('settings', 'view'),
    [
        ('', 'nothing'),
        (f'{LEARNED})', 'nothing'),
        (f'mask_classifier={{}}, {LEARNED})', "the queries' learned prompts"),
        (
            f"mask_classifier={{}}, {LEARNED}, pretrained='x.pth')",
            "the queries' learned prompts, learned first",
        ),
        (
            f'mask_classifier={{}}, prompt_learner={FIXED}',
            "the queries' fixed prompts",
        ),
        (
            f'mask_classifier={{}}, {LEARNED}), '
            f'clip_prompt={FIXED[:-1]}, _delete_=True)',
            'its own fixed prompts',
        ),
        (
            f'mask_classifier={{}}, {LEARNED}), '
            "test_cfg=dict(ensemble=dict(mode='query'))",
            'nothing',
        ),
    ],
)
def test_view(write, settings, view):
    rows = write(second=f'model = dict({settings})')
    assert rows['table1/second'].view == view


@pytest.mark.parametrize(
    ('text', 'training', 'test'),
    [
        ('', True, True),
        ('val_evaluator = []', True, True),
        ("model = dict(test_cfg=dict(mode='clip'))", True, False),
        (
            "model = dict(clip_prompt={'type': 'x', '_delete_': True})",
            True,
            False,
        ),
        (
            "custom_hooks = [dict(type='freeseg_mm.TTAPromptHook')]",
            True,
            False,
        ),
        ("custom_hooks = [dict(type='other')]", False, True),
        ("model = dict(type='y')", False, False),
        ('train_dataloader = dict(batch_size=2)', False, True),
        ("test_dataloader = dict(dataset=dict(seen='none'))", True, False),
        ('test_evaluator = []', True, False),
        ('max_iters = 3', False, True),
    ],
)
def test_what_training_and_test_depend_on(write, text, training, test):
    rows = write(second=text)
    first, second = rows.values()
    assert (first.training == second.training) == training
    assert (first.test == second.test) == test
    assert same_results(first, second, rows) == (training and test)


def test_weights_of_other_rows_tell_same_tests_apart(write):
    rows = write(
        other='train_dataloader = dict(batch_size=2)',
        a="weights = 'table1/first'",
        b="weights = 'table1/other'",
    )
    a, b = rows['table1/a'], rows['table1/b']
    assert a.test == b.test
    assert not same_results(a, b, rows)


@pytest.mark.parametrize('weights', ['table1/absent', 'table1/second'])
def test_weights_are_of_a_row_that_is_trained(write, tmp_path, weights):
    with pytest.raises(ValueError, match='which is no row that is trained$'):
        write(
            second="weights = 'table1/first'", third=f"weights = '{weights}'"
        )


def test_row_without_numbers(write, tmp_path):
    path = tmp_path / 'tables' / 'table1' / 'second.py'
    message = f"{path}: no 'paper' with the printed numbers, by metric"
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        write(second='paper = 3')


def test_folder_without_rows(tmp_path):
    message = f'no row of a table in {tmp_path}; expected table1/*.py'
    with pytest.raises(FileNotFoundError, match=f'^{re.escape(message)}'):
        load_rows(tmp_path)


def test_row_name():
    assert row_name('/x/configs/tables/table4/row.py') == 'table4/row'
    assert row_name('configs/freeseg/coco.py') == 'freeseg/coco'
