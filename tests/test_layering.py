"""Imports between the package's folders, and settings that stay put.

Both are read from the source without running it.
"""

import ast
import functools
import re
import sys
from graphlib import TopologicalSorter
from importlib import metadata
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
PACKAGE = REPO / 'freeseg_mm'
# All arrows there are, from a folder (or module of the top) to others. A new
# one has to be written down here; one that is gone has to be taken out.
ARROWS = {
    '__init__': {'apis', 'version'},
    '__main__': {'cli'},
    'registry': {'utils'},
    'export': {'utils'},
    'structures': {'utils'},  # the spelling of names
    'models': {'registry', 'structures', 'utils', 'version'},
    'datasets': {'registry', 'structures', 'utils'},
    'evaluation': {'registry', 'structures', 'utils'},
    'visualization': {'datasets', 'evaluation', 'structures', 'utils'},
    'engine': {'models', 'registry', 'structures', 'utils', 'visualization'},
    'zoo': {'engine', 'models', 'registry', 'structures', 'utils'},
    'apis': {
        'engine', 'export', 'models', 'structures', 'utils', 'version',
        'visualization', 'zoo',
    },
    'analysis': {
        'datasets', 'engine', 'evaluation', 'models', 'registry',
        'structures', 'utils', 'version', 'visualization',
    },
    'recipes': {
        'analysis', 'datasets', 'engine', 'models', 'registry', 'structures',
        'utils', 'visualization',
    },
    'shapes': {
        'analysis', 'apis', 'datasets', 'models', 'recipes', 'structures',
        'utils', 'visualization',
    },
    'cli': {
        'analysis', 'apis', 'datasets', 'evaluation', 'export', 'models',
        'recipes', 'shapes', 'structures', 'utils', 'version',
        'visualization', 'zoo',
    },
}  # fmt: skip
# Packages of others that only the files under these paths may import.
ONLY_IN = {
    'open_clip': ('models/clip', 'shapes'),
    'gradio': ('cli/webdemo',),
    'fastapi': ('cli/webdemo',),
    'uvicorn': ('cli/webdemo',),
    # visualization has its list of the system's fonts
    'matplotlib': ('analysis', 'visualization'),
    'mmseg': (),
    'mmpretrain': (),
    'tools': (),
    'configs': (),
    'tests': (),
}
# What decides a prediction; it changes by arguments alone.
SETTINGS = {
    'clip_prompt',
    'mask_classifier',
    'predict_options',
    'prompt_learner',
    'test_cfg',
    'tuner',
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


def module_name(path):
    # A package's own file counts as one of its modules: `from .x` in
    # freeseg_mm/models/__init__.py means freeseg_mm.models.x.
    return '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts)


@functools.cache
def all_imports():
    return [
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in sorted(PACKAGE.rglob('*.py'))
        for name in imported_modules(
            path.read_text('utf-8'), module_name(path)
        )
    ]


def folder_of(file):
    return file.split('/')[0].removesuffix('.py')


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


def test_arrows_between_folders_are_those_allowed():
    found = {}
    for file, name in all_imports():
        if name.startswith('freeseg_mm.'):
            target = name.split('.')[1]
            if target != folder_of(file):
                found.setdefault(folder_of(file), set()).add(target)
    found.setdefault('__init__', set()).add('apis')  # by importlib
    assert found == ARROWS


def test_no_arrow_runs_up():
    """Folders have an order in which each needs only those before it."""
    assert list(TopologicalSorter(ARROWS).static_order())


def test_no_modules_import_each_other():
    modules = {module_name(path) for path in PACKAGE.rglob('*.py')}
    modules |= {name.removesuffix('.__init__') for name in modules}
    graph = {}
    for file, name in all_imports():
        while name not in modules and '.' in name:
            name = name.rpartition('.')[0]
        importer = f'freeseg_mm.{file.removesuffix(".py").replace("/", ".")}'
        package = importer.removesuffix('.__init__')
        # a module of a package is loaded after the package's own file
        if name in modules and not f'{package}.'.startswith(f'{name}.'):
            graph.setdefault(package, set()).add(name)
    assert len(graph) > 50
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize('target', ONLY_IN)
def test_is_imported_only_in(target):
    allowed = tuple(f'{folder}/' for folder in ONLY_IN[target])
    offenders = [
        (file, name)
        for file, name in all_imports()
        if f'{name}.'.startswith(f'{target}.')
        and not (allowed and file.startswith(allowed))
    ]
    assert offenders == []


def test_structures_need_no_framework():
    frameworks = {'mmcv', 'mmengine', 'mmdet', 'open_clip'}
    offenders = [
        (file, name)
        for file, name in all_imports()
        if folder_of(file) == 'structures' and name.split('.')[0] in frameworks
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
    page = REPO / 'requirements/webdemo.txt'
    declared |= set(re.findall(r'^[\w-]+', page.read_text(), re.MULTILINE))
    imported = {name.split('.')[0] for _, name in all_imports()}
    third_party = imported - sys.stdlib_module_names - {'freeseg_mm'}
    undeclared = {names.get(name, name) for name in third_party} - declared
    # mmcv brings OpenCV, of either kind
    assert undeclared == {'cv2', 'mmcv', 'mmdet', 'mmengine'}


def test_docstrings_open_with_a_noun_or_a_verb():
    """And the field's words: a model predicts, it does not answer."""
    found = [
        f'{path.relative_to(REPO)}:{number}: {line.strip()}'
        for path in sorted(PACKAGE.rglob('*.py'))
        for number, line in enumerate(
            path.read_text('utf-8').splitlines(), start=1
        )
        if re.search(r'"""(What|Which|Where|Whether|How)\b|answer', line)
    ]
    assert found == []


def test_rooms_are_few():
    """A new file joins what is one concept, or another one goes."""
    files = [
        path.relative_to(PACKAGE)
        for path in PACKAGE.rglob('*.py')
        if '.mim' not in path.parts
    ]
    assert len(files) <= 200
    assert len({path.parts[0] for path in files if path.parent.parts}) <= 13
    tools = [path for path in (REPO / 'tools').iterdir() if path.is_file()]
    assert len(tools) <= 12


# --- settings ----------------------------------------------------------------


def settings_changed(source):
    """Lines that set a setting, but in constructors and ``set_`` methods."""
    tree = ast.parse(source)
    own = {
        id(node)
        for method in ast.walk(tree)
        if isinstance(method, ast.FunctionDef)
        and (method.name == '__init__' or method.name.startswith('set_'))
        for node in ast.walk(method)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(
            node.ctx, ast.Store | ast.Del
        ):
            # of `model.test_cfg.tasks = x` the inner one counts too
            names = {
                part.attr
                for part in ast.walk(node)
                if isinstance(part, ast.Attribute)
            }
            if ast.unparse(node).endswith('model.vocabulary'):
                names.add('predict_options')
            if names & SETTINGS and id(node) not in own:
                yield node.lineno
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == 'setattr'
            and isinstance(node.args[1], ast.Constant)
            and node.args[1].value in SETTINGS
        ):
            yield node.lineno


@pytest.mark.parametrize(
    ('source', 'expected'),
    [
        ('model.test_cfg = x', [1]),
        ('model.test_cfg.tasks = x', [1]),
        ('del model.vocabulary', [1]),
        ("setattr(model, 'predict_options', x)", [1]),
        ('class A:\n def __init__(self):\n  self.test_cfg = x', []),
        ('class A:\n def set_it(self):\n  self.predict_options = x', []),
        ('class A:\n def use(self):\n  self.test_cfg = x', [3]),
        ('y = model.test_cfg', []),
    ],
)
def test_changes_are_found(source, expected):
    assert list(settings_changed(source)) == expected


def test_nothing_is_set_on_a_model():
    """A config may be changed before a model is built from it."""
    offenders = [
        f'{path.relative_to(REPO)}:{line}: {text}'
        for folder in ('freeseg_mm', 'tools')
        for path in sorted((REPO / folder).rglob('*.py'))
        for line in settings_changed(path.read_text('utf-8'))
        for text in [path.read_text('utf-8').splitlines()[line - 1].strip()]
        if not text.startswith('config.')
    ]
    assert offenders == []


def test_no_document_sets_anything_on_a_model():
    pages = [REPO / 'README.md', *(REPO / 'docs').rglob('*.md')]
    pages += (REPO / 'docs').rglob('*.ipynb')
    found = [
        (page.name, match.group())
        for page in pages
        for match in re.finditer(
            rf'model\.(?:vocabulary|{"|".join(SETTINGS)})[\w.]* = .*',
            page.read_text('utf-8'),
        )
    ]
    assert found == []
