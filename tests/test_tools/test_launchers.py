"""The shell scripts that start runs of several processes."""

import json
import shutil
import subprocess

import pytest
import torch
from warm_processes import run_warm

VALIDATION = ['cfg', 'dataloader', 'evaluator']
SCRIPTS = [
    *('launch.sh', 'dist_train.sh', 'dist_test.sh'),
    *('slurm_train.sh', 'slurm_test.sh'),
]


@pytest.mark.parametrize('name', SCRIPTS)
def test_syntax(repo, name):
    script = repo / 'tools' / name
    subprocess.run(['bash', '-n', script], check=True)
    assert script.stat().st_mode & 0o111, f'{script} is not executable'


def test_shellcheck_has_no_complaint(repo):
    if shutil.which('shellcheck') is None:
        pytest.skip('no shellcheck on this machine')
    scripts = [repo / 'tools' / name for name in SCRIPTS]
    done = subprocess.run(
        ['shellcheck', *scripts], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ('name', 'arguments', 'usage'),
    [
        ('dist_train.sh', ['coco.py'], 'dist_train.sh CONFIG N [options]'),
        (
            'dist_test.sh',
            ['coco.py', 'iter_9.pth'],
            'dist_test.sh CONFIG CHECKPOINT N [options]',
        ),
        (
            'slurm_train.sh',
            ['gpu', 'coco', 'coco.py'],
            'slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options]',
        ),
        (
            'slurm_test.sh',
            ['gpu', 'coco', 'coco.py'],
            'slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options]',
        ),
        (
            'launch.sh',
            ['slurm', 'pseudo-labels', 'gpu', 'coco', 'coco.py', 'iter_9.pth'],
            'launch.sh slurm pseudo-labels PARTITION JOB_NAME CONFIG '
            'CHECKPOINT OUT [options]',
        ),
        (
            'launch.sh',
            ['dist', 'tests'],
            'launch.sh dist test CONFIG CHECKPOINT N [options',
        ),
        ('launch.sh', [], 'launch.sh dist train CONFIG N [options'),
    ],
)
def test_too_few_arguments_show_the_usage(run_process, name, arguments, usage):
    done = run_process(name, *arguments)
    assert done.returncode == 2
    assert done.stdout.startswith('usage: ')
    assert usage in done.stdout


