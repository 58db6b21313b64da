"""The demo from nothing to pictures, with tiny numbers."""

import json
import math
import shlex

import pytest
from PIL import Image
from warm_processes import run_warm

pytestmark = pytest.mark.slow

STEPS = 7
WORDS = 'ring, something blue'


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp('demo')
    return {
        '--work-dir': root / 'work',
        '--data': root / 'data',
        '--clip': root / 'clip',
    }


@pytest.fixture(scope='module')
def run_demo(folders, tmp_path_factory):
    """Run the demo, from a folder that is not the checkout."""
    elsewhere = tmp_path_factory.mktemp('elsewhere')

    def demo(*options):
        words = ['-m', 'freeseg_mm', 'demo', '--quick']
        words += ['--words', WORDS, *options]
        for option in folders.items():
            words += option
        return run_warm(words, cwd=elsewhere)

    return demo


@pytest.fixture(scope='module')
def first(run_demo):
    result = run_demo()
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope='module')
def work_dir(first, folders):
    return folders['--work-dir']


def test_every_step_says_how_long_it_took(first):
    lines = first.stdout.splitlines()
    titles = [line for line in lines if line.startswith('[')]
    assert [line[:5] for line in titles] == [
        f'[{i + 1}/{STEPS}]' for i in range(STEPS)
    ]
    assert sum('done in' in line for line in lines) == STEPS
    assert 'The demo took' in lines[-1]


def test_training_shows_its_progress(first):
    assert '3/3' in first.stderr
    assert 'loss=' in first.stderr


def test_libraries_do_not_talk(first):
    assert 'creating index' not in first.stdout
    assert 'mmengine' not in first.stdout


def test_metrics_of_the_three_ways_to_score(work_dir):
    metrics = json.loads((work_dir / 'metrics.json').read_text())
    assert list(metrics) == ['query', 'clip', 'ensemble']
    parts = ('_seen', '_unseen', '')
    expected = {
        'semantic/mIoU_seen',
        'semantic/mIoU_unseen',
        'semantic/hIoU',
        'semantic/mIoU',
        'instance/mAP_seen',
        'instance/mAP_unseen',
        'instance/mAP',
        'instance/AP50',
        'instance/AP75',
        *(f'panoptic/{q}{p}' for q in ('PQ', 'SQ', 'RQ') for p in parts),
    }
    for scores in metrics.values():
        assert set(scores) == expected
        for value in scores.values():
            assert value is None or 0 <= value <= 100
    # truth has both sets, so neither mean is over nothing
    assert metrics['query']['semantic/mIoU_unseen'] is not None
    assert not any(
        math.isnan(value)
        for value in metrics['clip'].values()
        if value is not None
    )


def test_table_shows_the_metrics(first, work_dir):
    metrics = json.loads((work_dir / 'metrics.json').read_text())
    (row,) = [
        line
        for line in first.stdout.splitlines()
        if line.startswith('CLIP scores only') and line[-1].isdigit()
    ]
    values = [
        metrics['clip'][f'{key}_{part}']
        for key in ('semantic/mIoU', 'instance/mAP', 'panoptic/PQ')
        for part in ('seen', 'unseen')
    ]
    assert row.split()[3:] == [f'{value:.1f}' for value in values]


def test_pictures_are_there_and_large_enough_to_read(work_dir):
    pictures = sorted((work_dir / 'pictures').iterdir())
    assert len(pictures) >= 8
    for path in pictures:
        with Image.open(path) as picture:
            picture.load()
            # five images of 384 side by side, three below each other
            assert picture.width > 5 * 384
            assert picture.height > 3 * 384


def test_figure_is_small_enough_for_a_web_page(work_dir):
    path = work_dir / 'figure.png'
    assert path.stat().st_size < 300_000
    with Image.open(path) as figure:
        assert figure.width > 4 * 256


def test_curve_and_words_are_drawn(first, work_dir):
    for name in ('curve.png', 'words.png'):
        assert f'{work_dir / name}' in first.stdout
        with Image.open(work_dir / name) as picture:
            assert picture.width > 600
            assert len(picture.convert('RGB').getcolors(1 << 24)) > 20


def test_words_are_refused_before_the_training(run_demo, folders):
    result = run_demo('--words', 'ring, ring')
    assert result.returncode == 1
    assert 'ring' in result.stderr.splitlines()[-1]
    assert '[1/' not in result.stdout


def test_second_run_finds_everything(run_demo, first, work_dir):
    before = {
        path: path.stat().st_mtime_ns for path in work_dir.rglob('*.p[nt]*')
    }
    assert len(before) > 10
    again = run_demo()
    assert again.returncode == 0, again.stderr
    assert again.stdout.count('there already') == STEPS
    table = 'On test scenes'
    assert table in again.stdout
    assert (
        again.stdout.partition(table)[2].splitlines()[:10]
        == first.stdout.partition(table)[2].splitlines()[:10]
    )
    for path, time in before.items():
        assert path.stat().st_mtime_ns == time


def test_last_lines_say_how_to_ask_for_own_words(first, tmp_path):
    (line,) = (
        line
        for line in first.stdout.splitlines()
        if line.startswith('freeseg-mm predict ')
    )
    words = shlex.split(line)[1:]
    assert 'your, words' in words
    result = run_warm(
        ['-m', 'freeseg_mm', *words, '--out', 'out'], cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'out/pictures/000007.png').is_file()


def test_other_words_are_asked_alone(run_demo, first, work_dir):
    before = (work_dir / 'words.png').read_bytes()
    again = run_demo('--words', 'water')
    assert again.stdout.count('there already') == STEPS - 1
    assert (work_dir / 'words.png').read_bytes() != before


def test_error_is_one_line(run_demo, first):
    result = run_demo('--seed', '1')
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith('freeseg-mm demo: ')
    assert 'give --overwrite to replace it' in result.stderr
    assert 'Traceback' not in result.stderr
