import sys

import pytest

from freeseg_mm.recipes.ablation import Runs, read_rows
from freeseg_mm.recipes.processes import Slot
from freeseg_mm.utils.parallel import Shard


@pytest.fixture
def said():
    return []


@pytest.fixture
def runs(tmp_path, tools, said):
    label = (sys.executable, str(tools / 'label.py'))
    return Runs(tmp_path / 'runs', tools, say=said.append, label=label)


@pytest.fixture
def paths(write_config):
    """A config, one that tests its weights, and one of its own."""
    return [
        write_config('whole'),
        write_config('tuned', "weights = 'whole'\n", score=0.2),
        write_config('small', width=4),
    ]


def test_trains_once_for_all_rows_of_the_same_weights(
    runs, paths, calls, tmp_path, said
):
    failures = runs.complete(read_rows(paths), [3, 1], [Slot()])

    assert failures == []
    found = calls()
    assert [line.split()[:3:2] for line in found if 'train ' in line] == [
        ['train', '--work-dir'],
    ] * 4
    work = tmp_path / 'runs'
    trainings = [
        f'train {name} --work-dir {work}/{name}/seed_{seed}/train --resume '
        f'--cfg-options randomness.seed={seed} train_cfg.val_interval=5'
        for seed in (3, 1)
        for name in ('whole', 'small')
    ]
    assert [line for line in found if line.startswith('train')] == trainings
    assert found[0] == trainings[0]
    assert found[1].startswith('test whole whole --work-dir')
    assert found[2].startswith('test tuned whole --work-dir')
    assert [line.split(' (')[0] for line in said[:3]] == [
        'whole, seed 3: train done',
        'whole, seed 3: test done',
        'tuned, seed 3: test done',
    ]


def test_shards_share_the_trainings(runs, paths, calls):
    """Each with the tests that need it; all of them leave nothing to do."""
    rows = read_rows(paths)
    done = []
    for number in (1, 2, 3):
        assert runs.complete(rows, [3, 1], [Slot()], Shard(number, 3)) == []
        done.append([' '.join(line.split()[:3:2]) for line in calls()])
    assert [len(each) for each in done] == [5, 2, 3]
    assert runs.complete(rows, [3, 1], [Slot()]) == []
    assert calls() == []


def test_what_is_done_is_not_done_again(runs, paths, calls):
    rows = read_rows(paths)
    runs.complete(rows, [0], [Slot()])
    calls()
    assert runs.complete(rows, [0], [Slot(), Slot()]) == []
    assert calls() == []
    runs.complete(rows, [0, 1], [Slot()])
    names = [' '.join(line.split()[:2]) for line in calls()]
    assert names == [
        *('train whole', 'test whole', 'test tuned'),
        *('train small', 'test small'),
    ]


def test_unfinished_training_goes_on(
    runs, tools, write_config, calls, tmp_path
):
    """Also where the last checkpoint is there in part."""
    rows = read_rows([write_config('whole')])
    whole = (tools / 'train.py').read_text()
    (tools / 'train.py').write_text(
        whole.replace("(work_dir / 'last_checkpoint')", 'sys.exit("cut")')
    )
    (failure,) = runs.complete(rows, [0], [Slot()])
    assert failure.endswith('cut')
    assert (tmp_path / 'runs/whole/seed_0/train/iter_4.pth').is_file()
    assert [line.split()[0] for line in calls()] == ['train']
    (tools / 'train.py').write_text(whole)
    assert runs.complete(rows, [0], [Slot()]) == []

    train, test = calls()
    assert train.startswith('train whole')
    assert '--resume' in train
    assert test.startswith('test whole')


def test_lost_weights_are_trained_again(runs, paths, calls, tmp_path):
    rows = read_rows(paths[:1])
    runs.complete(rows, [0], [Slot()])
    calls()
    (tmp_path / 'runs/whole/seed_0/train/iter_4.pth').unlink()
    runs.complete(rows, [0], [Slot()])

    (line,) = calls()
    assert line.startswith('train whole')


