"""The vocabulary file that a prepared dataset carries."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from itertools import compress
from pathlib import Path
from typing import Any

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.files import atomic_path, make_folder, write_json
from freeseg_mm.utils.names import normal_name

_MAX_SHOWN = 8


def write_builtin_vocabulary(name: str, root: Path) -> None:
    """Put a copy of a built-in vocabulary into a dataset's folder.

    Raises:
        FileExistsError: If there is another one already.
    """
    packaged = resources.files('freeseg_mm') / 'structures' / 'vocabularies'
    text = (packaged / f'{name}.json').read_text('utf-8')
    path = root / 'vocabulary.json'
    if path.exists():
        if path.read_text('utf-8') != text:
            raise FileExistsError(
                f'{path} is not the built-in {name}; remove it or choose '
                'another target'
            )
        return
    with atomic_path(path) as partial_path:
        partial_path.write_text(text, 'utf-8')


def settle_vocabulary(
    root: Path,
    wanted: Vocabulary,
    *,
    unseen: Sequence[str] | None,
    in_order: bool = False,
) -> Vocabulary:
    """Check the vocabulary of one's own data against an earlier import's.

    The first split that is imported decides; entries that its user writes
    into the file by hand (synonyms, unseen classes) stay.

    Args:
        root: Folder of the dataset.
        wanted: The classes of this split.
        unseen: Those that training may not use; ``None`` for those of the
            file that is there, or of ``wanted``.
        in_order: Whether labels are positions, so that the order counts.

    Returns:
        The vocabulary in the folder or, where there is none, the one that
        :func:`write_vocabulary` has to write.

    Raises:
        FileExistsError: If the vocabulary that is there does not fit.
        ValueError: If an unseen class is none of the classes.
    """
    if unseen is not None:
        wanted = _with_unseen(wanted, unseen)
    path = root / 'vocabulary.json'
    if not path.exists():
        return wanted
    found = Vocabulary.load(path)
    missing = [name for name in wanted.names if name not in found.names]
    if in_order and found.names != wanted.names:
        problem = f'has the classes {_shown(found.names)}'
    elif missing:
        problem = f'lacks the classes {_shown(missing)}'
    else:
        problem = _other_marks(found, wanted, unseen is not None)
    if problem:
        raise FileExistsError(
            f'{path}, from an earlier import, {problem}; this one has '
            f'{_shown(wanted.names)}. Correct the options or the file, or '
            'choose another target'
        )
    return found


def named_in_target(root: Path, wanted: Vocabulary) -> Vocabulary:
    """The vocabulary in a dataset's folder, if its names are to stand.

    Labels are positions here, so names and synonyms are free.

    Args:
        root: Folder of the dataset.
        wanted: Classes and names of the download.

    Returns:
        The one in the folder, or ``wanted`` where there is none.

    Raises:
        FileExistsError: If there is one of other classes, by number, or
            other things.
    """
    path = root / 'vocabulary.json'
    if not path.exists():
        return wanted
    found = Vocabulary.load(path)
    if len(found) != len(wanted):
        problem = (
            f'has {len(found)} classes; expected {len(wanted)} in the order '
            f'of {_shown(wanted.names)}'
        )
    elif found.is_thing != wanted.is_thing:
        things = list(compress(found.names, wanted.is_thing))
        problem = f'has other things; by its names they are {things}'
    else:
        return found
    raise FileExistsError(
        f'{path} {problem}. Correct it or choose another target'
    )


def write_vocabulary(root: Path, vocabulary: Vocabulary) -> None:
    """Write a vocabulary file, unless there is one."""
    path = root / 'vocabulary.json'
    if not path.exists():
        make_folder(root)
        write_json(_as_file(vocabulary), path, indent=1)


def _with_unseen(wanted: Vocabulary, unseen: Sequence[str]) -> Vocabulary:
    unseen = [normal_name(name) for name in unseen]
    unknown = [name for name in unseen if name not in wanted.names]
    if unknown:
        raise ValueError(
            f'unseen classes {unknown} are none of the {len(wanted)} classes '
            f'{_shown(wanted.names)}'
        )
    flags = tuple(name not in unseen for name in wanted.names)
    return replace(wanted, is_seen=flags)


def _as_file(vocabulary: Vocabulary) -> dict[str, Any]:
    """Content of a file for :meth:`Vocabulary.load`."""
    synonyms = zip(vocabulary.names, vocabulary.synonyms, strict=True)
    return {
        'name': vocabulary.name,
        'classes': list(vocabulary.names),
        'things': list(vocabulary.things),
        'unseen': list(vocabulary.unseen),
        'synonyms': {name: list(also) for name, also in synonyms if also},
    }


def _other_marks(
    found: Vocabulary, wanted: Vocabulary, compare_unseen: bool
) -> str:
    for index, name in enumerate(wanted.names):
        there = found.index(name)
        if found.is_thing[there] != wanted.is_thing[index]:
            kind = 'a thing' if found.is_thing[there] else 'stuff'
            return f'says that {name!r} is {kind}'
        if compare_unseen and found.is_seen[there] != wanted.is_seen[index]:
            kind = 'seen' if found.is_seen[there] else 'unseen'
            return f'says that {name!r} is {kind}'
    return ''


def _shown(names: Sequence[str]) -> str:
    more = ', ...' if len(names) > _MAX_SHOWN else ''
    return ', '.join(repr(name) for name in names[:_MAX_SHOWN]) + more
