import pytest
from PIL import Image


def test_pictures_are_written(run_tool, config_file, tmp_path, capsys):
    out = tmp_path / 'out'
    run_tool(
        'browse_dataset.py',
        config_file,
        *('--num', 2, '--task', 'panoptic', '--out', out, '--show-seed'),
    )
    assert sorted(path.name for path in out.iterdir()) == [
        '000000_000001.png',
        '000004_000005.png',
    ]
    with Image.open(out / '000000_000001.png') as picture:
        assert picture.width >= 2 * 384  # image and one task, enlarged
    printed = capsys.readouterr()
    assert str(out) in printed.out
    assert 'drawing: 100%' in printed.err


def test_test_split_is_drawn_from_its_files(run_tool, config_file, tmp_path):
    out = tmp_path / 'out'
    run_tool(
        'browse_dataset.py',
        config_file,
        *('--split', 'val', '--num', 1, '--out', out),
    )
    assert len(list(out.iterdir())) == 1


def test_mistakes_end_in_a_sentence(run_tool, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_tool('browse_dataset.py', tmp_path / 'gone.py')
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('browse_dataset: ')
    assert 'gone.py' in line