def fake(folder, name):
    """A command that writes its arguments, one a line."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def python(tmp_path):
    return fake(tmp_path / 'bin', 'my_python')


def test_dist_train_starts_one_process_a_device(run_process, repo, python):
    done = run_process(
        'dist_train.sh',
        'my config.py',
        4,
        '--amp',
        '--work-dir',
        'my dir',
        PYTHON=str(python),
        PORT='1234',
        CHECKPOINT='of.another.pth',
    )
    assert done.stdout.splitlines() == [
        '-m',
        'torch.distributed.run',
        '--nnodes=1',
        '--node_rank=0',
        '--master_addr=127.0.0.1',
        '--master_port=1234',
        '--nproc_per_node=4',
        str(repo / 'tools/train.py'),
        'my config.py',
        '--amp',
        '--work-dir',
        'my dir',
        '--launcher',
        'pytorch',
    ]


def test_dist_train_on_several_machines(run_process, python):
    done = run_process(
        'dist_train.sh',
        'coco.py',
        8,
        PYTHON=str(python),
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='10.0.0.1',
        PORT='29501',
    )
    assert {
        '--nnodes=2',
        '--node_rank=1',
        '--master_addr=10.0.0.1',
        '--master_port=29501',
        '--nproc_per_node=8',
    } <= set(done.stdout.splitlines())


def test_dist_test_passes_the_checkpoint(run_process, repo, python):
    done = run_process(
        'dist_test.sh',
        'coco.py',
        'iter_9.pth',
        2,
        '--out',
        'a.json',
        PYTHON=str(python),
    )
    assert done.stdout.splitlines()[6:] == [
        '--nproc_per_node=2',
        str(repo / 'tools/test.py'),
        'coco.py',
        'iter_9.pth',
        '--out',
        'a.json',
        '--launcher',
        'pytorch',
    ]


def test_slurm_train_asks_for_gpus_and_starts_train(
    run_process, repo, tmp_path
):
    srun = fake(tmp_path / 'bin', 'srun')
    done = run_process(
        'slurm_train.sh',
        'gpu',
        'my job',
        'my config.py',
        'my dir',
        '--amp',
        path=srun.parent,
        PYTHON='python3.11',
        GPUS='16',
        SRUN_ARGS='--time=1:00 --exclusive',
    )
    script = done.stdout.splitlines()[12]
    assert (tmp_path / script).resolve() == repo / 'tools/train.py'
    assert done.stdout.splitlines() == [
        '-p',
        'gpu',
        '--job-name=my job',
        '--gres=gpu:8',
        '--ntasks=16',
        '--ntasks-per-node=8',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        '--time=1:00',
        '--exclusive',
        'python3.11',
        '-u',
        script,
        'my config.py',
        '--work-dir=my dir',
        '--launcher=slurm',
        '--amp',
    ]


def test_slurm_test_starts_test(run_process, repo, tmp_path):
    srun = fake(tmp_path / 'bin', 'srun')
    done = run_process(
        *('slurm_test.sh', 'gpu', 'job', 'my config.py', 'iter_9.pth'),
        *('--out', 'a.json'),
        path=srun.parent,
    )
    words = done.stdout.splitlines()[8:]
    assert (tmp_path / words[2]).resolve() == repo / 'tools/test.py'
    assert words[3:] == [
        *('my config.py', 'iter_9.pth', '--launcher=slurm'),
        *('--out', 'a.json'),
    ]


def test_slurm_pseudo_labels_are_made_and_joined(run_process, tmp_path):
    srun = fake(tmp_path / 'bin', 'srun')
    python = fake(tmp_path / 'bin', 'my_python')
    done = run_process(
        *('launch.sh', 'slurm', 'pseudo-labels'),
        *('gpu', 'job', 'my config.py'),
        *('iter_9.pth', 'my labels', '--score-thr', '0.5'),
        path=srun.parent,
        PYTHON=str(python),
    )
    command = [
        *(str(python), '-u', '-m', 'freeseg_mm', 'pseudo-labels', 'make'),
        *('my config.py', 'iter_9.pth', '--out', 'my labels'),
    ]
    options = ['--score-thr', '0.5']
    # what a stand-in for Python prints begins after its own name
    assert done.stdout.splitlines()[8:] == [
        *(*command, '--launcher=slurm', *options),
        *(*command[1:], *options),
    ]


@pytest.fixture
def two_classes(tiny_run_config, shapes_world, tmp_path):
    """The tiny run's config file, with figures and grounds for classes.

    All images show both, so whatever an untrained model finds is partly
    right, and results are not all zero.
    """
    world = shutil.copytree(shapes_world, tmp_path / 'world')
    categories = [
        {'id': number, 'name': name, 'isthing': number}
        for number, name in enumerate(['ground', 'figure'])
    ]
    for path in (world / 'annotations').glob('*.json'):
        content = json.loads(path.read_text())
        things = {
            category['id']
            for category in content['categories']
            if category.get('isthing', 1)
        }
        is_panoptic = path.name.startswith('panoptic')
        content['categories'] = categories[0 if is_panoptic else 1 :]
        for annotation in content['annotations']:
            for part in annotation.get('segments_info', [annotation]):
                part['category_id'] = int(part['category_id'] in things)
        path.write_text(json.dumps(content))
    (world / 'vocabulary.json').write_text(
        json.dumps({'classes': ['ground', 'figure'], 'things': ['figure']})
    )
    config = tiny_run_config
    for name in ('train', 'val', 'test'):
        dataset = config[f'{name}_dataloader'].dataset
        dataset.data_root = str(world)
        # these hold the positions of the original classes
        dataset.data_prefix.pop('sem', None)
    for metric in config.test_evaluator:
        if 'ann_file' in metric:
            metric.ann_file = str(world / 'annotations/instances_val.json')
    path = tmp_path / 'two_classes.py'
    config.dump(path)
    return path


@pytest.mark.slow
def test_two_cpu_processes_train_and_test(
    two_classes, repo, run_process, run_tool, tmp_path
):
    no_validation = [f'val_{part}=None' for part in VALIDATION]
    done = run_process(
        'dist_train.sh', two_classes, 2, '--cfg-options', *no_validation
    )
    assert done.returncode == 0, done.stdout[-3000:]
    checkpoint = tmp_path / 'work_dir' / 'iter_2.pth'
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    assert not [key for key in weights if key.startswith('module.')]

    # Three images: one process gets two, the other one and a repetition.
    arguments = [
        '--cfg-options',
        'test_dataloader.dataset.indices=3',
        'test_dataloader.batch_size=1',
    ]
    out = {number: tmp_path / f'{number}.json' for number in (1, 2)}
    done = run_warm(
        [
            *(repo / 'tools/test.py', two_classes, checkpoint, '--out'),
            *(out[2], *arguments, '--launcher', 'pytorch'),
        ],
        cwd=tmp_path,
        processes=2,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run_tool('test.py', two_classes, checkpoint, '--out', out[1], *arguments)
    one, two = (json.loads(out[number].read_text()) for number in (1, 2))
    assert two == one
    table = one['per_class']['semantic'].values()
    assert max(row['IoU'] or 0 for row in table) > 0
