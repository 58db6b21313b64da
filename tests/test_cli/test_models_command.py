import hashlib
import json

import pytest
import torch

from freeseg_mm.cli import main


@pytest.fixture
def models(run):
    return lambda *words: run('models', *words)


def test_list(models, tiny_zoo):
    status, out, _ = models('list')
    assert status == 0
    (line,) = (line for line in out.splitlines() if ' tiny ' in line)
    assert line.split() == ['tiny', '12.5', 'Apache-2.0', 'a', 'test']
    assert 'fcclip_convnext_large' in out
    models('get', 'tiny')
    _, out, _ = models('list')
    (line,) = (line for line in out.splitlines() if ' tiny ' in line)
    assert line.split()[-1] == 'yes'
    _, out, _ = models('list', '--json')
    rows = {row['name']: row for row in json.loads(out)}
    assert rows['tiny']['reported'] == {'ade20k': {'PQ': 12.5}}
    assert rows['tiny']['checkpoint'] == str(tiny_zoo.checkpoint)
    assert rows['fcclip_r50']['checkpoint'] is None


def test_show(models, tiny_zoo):
    status, out, _ = models('show', 'tiny')
    assert status == 0
    facts = dict(line.split('  ', 1) for line in out.splitlines())
    facts = {name: value.strip() for name, value in facts.items()}
    assert facts['sha256'] == 'none published'
    assert facts['reported'] == 'ade20k PQ 12.5'
    assert facts['checkpoint'] == 'not here: freeseg-mm models get tiny'
    models('get', 'tiny')
    _, out, _ = models('show', 'tiny', '--json')
    facts = json.loads(out)
    original = tiny_zoo.original.read_bytes()
    assert facts['sha256'] == hashlib.sha256(original).hexdigest()
    assert facts['url'].endswith('/tiny')


def test_get_then_predict(models, run, tiny_zoo, photo):
    status, out, errors = models('get', 'tiny')
    assert (status, out) == (0, '')
    digest = hashlib.sha256(tiny_zoo.original.read_bytes()).hexdigest()
    assert f'SHA-256 of tiny_released.pth: {digest} (none is publ' in errors
    assert f'wrote {tiny_zoo.checkpoint}' in errors
    status, out, errors = run(
        'predict', photo, '--classes', 'cat, sky', '--tasks', 'semantic'
    )
    assert status == 0
    assert errors.startswith('without --config: tiny, the best model here')
    named = run(
        *('predict', photo, '--classes', 'cat, sky', '--tasks', 'semantic'),
        *('--config', 'tiny'),
    )
    assert named == (0, out, '')


def test_get_from_a_file(models, tiny_zoo):
    status, _, _ = models('get', 'tiny', '--from', tiny_zoo.original)
    assert status == 0
    assert tiny_zoo.server.requests == []


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (['get', 'tini'], "models get: no model 'tini' in the zoo; there are"),
        (['show', 'tini'], "models show: no model 'tini' in the zoo"),
        (['get', 'tiny', '--from', 'x.pth'], 'models get: no file x.pth'),
    ],
)
def test_mistakes_are_one_sentence(models, tiny_zoo, words, sentence):
    status, out, errors = models(*words)
    assert (status, out) == (1, '')
    assert sentence in errors
    assert len(errors.splitlines()) == 1


def test_a_download_that_breaks_is_gone_on_with(models, tiny_zoo):
    tiny_zoo.server.files['/tiny'].cut = 5000
    status, _, errors = models('get', 'tiny')
    assert status == 1
    assert 'the connection ended after 5,000 of' in errors
    assert errors.endswith('run it again to go on\n')
    assert not tiny_zoo.checkpoint.exists()
    status, _, _ = models('get', 'tiny')
    assert status == 0
    _, headers = tiny_zoo.server.requests[-1]
    assert headers['Range'] == 'bytes=5000-'


def test_convert(models, tiny_zoo, tmp_path):
    out = tmp_path / 'new/ours.pth'
    words = ['--layout', 'released', '--config', tiny_zoo.config]
    status, printed, errors = models(
        'convert', tiny_zoo.original, *words, '--out', out
    )
    assert (status, printed, errors) == (0, '', f'wrote {out}\n')
    meta = torch.load(out, weights_only=True)['meta']
    assert meta['zoo']['file'] == 'original.pth'
    words[1] = 'detectron2'
    status, _, errors = models(
        'convert', tiny_zoo.original, *words, '--out', out
    )
    assert status == 1
    assert "layout 'detectron2' has no rule for" in errors


def test_convert_knows_its_layouts(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['models', 'convert', 'x', '--layout', 'y', '--config', 'z'])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "invalid choice: 'y' (choose from" in error
    assert 'fcclip' in error


def test_predict_without_any_model(run, tiny_zoo, photo, monkeypatch):
    monkeypatch.setattr(
        'freeseg_mm.apis.model_names.config_roots', lambda: [tiny_zoo.root]
    )
    status, _, errors = run('predict', photo, '--classes', 'cat')
    assert status == 1
    assert '`freeseg-mm models get fcclip_convnext_large` fetches' in errors


def test_the_table_of_the_documents(models, repo, monkeypatch):
    """docs/models.md holds what the command prints."""
    monkeypatch.chdir(repo)
    _, table, _ = models('list', '--markdown')
    assert table in (repo / 'docs/models.md').read_text('utf-8')
