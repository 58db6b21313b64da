import json
import os

import pytest
from PIL import Image
from warm_processes import run_warm

from freeseg_mm.apis.writer import ResultWriter
from freeseg_mm.cli import main


@pytest.fixture
def predict(tiny_weights, capsys):
    """Run the command on the tiny model; status, output, errors."""

    def run(*arguments, model=True):
        config, weights = map(str, tiny_weights)
        given = ['--config', config, '--checkpoint', weights] if model else []
        status = main(
            ['predict', *map(str, arguments), '--device', 'cpu', *given]
        )
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['predict', '--help'])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "freeseg-mm predict photo.jpg --classes 'cat, dog, grass'" in text
    assert 'exit status' in text


def test_says_what_was_found(predict, photo):
    status, out, _ = predict(
        photo, '--classes', 'dragon, house, cat|kitten', '--tasks', 'panoptic'
    )
    assert status == 0
    assert out.startswith(f'{photo}: ')
    assert 'dragon 0.' in out
    status, out, _ = predict(photo, '--classes', 'a', '--tasks', 'semantic')
    assert (status, out) == (0, f'{photo}: a 100 %\n')
    status, out, _ = predict(
        photo, '--classes', 'a', '--tasks', 'instance', '--score-thr', '1'
    )
    assert (status, out) == (0, f'{photo}: nothing found\n')


def test_writes_files(predict, photo, tmp_path):
    out = tmp_path / 'out'
    status, text, errors = predict(
        photo,
        *('--classes', 'dragon, house', '--things', 'dragon'),
        *('--out', out, '--format', 'png', 'json', 'coco'),
    )
    assert status == 0
    assert f'wrote {out}/panoptic.json' in errors
    assert f'{out}/pictures/photo.png' in text
    with Image.open(out / 'pictures/photo.png') as picture:
        assert picture.width > 4 * 64
    content = json.loads((out / 'json/photo.json').read_text())
    assert content['classes'] == [
        {'id': 1, 'name': 'dragon', 'isthing': 1},
        {'id': 2, 'name': 'house', 'isthing': 0},
    ]


def test_json_lines(predict, photo, tmp_path):
    broken = tmp_path / 'broken.png'
    broken.write_text('no image')
    status, out, errors = predict(
        photo, broken, photo, '--classes', 'dragon', '--json'
    )
    assert status == 1
    first, second, third = map(json.loads, out.splitlines())
    assert first['source'] == str(photo)
    assert first['files'] == []
    assert {'semantic', 'instances', 'panoptic'} <= set(first)
    assert second == {'source': str(broken), 'error': second['error']}
    assert 'broken.png: not an image' in second['error']
    assert third == first
    assert second['error'] in errors
    assert 'freeseg-mm predict: 1 of 3 images failed' in errors


def test_tiles(predict, photo, tmp_path):
    arguments = (photo, '--classes', 'dragon, house', '--json')
    _, whole, _ = predict(*arguments)
    status, out, _ = predict(
        *(*arguments, '--tile', '32', '--overlap', '0.25'),
        *('--out', tmp_path / 'out', '--format', 'coco', 'png'),
    )
    assert status == 0
    found = json.loads(out)
    assert found['notes'] == ['predicted in 6 tiles']
    assert (found['width'], found['height']) == (64, 48)
    assert json.loads(whole)['notes'] == []
    with Image.open(tmp_path / 'out/panoptic/photo.png') as picture:
        assert picture.size == (64, 48)


def test_thresholds_by_class(predict, photo):
    def found(*options):
        status, out, _ = predict(
            *(photo, '--classes', 'dragon, red cat', '--json', *options),
            *('--tasks', 'instance', 'semantic'),
        )
        assert status == 0
        content = json.loads(out)
        area = sum(x['area'] for x in content['semantic'])
        return {x['name'] for x in content['instances']}, area

    both = {'dragon', 'red cat'}
    assert found('--score-thr', '0')[0] == both
    assert found('--score-thr', '0, red cat=1')[0] == {'dragon'}
    assert found('--score-thr', 'dragon=0,red cat=1')[0] == {'dragon'}
    assert found()[1] == 48 * 64
    assert found('--pixel-score-thr', '1')[1] < 48 * 64


