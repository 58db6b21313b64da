import json

import pytest

from freeseg_mm.recipes.self_training import Labelling, PseudoLabelSettings
from freeseg_mm.utils.run_config import read_config

ANY = [
    *('--score-thr', 0, '--min-area', 0, '--min-unlabelled', 0),
    *('--overlap-thr', 0, '--num-workers', 0, '--num-pictures', 0),
]


def test_makes_labels_once(run, config_file, tiny_weights, tmp_path):
    arguments = [
        *('pseudo-labels', 'make', config_file, tiny_weights[1]),
        *('--out', tmp_path / 'out', '--limit', 2, '--device', 'cpu', *ANY),
    ]
    for word in ('made: ', 'there already: '):
        status, out, told = run(*arguments)
        assert status == 0, told
        assert out.startswith('2 images')
        assert out.splitlines()[-1].startswith(word)
    content = json.loads((tmp_path / 'out/pseudo_labels.json').read_text())
    assert len(content['images']) == 2
    assert content['info']['settings'] == {
        'score_thr': 0,
        'min_area': 0,
        'min_unlabelled': 0,
        'overlap_thr': 0,
        'prior': True,
    }


def test_shares_by_number_and_by_launcher(
    run, config_file, tiny_weights, tmp_path, monkeypatch
):
    arguments = [
        *('pseudo-labels', 'make', config_file, tiny_weights[1]),
        *('--out', tmp_path / 'out', '--limit', 4, '--device', 'cpu', *ANY),
    ]
    status, out, _ = run(*arguments, '--shard', '1/2')
    assert status == 0
    assert out.startswith('predicted shard 1/2; the command without it joins')
    for names in (
        ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
        ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    ):
        launcher = 'slurm' if names[0].startswith('SLURM') else 'pytorch'
        status, _, told = run(*arguments, '--launcher', launcher)
        assert status == 1
        assert f'--launcher {launcher}: the environment has no' in told
        for name, value in zip(names, ('1', '2', '0'), strict=True):
            monkeypatch.setenv(name, value)
        _, out, _ = run(*arguments, '--launcher', launcher)
        assert out.startswith('predicted shard 2/2')
    assert not (tmp_path / 'out/pseudo_labels.json').exists()
    status, out, told = run(*arguments)
    assert status == 0
    assert out.startswith('4 images')
    assert '4/4' in told  # nothing was left to predict


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--shard', '3/2'], 'shard 3/2: expected a number from 1 to 2'),
        ([], 'no checkpoint'),
        (['--score-thr', 2], 'score_thr: expected a probability'),
        (['--cfg-options', 'modle.x=1'], "'modle' is no setting of a run"),
    ],
)
def test_mistakes_end_in_a_sentence(
    run, config_file, tmp_path, options, message
):
    status, _, told = run(
        *('pseudo-labels', 'make', config_file, tmp_path / 'gone.pth'),
        *('--out', tmp_path / 'out', *options),
    )
    assert status == 1
    (line,) = told.splitlines()
    assert line.startswith('freeseg-mm pseudo-labels make: ')
    assert message in line


def test_prints_a_line_for_each_threshold(
    run, config_file, tiny_weights, tmp_path
):
    Labelling(
        read_config(config_file),
        tiny_weights[1],
        tmp_path / 'out',
        PseudoLabelSettings(score_thr=0.0, min_area=0),
        limit=2,
        num_pictures=0,
        num_workers=0,
        device='cpu',
    ).run()
    status, out, _ = run(
        *('pseudo-labels', 'score', config_file, tmp_path / 'out'),
        *('--score-thr', 0, 0.5),
    )
    assert status == 0
    lines = out.splitlines()
    assert 'true segments of unseen classes' in lines[0]
    assert [line.split()[0] for line in lines[2:]] == ['0.00', '0.50']


def test_missing_labels_end_in_a_sentence(run, config_file, tmp_path):
    status, _, told = run(
        'pseudo-labels', 'score', config_file, tmp_path / 'gone'
    )
    assert status == 1
    (line,) = told.splitlines()
    assert line.startswith(
        'freeseg-mm pseudo-labels score: no pseudo labels in'
    )
