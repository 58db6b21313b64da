"""Configs that come with weights: data that is read and never run."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import mmengine.registry
from mmengine.config import Config
from mmengine.registry import Registry

from freeseg_mm.registry import SCOPE

_SCOPES = ('mmengine', 'mmdet', 'mmseg', 'mmpretrain', SCOPE)
# Where components come from that take no code, file of code or class by name
# in their arguments, as mmdet's detectors (`teacher_config`) and trackers
# (`warp_mode`, which is evaluated) do.
_SOURCES = (
    'freeseg_mm',
    'mmcv.cnn.bricks',
    'mmcv.ops',
    'mmcv.transforms',
    'mmdet.datasets',
    'mmdet.engine',
    'mmdet.evaluation',
    'mmdet.models.backbones',
    'mmdet.models.data_preprocessors',
    'mmdet.models.layers',
    'mmdet.models.losses',
    'mmdet.models.necks',
    'mmdet.models.seg_heads',
    'mmdet.models.task_modules.assigners',
    'mmdet.models.task_modules.samplers',
    'mmdet.visualization',
    'mmengine',
    'mmpretrain.models.backbones',
    'mmseg.models.backbones',
    'torch',
)
_FORBIDDEN_KEYS = (
    '_base_', '_delete_', '_deprecation_', '_scope_', 'custom_imports',
)  # fmt: skip
# Names of models by which open_clip fetches, or reads a folder.
_REMOTE = ('hf-hub:', 'local-dir:')
_RESERVED_KEYS = ('filename', 'text', 'pretty_text', 'env_variables')
_OWN_IMPORTS = {
    'allow_failed_imports': False,
    'imports': ['freeseg_mm.registry'],
}
_SHOWN = 60


def parse_config(text: Any) -> Config:
    """Read a config as data, as ``Config.pretty_text`` writes it.

    Args:
        text: Assignments of literals and of ``dict(key=...)`` calls.

    Returns:
        The config, without ``custom_imports`` (the package's own are let
        pass), files of start weights and folders of texts.

    Raises:
        ValueError: If there is anything else than data, a ``type`` is none
            that OpenMMLab or this package has registered, or a model is to
            be fetched.
    """
    if not isinstance(text, str):
        raise ValueError(f'the config is {_shown(text)}, expected text')
    try:
        content = _assignments(text)
        if content.get('custom_imports') == _OWN_IMPORTS:
            del content['custom_imports']
        for key in _RESERVED_KEYS:
            if key in content:
                raise ValueError(f'it sets {key!r}, which mmengine reserves')
        scope = content.get('default_scope', 'mmdet')
        if scope not in _SCOPES:
            raise ValueError(
                f'default_scope is {_shown(scope)}, expected one of {_SCOPES}'
            )
        content = _checked(content, 'config', ('mmengine', scope))
    except RecursionError:
        raise ValueError('the config is nested too deeply') from None
    except MemoryError:  # the parser's word for too many brackets
        raise ValueError('the config is nested too deeply') from None
    except SyntaxError as error:
        raise ValueError(f'the config is not Python: {error.msg}') from error
    return Config(content)


def _assignments(text: str) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for statement in ast.parse(text).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]):
                content[name] = _value(statement.value)
            case _:
                raise _not_data(statement)
    return content


def _value(node: ast.expr) -> Any:
    """Value of a literal; ``dict(key=...)`` is one here."""
    match node:
        case ast.Call(func=ast.Name(id='dict'), args=[], keywords=keywords):
            names = [keyword.arg for keyword in keywords]
            if None in names or len(set(names)) < len(names):
                raise _not_data(node)
            return {x.arg: _value(x.value) for x in keywords}
        # dict({'a-b': 1}) is how mmengine writes keys that are no names
        case ast.Call(
            func=ast.Name(id='dict'), args=[ast.Dict() as only], keywords=[]
        ):
            return _value(only)
        case ast.Dict(keys=keys, values=values):
            if None in keys:
                raise _not_data(node)
            return {
                _key(key): _value(value)
                for key, value in zip(keys, values, strict=True)
                if key is not None
            }
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise _not_data(node) from None


def _key(node: ast.expr) -> Any:
    value = _value(node)
    if not isinstance(value, str | int | float | tuple | None):
        raise _not_data(node)
    return value


def _not_data(node: ast.AST) -> ValueError:
    return ValueError(
        f'line {getattr(node, "lineno", 1)} of the config is code '
        f'({_shown(ast.unparse(node))}); one that comes with weights may '
        'hold literals and dict(...) alone'
    )


def _checked(node: Any, place: str, scopes: tuple[str, ...]) -> Any:
    """Copy of a value without files and folders; refuse what can run code."""
    if isinstance(node, list | tuple):
        items = (
            _checked(item, f'{place}[{index}]', scopes)
            for index, item in enumerate(node)
            if not _is_start_weights(item)
        )
        return type(node)(items)
    if isinstance(node, str) and node.startswith(_REMOTE):
        raise ValueError(
            f'{place} is {_shown(node)}, which open_clip would look up '
            'elsewhere; a config that comes with weights may not'
        )
    if not isinstance(node, dict):
        return node
    for key in _FORBIDDEN_KEYS:
        if key in node:
            raise ValueError(
                f'{place} has {key!r}, which a config that comes with weights '
                'may not'
            )
    if 'type' in node:
        _check_type(node['type'], place, scopes)
    return {
        key: None
        if key == 'text_cache_dir' or _is_start_weights(value)
        else _checked(value, f'{place}.{key}', scopes)
        for key, value in node.items()
    }


def _is_start_weights(node: Any) -> bool:
    """Tell what names a file of weights, which are here already."""
    return isinstance(node, dict) and node.get('type') == 'Pretrained'


def _check_type(name: Any, place: str, scopes: tuple[str, ...]) -> None:
    """Refuse a name that no registry holds, before one would import it."""
    if not isinstance(name, str):
        raise ValueError(
            f'{place}.type is {_shown(name)}, expected the name of a '
            'registered class'
        )
    scope, _, key = name.rpartition('.')
    if (scope and scope not in _SCOPES) or not key.isidentifier():
        raise ValueError(
            f'{place}.type is {_shown(name)}, expected NAME or SCOPE.NAME, '
            f'SCOPE one of {_SCOPES}'
        )
    for imports in (False, True):
        found = list(_registered((scope,) if scope else scopes, key, imports))
        if found:
            break
    if not found:
        hint = f'; is {scope} installed?' if scope else ''
        raise ValueError(
            f'{place}.type is {_shown(name)}, which OpenMMLab has not '
            f'registered{hint}'
        )
    for source in found:
        if not any(f'{source}.'.startswith(f'{x}.') for x in _SOURCES):
            raise ValueError(
                f'{place}.type is {_shown(name)} of {source}, which a config '
                'that comes with weights may not build'
            )


def _registered(
    scopes: tuple[str, ...], key: str, imports: bool
) -> Iterator[str]:
    """Modules of what has a name in the registries of some scopes."""
    if imports:
        for scope in scopes:
            with suppress(ImportError):
                import_module(f'{scope}.registry')
    roots = [
        value
        for value in vars(mmengine.registry).values()
        if isinstance(value, Registry)
    ]
    for registry in _with_children(roots):
        if registry.scope not in scopes:
            continue
        if imports:
            registry.import_from_location()
        if key in registry.module_dict:
            yield str(registry.module_dict[key].__module__)


def _with_children(registries: list[Registry]) -> Iterator[Registry]:
    for registry in registries:
        yield registry
        yield from _with_children(list(registry.children.values()))


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...')