def test_negatives(predict, photo):
    status, out, _ = predict(
        *(photo, '--classes', 'dragon, cat', '--not', 'house, lawn|turf'),
        *('--json', '--tasks', 'semantic'),
    )
    assert status == 0
    content = json.loads(out)
    assert [x['name'] for x in content['classes']] == ['dragon', 'cat']
    assert sum(x['area'] for x in content['semantic']) < 48 * 64


def test_prompts_are_tuned_on_demand(predict, photo):
    for steps, notes in (([], 1), (['2'], 1), (['0'], 0)):
        status, out, _ = predict(
            *(photo, '--classes', 'dragon, house', '--json'),
            *('--tasks', 'instance', '--prompt-tuning', *steps),
        )
        assert status == 0
        content = json.loads(out)
        assert len(content['notes']) == notes
        assert all(note.startswith('prompt ') for note in content['notes'])


def test_frames_of_a_video(predict, make_video, noise, tmp_path):
    clip = make_video([noise(seed=seed) for seed in range(4)])
    out = tmp_path / 'out'
    status, text, errors = predict(
        *(
            clip,
            '--classes',
            'a',
            '--tasks',
            'semantic',
            '--frame-stride',
            '3',
        ),
        *('--out', out, '--format', 'coco', 'json'),
    )
    assert (status, errors) == (0, '')
    assert [line.split(':')[0] for line in text.splitlines()] == [
        f'{clip} frame 0',
        f'{clip} frame 3',
    ]
    for name in ('clip_000000', 'clip_000003'):
        assert (out / f'semantic/{name}.png').is_file()
        assert (out / f'json/{name}.json').is_file()


def test_standard_output_is_for_answers(photo, tiny_weights):
    done = run_warm(
        [
            *('-m', 'freeseg_mm', 'predict', photo),
            *('--config', tiny_weights[0], '--checkpoint', 'random'),
            *('--classes', 'dragon', '--json', '--device', 'cpu'),
        ]
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)['source'] == str(photo)
    assert len(done.stderr) < 2000  # not a paragraph for each parameter
    assert 'Warning' not in done.stderr


