"""Who may import whom, read from the source without running it."""

import ast
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / 'freeseg_mm'
# What a file under the first path must not import.
FORBIDDEN = [
    ('', 'mmseg'),
    ('', 'mmpretrain'),
    ('', 'tools'),
    ('', 'configs'),
    ('', 'tests'),
    ('structures', 'mmcv'),
    ('structures', 'mmengine'),
    ('structures', 'mmdet'),
    ('structures', 'open_clip'),
    ('structures', 'freeseg_mm.registry'),
    ('structures', 'freeseg_mm.datasets'),
    ('structures', 'freeseg_mm.evaluation'),
    ('structures', 'freeseg_mm.models'),
    ('structures', 'freeseg_mm.engine'),
    ('evaluation', 'freeseg_mm.models'),
    ('evaluation', 'freeseg_mm.engine'),
    ('datasets', 'freeseg_mm.models'),
    ('datasets', 'freeseg_mm.engine'),
    ('models', 'freeseg_mm.datasets'),
    ('models', 'freeseg_mm.evaluation'),
    ('models', 'freeseg_mm.engine'),
    ('analysis', 'freeseg_mm.cli'),
    ('analysis', 'freeseg_mm.engine'),
    ('analysis/results', 'freeseg_mm.models'),
    ('analysis/paper_tables', 'freeseg_mm.models'),
    ('analysis/logs.py', 'freeseg_mm.models'),
    ('analysis/log_curves.py', 'freeseg_mm.models'),
]
# Where analysis tests a checkpoint, as tools/test.py does.
RUNS_A_MODEL = {('analysis/results/running.py', 'freeseg_mm.engine')}
# What only the files under these paths may import.
ONLY_IN = {
    'open_clip': ('models/clip', 'shapes'),
    # What only some of its files need, an extra brings.
    'gradio': ('webdemo',),
    'fastapi': ('webdemo',),
    'uvicorn': ('webdemo',),
    'freeseg_mm.cli.webdemo': ('webdemo', 'cli'),
    # Measuring looks at everything; nothing depends on being measured.
    'freeseg_mm.analysis.cost': ('analysis/cost', 'cli'),
    # So is looking at results.
    'freeseg_mm.analysis': ('analysis', 'cli', 'recipes'),
    'matplotlib': ('analysis',),
}


def imported_modules(source, module):
    """Absolute names of all that a module's source imports.

    ``from a import b`` counts as ``a.b``, which may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split('.')[: -node.level] if node.level else []
            names = [*base, *(node.module or '').split('.')]
            prefix = '.'.join(name for name in names if name)
            yield from (f'{prefix}.{alias.name}' for alias in node.names)


def is_inside(name, package):
    return name == package or name.startswith(f'{package}.')


def module_name(path):
    # A package's own file counts as one of its modules: `from .x` in
    # freeseg_mm/models/__init__.py means freeseg_mm.models.x.
    return '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts)


def all_imports():
    return [
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in sorted(PACKAGE.rglob('*.py'))
        for name in imported_modules(
            path.read_text('utf-8'), module_name(path)
        )
    ]


@pytest.mark.parametrize(
    ('source', 'module', 'expected'),
    [
        ('import a.b, c', 'p.q', ['a.b', 'c']),
        ('from a import b', 'p.q', ['a.b']),
        ('from . import b', 'p.q', ['p.b']),
        ('from .a import b', 'p.q.r', ['p.q.a.b']),
        ('from ..a import b', 'p.q.r', ['p.a.b']),
        ('from .a import b', 'p.__init__', ['p.a.b']),
        ('def f():\n    import a', 'p', ['a']),
    ],
)
def test_imports_are_found(source, module, expected):
    assert list(imported_modules(source, module)) == expected


def test_package_is_read():
    files = {file for file, _ in all_imports()}
    assert {'structures/vocabulary.py', 'registry.py'} <= files


@pytest.mark.parametrize(('folder', 'target'), FORBIDDEN)
def test_lower_layer_does_not_import(folder, target):
    offenders = [
        (file, name)
        for file, name in all_imports()
        if (not folder or file == folder or file.startswith(f'{folder}/'))
        and is_inside(name, target)
        and (file, target) not in RUNS_A_MODEL
    ]
    assert offenders == []


@pytest.mark.parametrize('target', ONLY_IN)
def test_is_imported_only_in(target):
    allowed = tuple(f'{folder}/' for folder in ONLY_IN[target])
    offenders = [
        (file, name)
        for file, name in all_imports()
        if is_inside(name, target) and not file.startswith(allowed)
    ]
    assert offenders == []


def test_third_party_imports_are_declared():
    """All come with runtime.txt, or are checked when the package loads."""
    # Where a distribution is not called as the module it carries.
    names = {'PIL': 'pillow', 'open_clip': 'open_clip_torch'}
    declared = {
        re.match(r'[\w-]+', requirement).group()
        for requirement in metadata.requires('freeseg_mm')
        if 'extra ==' not in requirement
    }
    page = PACKAGE.parent / 'requirements/webdemo.txt'
    declared |= set(re.findall(r'^[\w-]+', page.read_text(), re.MULTILINE))
    imported = {name.split('.')[0] for _, name in all_imports()}
    third_party = imported - sys.stdlib_module_names - {'freeseg_mm'}
    undeclared = {names.get(name, name) for name in third_party} - declared
    assert undeclared == {'mmcv', 'mmdet', 'mmengine'}
