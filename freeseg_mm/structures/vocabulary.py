"""Vocabulary: an ordered list of class names to predict."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from itertools import compress
from pathlib import Path
from typing import Any

import torch

from freeseg_mm.utils.names import normal_name, shown

from .vocabulary_file import parse_vocabulary_file

_PACKAGE_DATA = resources.files('freeseg_mm') / 'structures' / 'vocabularies'


@dataclass(frozen=True)
class Vocabulary:
    """Category names, whether each is a thing and seen, and its synonyms.

    The vocabulary travels with every data sample; no model, metric or config
    holds class names. Class indices everywhere are positions in ``names``.
    Names and synonyms are spelled as :func:`~.names.normal_name` does.

    Attributes:
        names: Category names, C of them, unique, any C >= 1.
        is_thing: Per class, whether it is countable (instance results).
        is_seen: Per class, whether training may use its labels.
        synonyms: Per class, further names that mean the same class. A class
            scores as high as the best of its names.
        name: Name of the vocabulary in messages.

    Raises:
        TypeError: If a name or synonym is no string.
        ValueError: If there is no name, a name is empty, holds invisible
            characters or occurs twice (synonyms included), or the fields
            differ in length.
    """

    names: tuple[str, ...]
    is_thing: tuple[bool, ...]
    is_seen: tuple[bool, ...]
    synonyms: tuple[tuple[str, ...], ...] = ()
    name: str = 'custom'

    def __post_init__(self) -> None:
        if not self.synonyms:
            object.__setattr__(self, 'synonyms', ((),) * len(self.names))
        if not self.names:
            raise ValueError(
                f'vocabulary {self.name!r} is empty; give at least one '
                'category name'
            )
        lengths = {
            field: len(getattr(self, field))
            for field in ('names', 'is_thing', 'is_seen', 'synonyms')
        }
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f'vocabulary {self.name!r}: fields differ in length: {lengths}'
            )
        names = _normal_names(self.names, self.name)
        object.__setattr__(self, 'names', names)
        synonyms = tuple(
            _normal_names(t, self.name, 'synonyms') for t in self.synonyms
        )
        object.__setattr__(self, 'synonyms', synonyms)
        prompts = Counter(text.lower() for text in self.prompts)
        twice = sorted(text for text, count in prompts.items() if count > 1)
        if twice:
            raise ValueError(
                f'vocabulary {self.name!r} has names that occur more than '
                f'once: {twice}; every name must mean one class'
            )

    @classmethod
    def from_names(
        cls,
        names: Iterable[str],
        things: Iterable[str] | None = None,
        unseen: Iterable[str] | None = None,
        synonyms: dict[str, Sequence[str]] | None = None,
        name: str = 'custom',
    ) -> 'Vocabulary':
        """Build a vocabulary from a list of names.

        Args:
            names: Category names in order.
            things: The names that are countable; ``None`` for all of them.
            unseen: The names training had no labels of; ``None`` for all.
            synonyms: Further names by class name.
            name: Name of the vocabulary in messages.

        Raises:
            TypeError: If one string stands where a list of them is expected,
                or a name is no string.
            ValueError: If a marked name is not among ``names``, or the class
                itself refuses one.
        """
        synonyms = synonyms or {}
        lists = {'names': names, 'things': things, 'unseen': unseen}
        lists |= {f'synonyms of {key!r}': synonyms[key] for key in synonyms}
        for field, given in lists.items():
            if isinstance(given, str):
                raise TypeError(
                    f'vocabulary {name!r}: expected a list of strings as '
                    f'{field}, got the string {given!r}'
                )
        names = _normal_names(names, name)
        known = set(names)
        marked = {
            'things': names if things is None else things,
            'unseen': names if unseen is None else unseen,
            'synonyms': synonyms,
        }
        marked = {k: _normal_names(v, name, k) for k, v in marked.items()}
        also = dict(zip(marked['synonyms'], synonyms.values(), strict=True))
        for field, members in marked.items():
            unknown = [member for member in members if member not in known]
            if unknown:
                raise ValueError(
                    f'vocabulary {name!r}: {field!r} names unknown classes '
                    f'{unknown}; they are not in its {len(names)} classes'
                )
        thing_names = set(marked['things'])
        unseen_names = set(marked['unseen'])
        return cls(
            names=names,
            is_thing=tuple(each in thing_names for each in names),
            is_seen=tuple(each not in unseen_names for each in names),
            synonyms=tuple(tuple(also.get(each, ())) for each in names),
            name=name,
        )

    @classmethod
    def load(cls, source: 'str | Path | Vocabulary') -> 'Vocabulary':
        """Read a vocabulary shipped with the package or a JSON file.

        The file is an object with ``classes`` (ordered names) and, each
        optional, ``things`` (default all), ``unseen`` (default none) and
        ``synonyms`` (name to list of names).

        Args:
            source: A built-in name (see :meth:`builtin_names`) or the path
                of a ``.json`` file; a vocabulary is returned as it is.

        Raises:
            FileNotFoundError: If there is no such name or file.
            ValueError: If the file is no such object or its content is
                refused; the message names the file and all its mistakes.
        """
        if isinstance(source, Vocabulary):
            return source
        if str(source) in cls.builtin_names():
            text = (_PACKAGE_DATA / f'{source}.json').read_bytes()
            return cls._from_file_text(text, str(source), str(source))
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(
                f'no vocabulary {str(source)!r}: neither a file nor one of '
                f'the built-in {cls.builtin_names()}'
            )
        return cls._from_file_text(path.read_bytes(), path.stem, str(path))

    @classmethod
    def _from_file_text(
        cls, text: bytes, default_name: str, where: str
    ) -> 'Vocabulary':
        try:
            content = parse_vocabulary_file(text)
            return cls.from_names(
                content['classes'],
                things=content.get('things'),
                unseen=content.get('unseen', ()),
                synonyms=content.get('synonyms'),
                name=content.get('name', default_name),
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f'vocabulary file {where}: {error}') from error

    @staticmethod
    def builtin_names() -> list[str]:
        """Names of the vocabularies shipped with the package."""
        return sorted(
            Path(entry.name).stem
            for entry in _PACKAGE_DATA.iterdir()
            if entry.name.endswith('.json')
        )

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> 'Vocabulary':
        """Inverse of :meth:`to_dict`.

        Raises:
            TypeError: If it, or a value in it, is of another type.
            KeyError: If a key is missing.
            ValueError: See the class.
        """
        kinds = {
            'names': (list, str),
            'is_thing': (list, bool),
            'is_seen': (list, bool),
            'synonyms': (list, list | tuple),
            'name': (str, str),
        }
        if not isinstance(content, dict):
            raise TypeError(f'expected a dictionary, got {shown(content)}')
        for key, (outer, inner) in kinds.items():
            value = content[key]
            if isinstance(value, tuple):
                value = list(value)
            if not isinstance(value, outer) or not all(
                isinstance(each, inner) for each in value
            ):
                raise TypeError(f'its {key!r} are {shown(content[key])}')
        return cls(
            names=tuple(content['names']),
            is_thing=tuple(content['is_thing']),
            is_seen=tuple(content['is_seen']),
            synonyms=tuple(tuple(names) for names in content['synonyms']),
            name=content['name'],
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and booleans: safe in a checkpoint."""
        return {
            'names': list(self.names),
            'is_thing': list(self.is_thing),
            'is_seen': list(self.is_seen),
            'synonyms': [list(names) for names in self.synonyms],
            'name': self.name,
        }

    def __len__(self) -> int:
        return len(self.names)

    @property
    def things(self) -> tuple[str, ...]:
        """Names of the countable classes, in order."""
        return tuple(compress(self.names, self.is_thing))

    @property
    def unseen(self) -> tuple[str, ...]:
        """Names of the classes that training may not use, in order."""
        seen = set(compress(self.names, self.is_seen))
        return tuple(name for name in self.names if name not in seen)

    @property
    def prompts(self) -> tuple[str, ...]:
        """All texts to encode, P >= C: each name, then its synonyms."""
        return tuple(
            text
            for name, synonyms in zip(self.names, self.synonyms, strict=True)
            for text in (name, *synonyms)
        )

    @property
    def prompt_to_class(self) -> tuple[int, ...]:
        """Class index of each of :attr:`prompts`, ascending."""
        return tuple(
            index
            for index, synonyms in enumerate(self.synonyms)
            for _ in range(1 + len(synonyms))
        )

    @property
    def content_hash(self) -> str:
        """Digest of everything but :attr:`name`, 16 hexadecimal digits."""
        content = self.to_dict()
        del content['name']
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode('utf-8')).hexdigest()[:16]

    def index(self, name: str) -> int:
        """Position of a class name.

        Raises:
            KeyError: If the vocabulary has no such class.
        """
        try:
            return self.names.index(normal_name(name))
        except ValueError:
            raise KeyError(
                f'vocabulary {self.name!r} ({len(self)} classes) has no '
                f'class {name!r}'
            ) from None

    def subset(self, indices: Sequence[int], name: str) -> 'Vocabulary':
        """The given classes, in the given order, as a vocabulary."""
        return Vocabulary(
            names=tuple(self.names[i] for i in indices),
            is_thing=tuple(self.is_thing[i] for i in indices),
            is_seen=tuple(self.is_seen[i] for i in indices),
            synonyms=tuple(self.synonyms[i] for i in indices),
            name=name,
        )

    def joined(self, others: 'Vocabulary') -> 'Vocabulary':
        """These classes, then those of another vocabulary.

        Raises:
            ValueError: If a name or synonym is in both.
        """
        return Vocabulary(
            names=self.names + others.names,
            is_thing=self.is_thing + others.is_thing,
            is_seen=self.is_seen + others.is_seen,
            synonyms=self.synonyms + others.synonyms,
            name=self.name,
        )

    def seen_only(self) -> 'Vocabulary':
        """The classes that training may use, order kept.

        Raises:
            ValueError: If every class is unseen.
        """
        indices = [i for i, seen in enumerate(self.is_seen) if seen]
        if not indices:
            raise ValueError(
                f'vocabulary {self.name!r}: all {len(self)} classes are '
                'unseen, so training may use none; mark what it may use as '
                'seen (the others are listed as unseen)'
            )
        return self.subset(indices, f'{self.name}/seen')

    def all_unseen(self) -> 'Vocabulary':
        """The same classes, all unseen: names of another dataset."""
        return replace(self, is_seen=(False,) * len(self))