def test_a_vocabulary_and_a_checkpoint_alone(
    predict, photo, tiny_weights, tmp_path
):
    words = tmp_path / 'words.txt'
    words.write_text('dragon\nhouse\n')
    status, out, _ = predict(
        *(photo, '--vocab', words, '--checkpoint', tiny_weights[1], '--json'),
        model=False,
    )
    assert status == 0
    assert [c['name'] for c in json.loads(out)['classes']] == [
        'dragon',
        'house',
    ]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['no.png', '--classes', 'a'], 'no such file or folder: no.png'),
        (['.', '--classes', 'a'], 'no images in the folder .'),
        (['PHOTO', '--classes', 'a, a'], "more than once: ['a']"),
        (['PHOTO', '--classes', 'a,,b'], "the word '' is empty"),
        (['PHOTO', '--classes', 'a', '--things', 'b'], "unknown classes ['b'"),
        (['PHOTO', '--vocab', 'lvis'], "no vocabulary 'lvis'"),
        (['PHOTO', '--classes', 'a', '--score-thr', '3'], 'score_thr: expec'),
        (['PHOTO', '--classes', 'a', '--tile', '9'], 'tile: expected at l'),
        (
            ['PHOTO', '--classes', 'a, b', '--score-thr', 'c=0.3'],
            "score_thr is given for ['c'], which are not among the classes "
            "['a', 'b']",
        ),
        (['PHOTO', '--classes', 'a', '--not', 'b,a'], "negatives ['a'] are"),
        (['PHOTO', '--classes', 'a', '--out', 'PHOTO'], 'is a file; give a f'),
        (['PHOTO', '--classes', 'a'], 'no model is here yet'),
    ],
)
def test_mistakes_are_one_sentence_before_weights(
    photo, tmp_path, monkeypatch, capsys, arguments, message
):
    empty = tmp_path / 'empty'
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setattr('freeseg_mm.utils.files.PACKAGE_FILES', empty)
    named = [str(photo) if word == 'PHOTO' else word for word in arguments]
    assert main(['predict', *named]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('freeseg-mm predict: ')
    assert message in line


@pytest.mark.parametrize(
    'arguments',
    [
        [],
        ['a.png'],
        ['a.png', '--classes', 'a', '--vocab', 'coco'],
        ['a.png', '--classes', 'a', '--tasks', 'boxes'],
        ['a.png', '--classes', 'a', '--format', 'jpg'],
        ['a.png', '--classes', 'a', '--batch-size', '0'],
        ['a.png', '--classes', 'a', '--max-side', '-5'],
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(['predict', *arguments])
    assert stop.value.code == 2
    assert 'usage: freeseg-mm predict' in capsys.readouterr().err


def test_an_answer_that_cannot_be_written_fails(predict, photo, tmp_path):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    photo.rename(folder / 'photo.png')
    status, out, errors = predict(
        folder / 'photo.png', '--classes', 'a', '--out', tmp_path
    )
    assert status == 1
    assert out == ''
    assert 'would take the place of the image' in errors
    assert '1 of 1 images failed' in errors


# --- Many images -------------------------------------------------------------


@pytest.fixture
def folder(noise, tmp_path):
    """Nine images, one of them damaged, in two sizes."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for seed in range(9):
        pixels = noise(height=48 if seed % 2 else 40, seed=seed)
        Image.fromarray(pixels).save(folder / f'{seed}.png')
    (folder / '4.png').write_text('no image')
    return folder


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


CLASSES = ('--classes', 'dragon, house, cat')


@pytest.mark.parametrize(
    'options',
    [
        ('--num-workers', 0),
        ('--batch-size', 3),
        ('--batch-size', 3, '--num-workers', 0),
        ('--tile', 32),
    ],
)
def test_resumed_is_as_in_one_go(
    predict, folder, tmp_path, monkeypatch, options
):
    def command(out, *resume):
        return predict(
            *(folder, *CLASSES, '--out', tmp_path / out, *options),
            *('--format', 'coco', *resume),
        )

    status, text, errors = command('whole')
    assert status == 1
    assert len(text.splitlines()) == 8
    assert f'wrote {tmp_path}/whole/failures.json' in errors
    append = ResultWriter.append
    left = [2, 0, 3]

    def interrupted(writer, written):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        append(writer, written)

    with monkeypatch.context() as patch:
        patch.setattr(ResultWriter, 'append', interrupted)
        while left:
            assert command('killed', '--resume')[0] == 130
            left.pop(0)
        assert not (tmp_path / 'killed/instances.json').exists()
    status, text, errors = command('killed', '--resume')
    assert status == 1
    assert len(text.splitlines()) == 4  # of 9, 5 were noted
    whole = files_of(tmp_path / 'whole')
    assert files_of(tmp_path / 'killed') == whole
    assert {'instances.json', 'panoptic.json', 'failures.json'} <= set(whole)
    # all is done
    assert command('killed', '--resume') == (1, '', '')
    assert files_of(tmp_path / 'killed') == whole


def test_shards_and_their_merge(predict, folder, tmp_path, capsys):
    arguments = (folder, *CLASSES, '--format', 'coco')
    predict(*arguments, '--out', tmp_path / 'whole')
    out = ('--out', tmp_path / 'shards')
    assert predict(*arguments, *out, '--shard', '2/2')[0] == 0
    assert main(['merge', str(tmp_path / 'shards')]) == 1
    assert '1 of 2 shards are not finished, as 1;' in capsys.readouterr().err
    assert predict(*arguments, *out, '--shard', '1/2')[0] == 1
    assert main(['merge', str(tmp_path / 'shards')]) == 1  # an image failed
    assert f'{tmp_path}/shards/panoptic.json' in capsys.readouterr().out
    assert files_of(tmp_path / 'shards') == files_of(tmp_path / 'whole')


def test_more_shards_than_images(predict, photo, tmp_path):
    for number in (1, 2):
        status, out, errors = predict(
            *(photo, *CLASSES, '--format', 'coco', '--out', tmp_path / 'out'),
            *('--shard', f'{number}/2'),
        )
        assert (status, errors) == (0, '')
        assert len(out.splitlines()) == 2 - number
    assert main(['merge', str(tmp_path / 'out')]) == 0
    content = json.loads((tmp_path / 'out/instances.json').read_text())
    assert len(content['images']) == 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--resume'], '--resume needs the folder --out'),
        (['--shard', '1/2'], '--shard needs the folder --out'),
        (['--shard', '3/2', '--out', 'x'], 'shard 3/2: expected a number'),
        (['--shard', '3', '--out', 'x'], "expected a shard as 3/8, got '3'"),
    ],
)
def test_mistakes_of_shards(photo, capsys, options, message):
    assert main(['predict', str(photo), '--classes', 'a', *options]) == 1
    assert message in capsys.readouterr().err


def test_other_options_are_not_gone_on_with(predict, photo, tmp_path):
    command = (photo, '--out', tmp_path / 'out', '--format', 'coco')
    assert predict(*command, '--classes', 'cat')[0] == 0
    for options, what in (
        (['--classes', 'dog'], 'categories, classes'),
        (['--classes', 'cat', '--score-thr', '0.5'], 'options'),
        (['--classes', 'cat', '--max-side', '32'], 'max_side'),
        (['--classes', 'cat', '--batch-size', '2'], 'batch_size'),
        (['--classes', 'cat', '--tile', '32'], 'tile'),
    ):
        status, _, errors = predict(*command, *options, '--resume')
        assert status == 1
        assert f'is of other {what}' in errors


def test_a_list_names_files_that_fail_by_themselves(predict, photo, tmp_path):
    """What it names is looked for in its place, and spelled out no more."""
    folder = tmp_path / 'folder'
    folder.mkdir()
    for name in ('a.png', 'b.png'):
        (folder / name).write_bytes(photo.read_bytes())
    listed = tmp_path / 'list.txt'
    gone = tmp_path / ('x' * 300)
    entries = [folder, tmp_path / 'gone.png', gone, photo, f'{folder}/*.png']
    listed.write_text('\n'.join(map(str, entries)))
    out = tmp_path / 'out'
    options = '--classes', 'cat', '--tasks', 'semantic', '--out', out
    status, text, errors = predict(listed, *options, '--format', 'json')
    assert status == 1
    assert [x.name for x in (out / 'json').iterdir()] == ['photo.json']
    assert f'{folder} is a folder, expected a file' in errors
    assert f'no such file: {tmp_path}/gone.png' in errors
    assert 'a name of ' in errors
    assert f'no such file: {folder}/*.png' in errors
    assert '4 of 5 images failed' in errors


def test_a_name_in_no_encoding_fails_by_itself(predict, photo, tmp_path):
    folder = tmp_path / 'folder'
    folder.mkdir()
    for name in ('good.png', os.fsdecode(b'\xff.png')):
        (folder / name).write_bytes(photo.read_bytes())
    status, text, errors = predict(
        *(folder, '--classes', 'cat', '--tasks', 'semantic'),
        *('--out', tmp_path / 'out', '--format', 'json'),
    )
    assert status == 1
    assert f'{folder}/good.png: cat 100 %' in text
    assert "the name '\\udcff.png' holds U+DCFF" in errors
    assert '1 of 2 images failed' in errors


@pytest.mark.parametrize('sign', ['\x1b]0;owned\x07', '\x9b31m', '\u202e'])
def test_names_command_no_terminal(predict, photo, tmp_path, sign):
    """In a sentence, in a usage error, and of an image that failed."""
    options = '--classes', 'cat', '--tasks', 'semantic'
    bad = tmp_path / f'a{sign}.png'
    bad.write_bytes(photo.read_bytes())
    spelled = sign.encode('unicode_escape').decode()
    for given, expected in (
        ((tmp_path / f'gone{sign}.png',), 1),
        ((bad,), 1),
        ((photo, '--out', tmp_path / f'out{sign}'), 0),
    ):
        status, text, errors = predict(*given, *options)
        assert status == expected
        assert sign not in text + errors
        assert spelled in text + errors
