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


@pytest.mark.parametrize(
    ('options', 'message'),
    [
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
