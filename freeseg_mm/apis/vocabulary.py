"""From what a user writes to a vocabulary."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.errors import require_share
from freeseg_mm.utils.names import shown


@dataclass(frozen=True, eq=False)
class ImageClass:
    """A class that is shown by images in place of words.

    CLIP's view compares masks with the mean of its embeddings of the images;
    the queries' view, which knows words alone, reads the name.

    Attributes:
        images: One image, or several of the same thing: crops that hold
            little else; see :func:`freeseg_mm.apis.inputs.read_image`.
        name: Of the class, with synonyms as ``cat|kitten``; by default that
            of the first image's file, ``my_logo.png`` being ``my logo``.
        text_weight: Share of the name in CLIP's view, in [0, 1]; 0 lets the
            images stand in its place.

    Raises:
        TypeError: If no name is given and the first image is no path.
        ValueError: If there is no image, or ``text_weight`` is no share.
    """

    images: Any
    name: str = ''
    text_weight: float = 0.0

    def __post_init__(self) -> None:
        images = self.images
        if not isinstance(images, list | tuple):
            images = [images]
        if not images:
            raise ValueError('an ImageClass needs at least one image')
        require_share('text_weight', self.text_weight)
        object.__setattr__(self, 'images', tuple(images))
        if not self.name:
            if not isinstance(images[0], str | Path):
                raise TypeError(
                    'an ImageClass whose first image is no path needs a name'
                )
            stem = Path(images[0]).stem.replace('_', ' ')
            object.__setattr__(self, 'name', stem)


Classes: TypeAlias = Vocabulary | str | Path | Iterable[str | ImageClass]

SHORT_NAMES = {
    'coco': 'coco_stuff171',
    'ade20k': 'ade20k150',
    'voc': 'voc20',
}
"""Vocabularies by the name of their data set."""

SYNONYM_MARK = '|'
# In this order a word is looked for among them.
_REFERENCES = ('coco_stuff171', 'coco_panoptic133', 'ade20k150', 'voc20')
NOT_KNOWN = 'not known'


def listed(classes: Classes) -> Classes:
    """The same, so that it may be read more than once."""
    if isinstance(classes, Vocabulary | str | Path) or not isinstance(
        classes, Iterable
    ):
        return classes
    return list(classes)


def read_classes(
    words: Classes,
    *,
    things: Iterable[str] | None = None,
    unseen: Iterable[str] | None = None,
    trained_on: Vocabulary | None = None,
) -> Vocabulary:
    """Build the vocabulary that words stand for.

    Args:
        words: A list of names, each with its synonyms as ``cat|kitten``, or
            an :class:`ImageClass`, whose name counts here; or
            a vocabulary's short name (``coco``, ``ade20k``, ``voc``),
            built-in name or file, JSON or text with a name a line; or a
            :class:`Vocabulary`, which is returned as it is.
        things: The names that are countable, all others being stuff. With
            ``None`` each word is what ``trained_on`` or a built-in
            vocabulary says of it, and a thing if none knows it; a named
            vocabulary keeps its own marks.
        unseen: The names training had no labels of. With ``None`` these are
            all that are not among the seen classes of ``trained_on``.
        trained_on: The vocabulary of the weights.

    Raises:
        FileNotFoundError: If there is no such vocabulary.
        TypeError: If a name is no string, or a :class:`Vocabulary` comes
            with marks.
        ValueError: If a name is empty or occurs twice, a mark names no
            class, or a file is no vocabulary.
    """
    if isinstance(words, Vocabulary):
        if things is not None or unseen is not None:
            raise TypeError(
                f'vocabulary {words.name!r} says itself which of its classes '
                'are things and unseen; give things and unseen with a list '
                'of words only'
            )
        return words
    if isinstance(words, str | Path):
        plain, has_marks = _from_name(words), not _is_text_file(words)
    else:
        plain, has_marks = _from_list(words), False
    is_thing = plain.is_thing
    if things is not None:
        is_thing = _marks(plain, things, 'things')
    elif not has_marks:
        is_thing = tuple(
            thing_mark(texts, trained_on)[0] for texts in _texts(plain)
        )
    if unseen is not None:
        is_seen = tuple(not mark for mark in _marks(plain, unseen, 'unseen'))
    else:
        known = _seen_texts(trained_on)
        is_seen = tuple(
            any(_key(text) in known for text in texts)
            for texts in _texts(plain)
        )
    return replace(plain, is_thing=is_thing, is_seen=is_seen)


def load_vocabulary(name: str | Path) -> Vocabulary:
    """Read a vocabulary by short name, built-in name or file, marks and all.

    Raises:
        FileNotFoundError: If there is no such name or file.
        ValueError: If the file is refused; it is named.
    """
    if _is_text_file(name):
        return _from_text_file(Path(name))
    return Vocabulary.load(SHORT_NAMES.get(str(name), name))


def thing_mark(
    texts: Collection[str], trained_on: Vocabulary | None = None
) -> tuple[bool, str]:
    """Say whether a class is a thing, and who says so.

    Args:
        texts: The class's name and synonyms, the first known one decides.
        trained_on: Asked before the built-in vocabularies.

    Returns:
        Whether it is a thing, and the name of the vocabulary that has it,
        ``NOT_KNOWN`` if none does: then it is taken for a thing.
    """
    for vocabulary in (*filter(None, [trained_on]), *_references()):
        marks = _thing_marks(vocabulary)
        for text in texts:
            if _key(text) in marks:
                return marks[_key(text)], vocabulary.name
    return True, NOT_KNOWN


def _from_list(words: Iterable[str | ImageClass]) -> Vocabulary:
    _require_list(words, 'class names')
    names: list[str] = []
    synonyms: dict[str, Sequence[str]] = {}
    for word in words:
        if isinstance(word, ImageClass):
            word = word.name
        if not isinstance(word, str):
            raise TypeError(
                f'expected words that are strings, got {shown(word)}'
            )
        name, *others = (part.strip() for part in word.split(SYNONYM_MARK))
        if not name or not all(others):
            raise ValueError(
                f'the word {shown(word)} is empty or has an empty synonym; '
                "write 'cat', or 'cat|kitten|tabby' with synonyms"
            )
        names.append(name)
        synonyms[name] = others
    return Vocabulary.from_names(names, synonyms=synonyms)


def _from_name(name: str | Path) -> Vocabulary:
    try:
        return load_vocabulary(name)
    except FileNotFoundError:
        raise FileNotFoundError(
            f'no vocabulary {str(name)!r}: neither a file nor one of '
            f'{[*SHORT_NAMES, *Vocabulary.builtin_names()]}; words are given '
            f'as a list, as {[part.strip() for part in str(name).split(",")]}'
        ) from None


def _is_text_file(name: object) -> bool:
    return str(name).lower().endswith('.txt')


def _from_text_file(path: Path) -> Vocabulary:
    if not path.is_file():
        raise FileNotFoundError(f'no vocabulary file {path}')
    try:
        lines = path.read_text('utf-8-sig').split('\n')
        words = _from_list(line for line in lines if line.strip())
    except ValueError as error:
        raise ValueError(
            f'vocabulary file {path} (text, a name a line): {error}'
        ) from error
    return replace(words, name=path.stem)


def _marks(
    plain: Vocabulary, marked: Iterable[str], field: str
) -> tuple[bool, ...]:
    """Mark of each class; synonyms beside a name do no harm."""
    _require_list(marked, field)
    if not isinstance(marked, str):
        marked = [str(word).split(SYNONYM_MARK)[0].strip() for word in marked]
    if field == 'things':
        return Vocabulary.from_names(plain.names, things=marked).is_thing
    seen = Vocabulary.from_names(plain.names, unseen=marked).is_seen
    return tuple(not mark for mark in seen)


def _require_list(given: object, field: str) -> None:
    if not isinstance(given, Iterable):
        raise TypeError(
            f'expected a list of strings as {field}, got {shown(given)}'
        )


def _texts(vocabulary: Vocabulary) -> Iterator[tuple[str, ...]]:
    """Name and synonyms of each class."""
    pairs = zip(vocabulary.names, vocabulary.synonyms, strict=True)
    return ((name, *others) for name, others in pairs)


def _seen_texts(trained_on: Vocabulary | None) -> frozenset[str]:
    if trained_on is None:
        return frozenset()
    return frozenset(
        _key(text)
        for texts, seen in zip(
            _texts(trained_on), trained_on.is_seen, strict=True
        )
        if seen
        for text in texts
    )


@cache
def _references() -> tuple[Vocabulary, ...]:
    return tuple(Vocabulary.load(name) for name in _REFERENCES)


@lru_cache(maxsize=16)
def _thing_marks(vocabulary: Vocabulary) -> dict[str, bool]:
    return {
        _key(text): is_thing
        for texts, is_thing in zip(
            _texts(vocabulary), vocabulary.is_thing, strict=True
        )
        for text in texts
    }


def _key(text: str) -> str:
    return text.strip().lower()
