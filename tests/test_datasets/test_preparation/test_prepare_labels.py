"""The command lines of freeseg-mm prepare ade20k and prepare voc."""

import pytest
from PIL import Image

from freeseg_mm.cli import main


@pytest.fixture
def run(tmp_path, capsys):
    """Run a command on a small download: exit code, output, errors."""

    def _run(name, root, *options):
        target = str(tmp_path / 'prepared')
        code = main(['prepare', name, str(root), target, *options])
        captured = capsys.readouterr()
        # the bar is rewritten in place
        errors = [
            line
            for line in captured.err.replace('\r', '\n').splitlines()
            if line.startswith(f'freeseg-mm prepare {name}: ')
        ]
        return code, captured.out, errors

    return _run


def test_ade20k(run, ade_tree):
    options = ['--subset', '--workers', '2']
    code, out, errors = run('ade20k', ade_tree.root, *options)
    assert (code, errors) == (0, [])
    assert 'training: 12 of 12 images to prepare, about 0.000 GB' in out
    assert 'validation: 3 images, 12 segments' in out
    assert out.count('serves for: semantic (no ') == 2
    assert 'nothing to do' not in out
    code, out, _ = run('ade20k', ade_tree.root, *options)
    assert code == 0
    assert out.count('nothing to do: all annotations were there already') == 2


def test_voc(run, voc_tree):
    code, out, errors = run('voc', voc_tree.root, '--subset')
    assert (code, errors) == (0, [])
    assert 'train: 8 images, 24 segments' in out
    assert out.count('serves for: semantic (the masks') == 2
    code, out, _ = run('voc', voc_tree.root, '--subset')
    assert out.count('nothing to do: all annotations were there already') == 2


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('ade', 'images/training has 12 images, officially 20,210'),
        ('voc', 'trainaug.txt has 8 images, officially 10,582'),
    ],
)
def test_says_what_to_pass_for_a_part(run, request, name, message):
    tree = request.getfixturevalue(f'{name}_tree')
    tool = {'ade': 'ade20k', 'voc': 'voc'}[name]
    code, _, errors = run(tool, tree.root)
    assert code == 1
    assert len(errors) == 1
    assert message in errors[0]
    assert errors[0].endswith('pass --subset')


@pytest.mark.parametrize(
    ('split', 'message'),
    [
        ('validation', 'images/validation has 3 images, officially 2,000'),
    ],
)
def test_other_split_of_ade20k_is_counted(run, ade_tree, split, message):
    _, _, errors = run('ade20k', ade_tree.root, '--splits', split)
    assert message in errors[0]


def test_other_split_of_voc_is_counted(run, voc_tree):
    _, _, errors = run('voc', voc_tree.root, '--splits', 'val')
    assert 'val.txt has 3 images, officially 1,449' in errors[0]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resize(path):
    with Image.open(path) as image:
        image.resize((5, 5)).save(path)


def unknown_label(path):
    with Image.open(path) as image:
        size = image.size
    Image.new('L', size, 151).save(path)


def colours(path):
    Image.new('RGB', (6, 4)).save(path)


def remove(path):
    path.unlink()


IMAGE_DAMAGES = [
    (remove, 'missing file'),
    (cut, 'cannot decode image'),
    (resize, 'size (H, W) is (5, 5) but its annotation says (4, '),
]
LABEL_DAMAGES = [
    (remove, 'missing file'),
    (cut, 'cannot decode label map'),
    (colours, 'expected image mode L or P, got RGB'),
    (unknown_label, 'has label 151; expected 0 ('),
]


@pytest.mark.parametrize('workers', ['1', '2'])
@pytest.mark.parametrize(
    ('kind', 'damage', 'message'),
    [
        *(('image', *case) for case in IMAGE_DAMAGES),
        *(('label', *case) for case in LABEL_DAMAGES),
    ],
)
@pytest.mark.parametrize('name', ['ade', 'voc'])
def test_damage_is_one_sentence_with_the_file(
    run, request, name, kind, damage, message, workers
):
    tree = request.getfixturevalue(f'{name}_tree')
    if name == 'ade':
        tool = 'ade20k'
        files = {
            'image': tree.image('validation', 2),
            'label': tree.semantic('validation', 2),
        }
    else:
        tool = 'voc'
        files = {'image': tree.image(9), 'label': tree.mask(9)}
    damage(files[kind])
    code, _, errors = run(tool, tree.root, '--subset', '--workers', workers)
    assert code == 1
    assert len(errors) == 1
    assert str(files[kind]) in errors[0]
    assert message in errors[0]
    assert 'Traceback' not in errors[0]


def test_label_of_another_size_names_the_image(run, ade_tree):
    resize(ade_tree.semantic('validation', 2))
    _, _, errors = run('ade20k', ade_tree.root, '--subset')
    assert str(ade_tree.image('validation', 2)) in errors[0]
    assert 'size (H, W) is (4, 6) but its annotation says (5, 5)' in errors[0]


def test_missing_folder(run, tmp_path):
    code, _, errors = run('ade20k', tmp_path, '--subset')
    assert code == 1
    assert f'missing folder {tmp_path}/images/training' in errors[0]
