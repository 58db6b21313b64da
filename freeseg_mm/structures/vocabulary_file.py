"""Format of a vocabulary file, and all mistakes in one."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from freeseg_mm.utils.files import parse_json
from freeseg_mm.utils.names import normal_name

FILE_KEYS = ('classes', 'things', 'unseen', 'synonyms')
NOTE_KEYS = ('name', 'source', 'licence', 'note')
_NO_CLASS = 'invalid_class_id'
_JSON_TYPES = {list: 'array', dict: 'object'}


def parse_vocabulary_file(text: bytes) -> dict[str, Any]:
    """Read the object of a vocabulary file.

    Args:
        text: UTF-8 JSON, with or without a byte order mark.

    Returns:
        The object, as ``Vocabulary.from_names`` can take its entries.

    Raises:
        ValueError: If anything is wrong, with all of it.
    """
    content = parse_json(
        text.decode('utf-8-sig'), object_pairs_hook=_refuse_repeated_keys
    )
    problems = list(vocabulary_problems(content))
    if problems:
        raise ValueError('; '.join(problems))
    return content


def parse_class_list(text: bytes) -> tuple[dict[str, list[str]], list[str]]:
    """Read a list of classes as OpenSeg and FC-CLIP publish them.

    Each line is ``id:name,synonym,synonym``; commas within parentheses are
    part of a name. A first class ``invalid_class_id``, which stands for no
    class, is left out. A name may mean one class only: it stays with the
    class that it is the first name of, else with the first that lists it;
    a class whose first name is taken is called by its next one.

    Args:
        text: UTF-8, with or without a byte order mark; blank lines are
            skipped.

    Returns:
        Synonyms by class name, in the order of the ids; and a sentence for
        each name that another class keeps.

    Raises:
        ValueError: If a line is of another form, an id occurs twice, a name
            is refused, or a class has no name of its own.
    """
    names: dict[int, list[str]] = {}
    for number, line in enumerate(
        re.split(r'\r\n?|\n', text.decode('utf-8-sig')), 1
    ):
        if not line.strip():
            continue
        found = re.fullmatch(r'\s*(\d+)\s*:(.+)', line)
        listed = re.split(r',(?![^(]*\))', found[2]) if found else []
        texts = [name for name in listed if name.strip()]
        if found is None or not texts:
            raise ValueError(
                f'line {number}: expected id:name,synonym,..., got {line!r}'
            )
        if int(found[1]) in names:
            raise ValueError(f'line {number}: the id {found[1]} occurs twice')
        if [name.strip().lower() for name in texts] != [_NO_CLASS]:
            names[int(found[1])] = texts
    if not names:
        raise ValueError('no classes: expected lines of id:name,synonym,...')
    return share_out_names(names)


def share_out_names(
    names: Mapping[int, Sequence[str]],
) -> tuple[dict[str, list[str]], list[str]]:
    """Let each name mean one class, though several list it.

    It stays with the class that it is the first name of, else with the first
    that lists it; a class whose first name is taken is called by its next.

    Args:
        names: Names of each class by its id, the first one first.

    Returns:
        Synonyms by class name, in the order of the ids; and a sentence for
        each name that another class keeps.

    Raises:
        ValueError: If a name is refused, or a class has none of its own.
    """
    listed = {
        class_id: _once(map(normal_name, names[class_id]))
        for class_id in sorted(names)
    }
    owners: dict[str, int] = {}
    for class_id, texts_of in listed.items():
        owners.setdefault(texts_of[0].lower(), class_id)
    classes: dict[str, list[str]] = {}
    notes = []
    for class_id, texts_of in listed.items():
        own = []
        for name in texts_of:
            owner = owners.setdefault(name.lower(), class_id)
            if owner == class_id:
                own.append(name)
            else:
                notes.append(f'{name!r} of {class_id} stays with {owner}')
        if not own:
            raise ValueError(
                f'class {class_id} ({", ".join(texts_of)}): other classes '
                'have all of its names; give it one of its own'
            )
        classes[own[0]] = own[1:]
    return classes, notes


def _once(names: Iterable[str]) -> list[str]:
    """Names without those that occur before, in any case of letters."""
    kept: dict[str, str] = {}
    for name in names:
        kept.setdefault(name.lower(), name)
    return list(kept.values())


def vocabulary_problems(content: Any) -> Iterator[str]:
    """Find all mistakes in the content of a vocabulary file.

    Args:
        content: The decoded JSON.

    Yields:
        One sentence a mistake.
    """
    if not isinstance(content, dict) or 'classes' not in content:
        yield "expected an object with a 'classes' list"
        return
    unknown = set(content) - {*FILE_KEYS, *NOTE_KEYS}
    if unknown:
        yield (
            f'unknown keys {sorted(unknown)}; known are '
            f'{[*FILE_KEYS, *NOTE_KEYS]}'
        )
    right = {}
    for key in FILE_KEYS:
        expected = dict if key == 'synonyms' else list
        if isinstance(content.get(key, expected()), expected):
            right[key] = content.get(key, expected())
        else:
            yield (
                f'expected {key!r} to be a JSON {_JSON_TYPES[expected]}, got '
                f'{content[key]!r}'
            )
    if not isinstance(content.get('name', ''), str):
        yield f"expected 'name' to be a string, got {content['name']!r}"
    if 'classes' in right:
        yield from _problems_of_names(
            right['classes'], right.get('synonyms', {})
        )
        for key in ('things', 'unseen', 'synonyms'):
            yield from _problems_of_marks(
                key, right.get(key, ()), right['classes']
            )


def _problems_of_names(
    names: Sequence[Any], synonyms: dict[str, Any]
) -> Iterator[str]:
    if not names:
        yield "'classes' is empty; give at least one category name"
    texts = list(names)
    for name, also in synonyms.items():
        if isinstance(also, list):
            texts += also
        else:
            kind = 'string ' if isinstance(also, str) else ''
            yield (
                f'expected a list of strings as synonyms of {name!r}, got '
                f'the {kind}{also!r}'
            )
    wrong = [text for text in texts if not isinstance(text, str)]
    if wrong:
        yield f'expected names that are strings, got {wrong}'
    strings = [text for text in texts if isinstance(text, str)]
    empty = sum(not text.strip() for text in strings)
    if empty:
        yield f'{empty} names or synonyms are empty'
    spelled = []
    for text in filter(str.strip, strings):
        try:
            spelled.append(normal_name(text).lower())
        except ValueError as error:
            yield str(error)
    twice = _repeated(spelled)
    if twice:
        yield (
            f'names that occur more than once: {twice} (synonyms included, '
            'capitals aside); every name must mean one class'
        )


def _problems_of_marks(
    key: str, marked: Iterable[Any], names: Sequence[Any]
) -> Iterator[str]:
    marked = list(marked)
    wrong = [name for name in marked if not isinstance(name, str)]
    if wrong:
        yield f'expected class names under {key!r}, got {wrong}'
    strings = [_spelled(name) for name in marked if isinstance(name, str)]
    known = {_spelled(name) for name in names if isinstance(name, str)}
    unknown = [name for name in strings if name not in known]
    if unknown:
        close = get_close_matches(unknown[0], known, n=1)
        hint = f' (did you mean {close[0]!r}?)' if close else ''
        yield (
            f'{key!r} names unknown classes {unknown}{hint}; they are not in '
            f'its {len(names)} classes'
        )
    twice = _repeated(strings)
    if twice:
        yield f'{key!r} lists {twice} more than once'


def _spelled(name: str) -> str:
    try:
        return normal_name(name)
    except ValueError:  # is told of the name itself
        return name


def _repeated(texts: Iterable[str]) -> list[str]:
    return sorted(text for text, n in Counter(texts).items() if n > 1)


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON would silently keep the last of them."""
    twice = _repeated(key for key, _ in pairs)
    if twice:
        raise ValueError(f'the keys {twice} occur more than once')
    return dict(pairs)
