import json

import pytest
from inference_fixtures import *  # noqa: F403

ANY = [
    *('--score-thr', 0, '--min-area', 0, '--min-unlabelled', 0),
    *('--overlap-thr', 0, '--workers', 0, '--pictures', 0),
]


def test_makes_labels_once(
    run_tool, config_file, tiny_weights, tmp_path, capsys
):
    arguments = [
        *('make_pseudo_labels.py', config_file, tiny_weights[1]),
        *('--out', tmp_path / 'out', '--limit', 2, '--device', 'cpu', *ANY),
    ]
    for word in ('made: ', 'there already: '):
        with pytest.raises(SystemExit) as exit_:
            run_tool(*arguments)
        printed = capsys.readouterr()
        assert exit_.value.code == 0, printed.err
        assert printed.out.startswith('2 images')
        assert printed.out.splitlines()[-1].startswith(word)
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
    run_tool, config_file, tmp_path, capsys, options, message
):
    with pytest.raises(SystemExit) as exit_:
        run_tool(
            'make_pseudo_labels.py',
            *(config_file, tmp_path / 'gone.pth'),
            *('--out', tmp_path / 'out', *options),
        )
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('make_pseudo_labels: ')
    assert message in line
