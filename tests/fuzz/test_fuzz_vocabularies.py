"""Vocabularies: lists, strings, text and JSON files, published lists."""

import contextlib
import io
import json
import unicodedata

from fuzzing import (
    Case,
    fuzz,
    json_bytes,
    mutated_bytes,
    mutated_text,
    odd_text,
    odd_value,
    run_command,
)

from freeseg_mm.apis.vocabulary import read_classes
from freeseg_mm.structures import Vocabulary

LIST = ['cat|kitten', 'dog', 'traffic light', 'grass|lawn|meadow', 'Himmel']
CONTENT = {
    'name': 'pets',
    'classes': ['cat', 'dog', 'grass', 'sky'],
    'things': ['cat', 'dog'],
    'unseen': ['dog'],
    'synonyms': {'cat': ['kitten', 'tabby'], 'grass': ['lawn']},
    'note': 'x',
}
PUBLISHED = (
    '0:invalid_class_id\n1:wall,fence\n2:person (man, woman),child\n3:sky'
)


def spelled(text):
    return ' '.join(unicodedata.normalize('NFC', text).split())


def is_vocabulary(found, texts=None):
    """The rules of every vocabulary, and its names if they are known."""
    names = list(found.names)
    assert names
    everything = [*names, *(x for s in found.synonyms for x in s)]
    assert len({x.lower() for x in everything}) == len(everything)
    for name in everything:
        assert type(name) is str
        assert name == spelled(name)
        assert name
        assert not any(
            unicodedata.category(x) in ('Cc', 'Cs', 'Zl', 'Zp') for x in name
        )
    assert len(found.is_thing) == len(found.is_seen) == len(names)
    if texts is not None:
        assert names == [spelled(x.split('|')[0]) for x in texts]


def of_list(rng, inferencer):
    words = list(LIST)
    for _ in range(rng.choice((1, 1, 2, 5))):
        odd = rng.choice(
            (odd_text(rng), odd_text(rng, 3), odd_value(rng), rng.choice(LIST))
        )
        words[rng.randrange(len(words))] = odd
    if rng.random() < 0.1:
        words = rng.choice(([], words * 300, odd_value(rng), {'cat': 1}))
    marks = {}
    for key in ('things', 'unseen'):
        if rng.random() < 0.2:
            marks[key] = rng.choice(
                (['cat'], ['cat|kitten'], [odd_text(rng)], odd_value(rng))
            )
    read = inferencer.vocabulary if rng.random() < 0.3 else read_classes
    return Case(
        f'list {words!r:.80} {marks!r:.60}',
        lambda: read(words, **marks),
        lambda found: is_vocabulary(
            found, words if isinstance(words, list) else None
        ),
        # in a word, as repr or as it is; or the argument
        ('name', 'word', 'vocabulary', 'things', 'unseen', 'classes'),
    )


def of_text_file(rng, folder):
    how, text = mutated_text(rng, '\n'.join(LIST) + '\n')
    content = text.encode()
    if rng.random() < 0.3:
        how, content = mutated_bytes(rng, content)
    path = folder / 'words.txt'
    path.write_bytes(content)
    return Case(
        f'text {how} {content!r:.80}',
        lambda: read_classes(rng.choice((path, str(path)))),
        is_vocabulary,
        (str(path),),
    )


def of_json_file(rng, folder):
    how, content = json_bytes(rng, CONTENT)
    path = folder / 'words.json'
    path.write_bytes(content)

    def right(found):
        is_vocabulary(found)
        stored = json.loads(content.decode('utf-8-sig'))
        assert list(found.names) == [spelled(x) for x in stored['classes']]

    return Case(
        f'JSON {how}', lambda: Vocabulary.load(path), right, (str(path),)
    )


def of_import(rng, folder):
    how, text = mutated_text(rng, PUBLISHED)
    content = text.encode()
    if rng.random() < 0.2:
        how, content = mutated_bytes(rng, content)
    path, out = folder / 'list.txt', folder / 'out.json'
    path.write_bytes(content)
    out.unlink(missing_ok=True)

    def right(status):
        assert status == 0
        is_vocabulary(Vocabulary.load(out))

    return Case(
        f'import {how} {content!r:.80}',
        lambda: quiet('vocab', 'import', str(path), '--out', str(out)),
        right,
        (str(path),),
    )


def of_command(rng):
    """Strings of a command line; these cannot hold NUL."""
    _, text = mutated_text(rng, ', '.join(LIST))
    text = text.replace('\0', '')
    argv = ['vocab', 'check', f'--classes={text}', '--json']
    if rng.random() < 0.3:
        argv.append(f'--things={odd_text(rng)}'.replace('\0', ''))
    return Case(
        f'command {argv!r:.120}',
        lambda: quiet(*argv),
        lambda status: status == 0 or 1 / 0,
        ('name', 'word', 'classes', 'vocabulary', 'things'),
    )


def quiet(*argv):
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        return run_command(*argv)


def test_vocabularies(count, tiny_inferencer, tmp_path):
    def make(rng):
        chance = rng.random()
        if chance < 0.35:
            return of_list(rng, tiny_inferencer)
        if chance < 0.5:
            return of_text_file(rng, tmp_path)
        if chance < 0.75:
            return of_json_file(rng, tmp_path)
        if chance < 0.9:
            return of_import(rng, tmp_path)
        return of_command(rng)

    fuzz('vocabularies', make, count)
