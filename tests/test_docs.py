"""What the documents say exists."""

import json
import re
from pathlib import Path

import pytest
from mmengine.config import Config

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
