"""Types of the values in COCO's JSON files, as users and tools write them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from pathlib import PurePosixPath
from typing import Any

from .names import normal_name, require_visible, shown

_FLAGS = 'iscrowd', 'isthing', 'exact'
_IDS = 'id', 'image_id', 'category_id'


def entry_problems(entry: Any, key: str, place: str) -> Iterator[str]:
    """Look for values of a wrong type; absent keys are no matter here.

    Whole floats (48.0) become integers, in place, flags that are true or
    false become 1 or 0, and names are spelled as everywhere.

    Args:
        entry: Of a list.
        key: The list's key in the file: ``images``, ``annotations`` or
            ``categories``; others are not looked at.
        place: Name of the entry in messages.

    Yields:
        A sentence for each that names the entry, what was expected and what
        is there.
    """
    if key not in _FIELDS:
        return
    if not isinstance(entry, dict):
        yield f'{place} is no JSON object: {shown(entry)}'
        return
    yield from _problems(entry, _FIELDS[key], place)
    if key == 'annotations' and 'segments_info' in entry:
        infos = entry['segments_info']
        if not isinstance(infos, list):
            yield _sentence(place, 'segments_info', 'a list', infos)
            return
        for number, info in enumerate(infos):
            within = f'{place}.segments_info[{number}]'
            if isinstance(info, dict):
                yield from _problems(info, _FIELDS[key], within)
            else:
                yield f'{within} is no JSON object: {shown(info)}'


def require_unique(entries: Sequence[Mapping[str, Any]], key: str) -> None:
    """Refuse lists in which a value that has to be unique occurs again.

    Args:
        entries: Images or annotations.
        key: The value's key.

    Raises:
        ValueError: Naming values that occur more than once.
        KeyError: If an entry has none.
    """
    times = Counter(entry[key] for entry in entries)
    again = [value for value, count in times.items() if count > 1]
    if again:
        raise ValueError(
            f'{key} {again[:5]} ({len(again)} in all) occur more than once; '
            'expected each once. Were files joined without new ids?'
        )


def _problems(
    entry: dict[str, Any], fields: Mapping[str, str], place: str
) -> Iterator[str]:
    for name, expected in fields.items():
        value = entry.get(name, _ABSENT)
        if value is _ABSENT:
            continue
        kind = type(value)
        if expected in (_WHOLE, _ZERO_OR_ONE) and (
            (kind is bool and expected == _ZERO_OR_ONE)
            or (kind is float and value.is_integer())
        ):
            value = entry[name] = int(value)
        if not _IS[expected](value):
            yield _sentence(place, name, expected, value)
            continue
        try:
            if expected == _TEXT:
                entry[name] = normal_name(value)
            elif expected == _PATH:
                require_visible(value)
        except ValueError as error:
            yield f'{place}: {name}: {error}'


def _sentence(place: str, name: str, expected: str, value: Any) -> str:
    return f'{place}: {name} is {shown(value)}, expected {expected}'


def _is_inside(value: Any) -> bool:
    if type(value) is not str or not value or '\0' in value:
        return False
    path = PurePosixPath(value)
    is_below = not path.is_absolute() and '..' not in path.parts
    return is_below and bool(path.name)


_ABSENT = object()
_WHOLE = 'an integer'
_ZERO_OR_ONE = '0 or 1'
_TEXT = 'text'
_AREA = 'a number of pixels'
_PATH = 'a file below its folder, without ".."'
_IS: Mapping[str, Callable[[Any], bool]] = {
    _WHOLE: lambda value: type(value) is int,
    _ZERO_OR_ONE: lambda value: type(value) is int and value in (0, 1),
    _AREA: lambda value: type(value) in (int, float) and 0 <= value < inf,
    _TEXT: lambda value: type(value) is str and bool(value.strip()),
    _PATH: _is_inside,
}
_FIELDS: Mapping[str, Mapping[str, str]] = {
    'images': {
        'id': _WHOLE,
        'height': _WHOLE,
        'width': _WHOLE,
        'file_name': _PATH,
    },
    'annotations': {
        **dict.fromkeys(_IDS, _WHOLE),
        **dict.fromkeys(_FLAGS, _ZERO_OR_ONE),
        'area': _AREA,
        'file_name': _PATH,
    },
    'categories': {'id': _WHOLE, 'name': _TEXT, 'isthing': _ZERO_OR_ONE},
}
