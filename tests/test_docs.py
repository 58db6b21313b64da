"""What the documents say exists."""

import json
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.run_config import check_options

REPO = Path(__file__).resolve().parent.parent
DOCUMENTS = ['README.md', *(f'docs/{p.name}' for p in REPO.glob('docs/*.md'))]
OURS = ('freeseg_mm', 'configs', 'tools', 'tests', 'docs', 'requirements')
# Filled in by a run, not by hand.
MADE_LATER = ('.png',)
ROOTS = (
    'model.',
    'optim_wrapper.',
    'param_scheduler',
    'train_dataloader.',
    'test_dataloader.',
)


def text_of(document):
    return (REPO / document).read_text('utf-8')


def blocks(document, language):
    return re.findall(
        rf'```{language}\n(.*?)```', text_of(document), re.DOTALL
    )


def test_documents_are_found():
    assert len(DOCUMENTS) >= 5


def test_readme_is_short():
    assert len(text_of('README.md').splitlines()) < 200


@pytest.mark.parametrize('document', DOCUMENTS)
def test_links_lead_somewhere(document):
    links = re.findall(r'\]\(([^)#]+)[^)]*\)', text_of(document))
    folder = (REPO / document).parent
    broken = [
        link
        for link in links
        if '://' not in link
        and not link.endswith(MADE_LATER)
        and not (folder / link).exists()
    ]
    assert broken == []


@pytest.mark.parametrize('document', DOCUMENTS)
def test_files_that_are_named_exist(document):
    named = re.findall(
        rf'(?<![\w/.-])((?:{"|".join(OURS)})/[\w./-]*\w/?)', text_of(document)
    )
    missing = [
        path
        for path in named
        if not path.endswith(MADE_LATER) and not (REPO / path).exists()
    ]
    assert missing == []


def test_named_files_are_found():
    """The check above would find something."""
    pattern = rf'(?<![\w/.-])((?:{"|".join(OURS)})/[\w./-]*\w/?)'
    assert len(re.findall(pattern, text_of('README.md'))) > 15


@pytest.mark.parametrize('document', DOCUMENTS)
def test_make_targets_exist(document):
    targets = set(re.findall(r'^(\w+):', text_of('Makefile'), re.MULTILINE))
    used = set(
        re.findall(r'(?:^|`|\s)make ([a-z]+)(?=[`\s])', text_of(document))
    )
    prose = {'a', 'it', 'sure', 'the'}
    assert used - prose <= targets


def config_keys(text):
    """Keys in backticks; `.x` stands beside the key before it."""
    parent = None
    for token in re.findall(r'`([\w.]+)`', text):
        if token.startswith(ROOTS):
            parent = token.rpartition('.')[0]
            yield token
        elif re.fullmatch(r'\.[a-z_]+', token) and parent:
            yield parent + token


def test_config_keys_exist():
    config = Config.fromfile(REPO / 'configs/freeseg/coco.py')
    keys = list(config_keys(text_of('docs/reproduction.md')))
    assert len(keys) > 30
    # what a component takes, but the config leaves at its default
    optional = {'model.panoptic_head.classifier.temperature'}
    for key in keys:
        check_options(config, {key: None})
        parent, _, last = key.rpartition('.')
        node = config
        for part in parent.split('.') if parent else []:
            node = node[part]
        assert last in node or key in optional, key


@pytest.mark.parametrize('text', blocks('docs/get_started.md', 'json'))
def test_example_of_a_vocabulary_is_one(text, tmp_path):
    path = tmp_path / 'words.json'
    path.write_text(text)
    vocabulary = Vocabulary.load(path)
    assert vocabulary.names == tuple(json.loads(text)['classes'])
    assert not all(vocabulary.is_seen)
    assert vocabulary.prompts[1] == 'red disc'


def test_example_of_own_words_runs(
    tiny_run_config, shapes_world, tmp_path, monkeypatch
):
    (code,) = blocks('README.md', 'python')
    config = tiny_run_config
    runner = Runner.from_cfg(config)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(
        runner.param_schedulers
    )
    runner.save_checkpoint(str(tmp_path), 'tiny.pth', by_epoch=False)
    config.dump(tmp_path / 'tiny_config.py')
    for old, new in {
        'data/shapes/val/000007.jpg': shapes_world / 'val/000001.jpg',
        'work_dirs/demo/config.py': tmp_path / 'tiny_config.py',
        'work_dirs/demo/train/iter_500.pth': tmp_path / 'tiny.pth',
    }.items():
        assert old in code
        code = code.replace(old, str(new))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert {'pred_sem_seg', 'pred_instances', 'pred_panoptic_seg'} <= set(
        names['answer']
    )
    labels = names['answer']['pred_sem_seg']['sem_seg']
    assert labels.shape == (1, 64, 64)
    assert labels.max() < 4
    with Image.open(tmp_path / 'answer.png') as picture:
        assert picture.width > 4 * 64
