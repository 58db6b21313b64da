import json

import pytest

from freeseg_mm.cli import main
from freeseg_mm.structures import Vocabulary


@pytest.fixture
def vocab(run):
    return lambda *arguments: run('vocab', *arguments)


def test_list(vocab):
    status, out, _ = vocab('list', '--json')
    assert status == 0
    rows = {row['name']: row for row in json.loads(out)}
    assert rows['voc20'] == {
        'name': 'voc20',
        'short_name': 'voc',
        'classes': 20,
        'things': 20,
        'stuff': 0,
        'seen': 15,
        'unseen': 5,
    }
    _, table, _ = vocab('list')
    assert 'coco_stuff171' in table
    assert 'short name' in table


def test_show(vocab):
    status, out, _ = vocab('show', 'coco', '--json')
    rows = json.loads(out)
    assert status == 0
    assert len(rows) == 171
    (grass,) = (row for row in rows if row['name'] == 'grass')
    assert grass['kind'] == 'stuff'
    _, out, _ = vocab('show', 'voc', '--json', '--templates', 'vild14')
    rows = json.loads(out)
    assert len(rows) == 20 * 14
    assert rows[0] == {
        'label': 0,
        'name': 'aeroplane',
        'sentence': 'a photo of a aeroplane.',
    }
    _, out, _ = vocab('show', 'voc', '--json', '--templates', '{}', 'my {}')
    assert [row['sentence'] for row in json.loads(out)[:2]] == [
        'aeroplane',
        'my aeroplane',
    ]
    _, table, _ = vocab('show', 'voc')
    assert len(table.splitlines()) == 22
    assert 'unseen' in table


def test_check_says_who_marked_a_word(vocab):
    words = 'cat|kitten, dragon, grass'
    status, out, _ = vocab('check', '--classes', words, '--json')
    assert status == 0
    assert json.loads(out) == [
        {
            'label': 0,
            'name': 'cat',
            'kind': 'thing',
            'synonyms': ['kitten'],
            'marked_by': 'coco_stuff171',
        },
        {
            'label': 1,
            'name': 'dragon',
            'kind': 'thing',
            'synonyms': [],
            'marked_by': 'not known',
        },
        {
            'label': 2,
            'name': 'grass',
            'kind': 'stuff',
            'synonyms': [],
            'marked_by': 'coco_stuff171',
        },
    ]
    _, out, _ = vocab('check', '--classes', words, '--things', '', '--json')
    rows = json.loads(out)
    assert {row['kind'] for row in rows} == {'stuff'}
    assert {row['marked_by'] for row in rows} == {'--things'}


def test_check_of_a_file(vocab, tmp_path):
    path = tmp_path / 'mine.json'
    path.write_text('{"classes": ["cat", "grass"], "things": ["grass"]}')
    status, out, _ = vocab('check', '--vocab', path, '--json')
    assert status == 0
    assert [(r['kind'], r['marked_by']) for r in json.loads(out)] == [
        ('stuff', 'mine'),
        ('thing', 'mine'),
    ]
    path.write_text('{"classes": ["cat", "Cat"], "unseen": ["dog"]}')
    status, out, errors = vocab('check', '--vocab', path)
    assert (status, out) == (1, '')
    assert 'mine.json' in errors
    assert 'more than once' in errors
    assert "'unseen' names unknown classes ['dog']" in errors


def test_unseen_classes_of_a_file(vocab, tmp_path):
    path = tmp_path / 'mine.json'
    path.write_text('{"classes": ["cat", "grass"], "unseen": ["grass"]}')
    _, out, _ = vocab('show', path, '--json')
    assert [r['training'] for r in json.loads(out)] == ['seen', 'unseen']


def test_import_of_a_list(vocab, tmp_path):
    listed, out = tmp_path / 'ade.txt', tmp_path / 'new/ade.json'
    listed.write_text('0:invalid_class_id\n1:wall,walls\n2:cat,kitten,walls\n')
    status, printed, errors = vocab('import', listed, '--out', out)
    assert (status, printed) == (0, '')
    assert f"{listed}: 'walls' of 2 stays with 1\n" in errors
    assert '2 classes, 1 of them things, 2 synonyms' in errors
    words = Vocabulary.load(out)
    assert words.name == 'ade'
    assert words.names == ('wall', 'cat')
    assert words.synonyms == (('walls',), ('kitten',))
    assert words.is_thing == (False, True)
    assert all(words.is_seen)
    _, printed, _ = vocab('import', listed, '--things', 'wall')
    assert json.loads(printed)['things'] == ['wall']
    _, printed, _ = vocab('import', listed, '--things', '')
    assert json.loads(printed)['things'] == []


def test_import_of_what_is_no_list(vocab, tmp_path):
    listed = tmp_path / 'ade.txt'
    listed.write_text('wall')
    status, _, errors = vocab('import', listed)
    assert status == 1
    assert 'ade.txt: line 1: expected id:name' in errors
    listed.write_text('1:wall')
    status, _, errors = vocab('import', listed, '--things', 'cat')
    assert status == 1
    assert "'things' names unknown classes ['cat']" in errors


def test_an_unknown_vocabulary(vocab):
    status, _, errors = vocab('show', 'lvis')
    assert status == 1
    assert errors.startswith("freeseg-mm vocab show: no vocabulary 'lvis'")


def test_an_action_is_needed(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['vocab'])
    assert stop.value.code == 2
    assert 'ACTION' in capsys.readouterr().err


# ---- tags ----


def test_tags_are_the_best_masks_classes(
    tiny_weights, tiny_inferencer, photo, capsys
):
    words = ['dragon', 'house', 'cat', 'lawn', 'sky']
    arguments = [
        *('tags', str(photo), 'no_image.png', '--classes', ', '.join(words)),
        *('--config', str(tiny_weights[0])),
        *('--checkpoint', str(tiny_weights[1]), '--top', '3'),
    ]
    broken = photo.parent / 'no_image.png'
    broken.write_text('nothing')
    arguments[2] = str(broken)
    (result,) = tiny_inferencer(photo, words, raw=True, tasks='instance')
    best = result.raw['instance'].class_probs.max(0)
    order = best.argsort()[::-1][:3]

    assert main([*arguments, '--json']) == 1
    lines = capsys.readouterr().out.splitlines()
    tags = json.loads(lines[0])['tags']
    assert list(tags) == [words[i] for i in order]
    assert list(tags.values()) == pytest.approx(best[order].tolist())
    assert json.loads(lines[1])['source'] == str(broken)
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert (
        out
        == f'{photo}: '
        + ', '.join(f'{words[i]} {best[i]:.2f}' for i in order)
        + '\n'
    )
    arguments[-1] = '0'
    assert main(arguments) == 1
    assert '--top: expected at least 1' in capsys.readouterr().err