def with_negatives(
    vocabulary: Vocabulary, labels: Iterable[int], num_negatives: int
) -> tuple[Vocabulary, dict[int, int]]:
    """Keep a batch's classes and a few others, drawn anew each time.

    Training against a part of a vocabulary bounds the text of a step. The
    draw comes from PyTorch's generator of the CPU.

    Args:
        vocabulary: All classes of the training, C of them.
        labels: Classes that occur in the batch, indices of ``vocabulary``.
        num_negatives: Number of the other classes to keep, at most.

    Returns:
        The smaller vocabulary, order kept, and the place in it of each
        class that occurs.

    Raises:
        ValueError: If ``num_negatives`` is not positive.
    """
    check_num_negatives(num_negatives)
    occurring = set(labels)
    others = [i for i in range(len(vocabulary)) if i not in occurring]
    drawn = torch.randperm(len(others))[:num_negatives].tolist()
    kept = sorted([*occurring, *(others[i] for i in drawn)])
    place = {index: i for i, index in enumerate(kept) if index in occurring}
    return vocabulary.subset(kept, f'{vocabulary.name}/{len(kept)}'), place


def check_num_negatives(num_negatives: int) -> None:
    """Refuse a number that leaves an unlabelled batch without a class.

    Raises:
        ValueError: If it is not positive.
    """
    if num_negatives < 1:
        raise ValueError(
            'expected num_negative_classes >= 1 (or None for all classes), '
            f'got {num_negatives}'
        )


def _normal_names(
    names: Iterable[Any], vocabulary: str, field: str = 'names'
) -> tuple[str, ...]:
    names = tuple(names)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise TypeError(
            f'vocabulary {vocabulary!r}: expected names that are strings, got '
            f'{wrong}'
        )
    if not all(name.strip() for name in names):
        raise ValueError(
            f'vocabulary {vocabulary!r} has an empty name or synonym in its '
            f'{field}, {shown(list(names))}'
        )
    try:
        return tuple(normal_name(name) for name in names)
    except ValueError as error:
        raise ValueError(f'vocabulary {vocabulary!r}: {error}') from error
