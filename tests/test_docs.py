"""What the documents say exists."""

import re
from pathlib import Path

import pytest
from docs_blocks import PAGES, REPO, blocks
from mmengine.config import Config

from freeseg_mm.utils.run_config import check_options

DOCUMENTS = [page.relative_to(REPO).as_posix() for page in PAGES]
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


def commands_in(document):
    page = Path(document).name
    return '\n'.join(
        block.text for block in blocks('bash') if block.page == page
    )


def test_documents_are_found():
    assert len(DOCUMENTS) > 15


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


def named_files(document):
    """Paths into the checkout; stars are a shell's."""
    return re.findall(
        rf'(?<![\w/.-])((?:{"|".join(OURS)})/[\w./*-]*[\w*]/?)',
        text_of(document),
    )


@pytest.mark.parametrize('document', DOCUMENTS)
def test_files_that_are_named_exist(document):
    missing = [
        path
        for path in named_files(document)
        if not path.endswith(MADE_LATER) and not list(REPO.glob(path))
    ]
    assert missing == []


def test_named_files_are_found():
    """The check above would find something."""
    assert len(named_files('README.md')) > 15
    assert len(named_files('docs/architecture.md')) > 30
    assert 'configs/ablations/shapes_*.py' in named_files('docs/ablate.md')


@pytest.mark.parametrize('document', DOCUMENTS)
def test_make_targets_exist(document):
    targets = set(re.findall(r'^(\w+):', text_of('Makefile'), re.MULTILINE))
    in_prose = re.findall(r'`make ([a-z]+)', text_of(document))
    in_blocks = re.findall(
        r'^make ([a-z]+)', commands_in(document), re.MULTILINE
    )
    assert {*in_prose, *in_blocks} <= targets


def test_make_targets_are_found():
    assert '`make docs`' in text_of('README.md')
    assert 'make demo\n' in commands_in('docs/get_started.md')


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
    # it inherits all keys of coco.py
    config = Config.fromfile(REPO / 'configs/freeseg/coco_released.py')
    keys = list(config_keys(text_of('docs/reproduction.md')))
    assert len(keys) > 30
    for key in keys:
        check_options(config, {key: None})
        parent, _, last = key.rpartition('.')
        node = config
        for part in parent.split('.') if parent else []:
            node = node[part]
        assert last in node, key


def test_bold_keys_are_those_that_the_preset_of_the_release_changes():
    coco, released = (
        dict(entries_of(Config.fromfile(REPO / f'configs/freeseg/{name}.py')))
        for name in ('coco', 'coco_released')
    )
    changed = {
        key
        for key in coco.keys() | released.keys()
        if coco.get(key) != released.get(key)
    }
    text = text_of('docs/reproduction.md')
    plain = re.sub(r'\*\*`([^`]*)`\*\*', r'`bold:\1`', text)
    named, parent = set(), ''
    for token in re.findall(r'`((?:bold:)?[\w.]+)`', plain):
        key = token.removeprefix('bold:')
        if key.startswith('.'):
            key = parent + key
        elif not key.startswith(ROOTS):
            continue
        parent = key.rpartition('.')[0]
        if token.startswith('bold:'):
            named.add(key)
    assert len(named) > 20
    for key in named:
        assert any(f'{x}.'.startswith(f'{key}.') for x in changed), key
    for key in changed:
        assert any(f'{key}.'.startswith(f'{x}.') for x in named), key


def entries_of(node, name=''):
    """Dotted names and values of the parts that documents speak of."""
    for key, value in node.items():
        full = f'{name}{key}'
        if not f'{full}.'.startswith(ROOTS) or full.startswith('val_'):
            continue
        if isinstance(value, dict):
            yield from entries_of(value, f'{full}.')
        else:
            yield full, value