def test_weights_of_unknown_origin_are_refused(runs, paths, calls, tmp_path):
    train = tmp_path / 'runs/whole/seed_0/train'
    train.mkdir(parents=True)
    (train / 'iter_2.pth').touch()

    with pytest.raises(ValueError, match='or of unknown ones; move it away'):
        runs.complete(read_rows(paths), [0], [Slot()])
    assert calls() == []


def test_unfinished_test_is_done_again(runs, tools, paths, calls):
    rows = read_rows(paths[:1])
    whole = (tools / 'test.py').read_text()
    (tools / 'test.py').write_text(f'{whole}\nsys.exit(1)')
    runs.complete(rows, [0], [Slot()])
    assert runs.result(rows[0], 0) is None
    (tools / 'test.py').write_text(whole)
    calls()
    runs.complete(rows, [0], [Slot()])

    (line,) = calls()
    assert line.startswith('test whole')
    assert runs.result(rows[0], 0).metrics['semantic/mIoU_unseen'] == 10


def test_other_test_settings_test_again(runs, paths, calls, write_config):
    runs.complete(read_rows(paths), [0], [Slot()])
    calls()
    write_config('tuned', "weights = 'whole'\n", score=0.3)
    rows = read_rows(paths)
    assert runs.result(rows[1], 0) is None
    assert runs.result(rows[0], 0).metrics['semantic/mIoU_unseen'] == 10
    runs.complete(rows, [0], [Slot()])

    (line,) = calls()
    assert line.startswith('test tuned whole --work-dir')
    assert runs.result(rows[1], 0).metrics['semantic/mIoU_unseen'] == 10


def test_other_training_settings_are_refused(runs, paths, write_config):
    runs.complete(read_rows(paths), [0], [Slot()])
    write_config('small', width=5)

    with pytest.raises(ValueError, match='small/seed_0/train holds a traini'):
        runs.complete(read_rows(paths), [0], [Slot()])


def test_one_failure_leaves_the_others(runs, paths, write_config, tmp_path):
    rows = read_rows([write_config('broken'), *paths])
    (failure,) = runs.complete(rows, [0], [Slot(), Slot()])

    assert failure.startswith(
        'broken, seed 0: train ended with exit status 1, see '
        f'{tmp_path}/runs/broken/seed_0/train.log:\n  no such data set'
    )
    assert runs.result(rows[0], 0) is None
    assert all(runs.result(row, 0) for row in rows[1:])


def test_options_reach_the_scripts(tmp_path, tools, paths, calls):
    options = {'model.test_cfg.modes': ['query', 'clip'], 'model.width': 16}
    runs = Runs(tmp_path / 'runs', tools, options, say=str)
    runs.complete(read_rows(paths[:1], options), [0], [Slot()])

    train, test = calls()
    text = 'model.test_cfg.modes=[query,clip] model.width=16'
    assert train.endswith(f'val_interval=5 {text}')
    assert test.endswith(f'result.json --cfg-options {text}')


def test_student_follows_its_teacher(
    runs, paths, write_config, calls, tmp_path
):
    student = write_config('student', "pseudo_labels_of = 'whole'\n")
    rows = read_rows([student, paths[2], paths[1]])
    assert runs.complete(rows, [2], [Slot()]) == []

    found = calls()
    folder = tmp_path / 'runs/student/seed_2/pseudo_labels'
    weights = tmp_path / 'runs/whole/seed_2/train/iter_4.pth'
    assert [' '.join(line.split()[:2]) for line in found] == [
        *('train whole', 'test tuned'),
        *('label whole', 'train student', 'test student'),
        *('train small', 'test small'),
    ]
    assert found[2] == f'label whole {weights} --out {folder}'
    assert found[3].endswith(
        f'train_dataloader.dataset.pseudo_labels={folder}'
    )
    # a folder of the run is no other setting
    assert runs.complete(rows, [2], [Slot()]) == []
    assert calls() == []
