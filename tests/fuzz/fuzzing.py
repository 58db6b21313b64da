"""Seeded bad inputs, and what may become of them.

A door is a place where something of a user or a stranger comes in. A case is
one input: the call that takes it, the rule that a right result follows, and
the names of which an error has to say one. Everything is made from
``random.Random``, so a number of a case makes the same case again.
"""

import argparse
import json
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from freeseg_mm.cli.main import USER_ERRORS, build_parser
from freeseg_mm.utils.errors import raised_here

SHOWN = 4
NESTED = 20_000


@dataclass
class Case:
    """One input.

    Attributes:
        what: How it was made, to understand a fault.
        call: Gives the input to the package.
        right: Refuses a wrong result by an AssertionError.
        names: An error's message holds one of these.
    """

    what: str
    call: Callable[[], Any]
    right: Callable[[Any], None]
    names: tuple[str, ...]


@dataclass
class Tally:
    """Outcomes of a door."""

    door: str
    right: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """Number of cases."""
        faults = sum(map(len, self.faults.values()))
        return self.right + self.errors.total() + faults

    def line(self) -> str:
        """A row of the table."""
        errors = ', '.join(f'{k} {n}' for k, n in self.errors.most_common())
        faults = sum(map(len, self.faults.values()))
        return (
            f'{self.door}: {self.inputs} inputs, {self.right} right, '
            f'{faults} faults; {errors}'
        )


TALLIES: list[Tally] = []
"""Of the doors of this process, for the table at its end."""


def fuzz(
    door: str,
    make: Callable[[random.Random], Case],
    count: int,
    seed: int = 0,
) -> None:
    """Send cases through a door.

    Args:
        door: Its name.
        make: Makes a case.
        count: Number of cases.
        seed: First part of each case's own seed.

    Raises:
        AssertionError: If an outcome is neither a right result nor an error
            that names its input; each kind of fault is shown.
    """
    tally = Tally(door)
    TALLIES.append(tally)
    for number in range(count):
        case = make(random.Random(f'{door}/{seed}/{number}'))
        label = f'{number} ({case.what})'
        try:
            result = case.call()
        except Exception as error:
            kind = fault(error, case.names)
            if kind is None:
                tally.errors[type(error).__name__] += 1
            else:
                label += f': {str(error)[:200]}'
                tally.faults.setdefault(kind, []).append(label)
            continue
        try:
            case.right(result)
        except Exception as error:
            kind = f'wrong result: at {_place(error)}'
            label += f': {error!r}'[:200]
            tally.faults.setdefault(kind, []).append(label)
        else:
            tally.right += 1
    assert not tally.faults, '\n'.join(
        '\n    '.join([f'{len(cases)} of {kind}', *cases[:SHOWN]])
        for kind, cases in tally.faults.items()
    )


def fault(error: Exception, names: Iterable[str]) -> str | None:
    """Say why an error is none that a user can use.

    Such is one of the command's ``USER_ERRORS``, or a RuntimeError of the
    package; a KeyError has to be a sentence of the package. It names the
    input, and is not a bare word of a library.
    """
    text = str(error)
    ours = raised_here(error)
    if isinstance(error, RecursionError | NotImplementedError):
        wrong = 'raw'
    elif isinstance(error, KeyError):
        wrong = '' if ours and ' ' in str(error.args[0]) else 'raw'
    elif isinstance(error, RuntimeError):
        wrong = '' if ours else 'raw'
    elif not isinstance(error, USER_ERRORS):
        wrong = 'raw'
    elif len(text) > 20_000:
        wrong = f'{len(text)} letters long'
    else:
        wrong = ''
    if not wrong and not any(name in text for name in names):
        wrong = 'names nothing'
    if not wrong:
        return None
    return f'{wrong}: {type(error).__name__} at {_place(error)}'


def _frames(error: Exception) -> list[tuple[str, int]]:
    return [
        (str(frame.f_globals.get('__name__')), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]


def _place(error: Exception) -> str:
    """Last place in the package, and the last of all."""
    frames = _frames(error)
    own = [x for x in frames if x[0].startswith('freeseg_mm')] or frames
    places = dict.fromkeys(
        f'{name}:{line}' for name, line in (own[-1], frames[-1])
    )
    return ' -> '.join(places)


def run_command(*argv: str) -> int:
    """Run ``freeseg-mm`` with its errors as they are, unlike ``main``.

    Raises:
        ValueError: For wrong usage, with what argparse says.
    """

    def error(self, message):
        raise ValueError(message)

    usual = argparse.ArgumentParser.error
    argparse.ArgumentParser.error = error
    try:
        args = build_parser().parse_args(argv)
    finally:
        argparse.ArgumentParser.error = usual
    return args.run(args) or 0


def mutated_bytes(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """Damage a file as disks, networks and editors do; also say how."""
    data = bytearray(content)
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(data) + 1)
        # headers and ends decide more than pixels do
        if rng.random() < 0.5:
            place = min(place, rng.randrange(64))
        size = rng.choice((1, 2, 4, 16, 200))
        how = rng.choice(
            ('flip', 'set', 'cut', 'insert', 'delete', 'repeat', 'number')
        )
        done.append(f'{how}@{place}')
        if how == 'flip' and data:
            data[min(place, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif how == 'set':
            data[place : place + size] = rng.randbytes(size)
        elif how == 'cut':
            del data[place:]
        elif how == 'insert':
            data[place:place] = rng.choice(
                (rng.randbytes(size), b'\0' * size, b'\xef\xbb\xbf', b'\xff')
            )
        elif how == 'delete':
            del data[place : place + size]
        elif how == 'repeat':
            data[place:place] = data[place : place + size]
        elif how == 'number':
            number = rng.choice((0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1))
            order = rng.choice(('big', 'little'))
            data[place : place + 4] = number.to_bytes(4, order)
    return '+'.join(done), bytes(data)


def odd_value(rng: random.Random) -> Any:
    """A value of JSON that few expect."""
    return rng.choice(
        (
            None, True, False, 0, 1, -1, 2, 2**31, 2**63, -(2**64), 10**30,
            1.5, 48.0, -0.0, 1e99, float('nan'), float('inf'), '', ' ', '0',
            '48', 'x', 'nan', '\0', 'a\0b', '../x', '/x', '..', '.', 'ü',
            '\u202e', '\u200b', 'x' * 3000, [], [None], [[]], [1], ['x'],
            {}, {'a': 1}, {'': None}, [[[[[[1]]]]]], [1, 'x', None],
        )
    )  # fmt: skip


def nodes(content: Any, path: tuple = ()) -> Iterable[tuple]:
    """Paths of all values below the top."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(content, dict):
        pairs = content.items()
    elif isinstance(content, list | tuple):
        pairs = enumerate(content)
    for key, value in pairs:
        yield (*path, key)
        yield from nodes(value, (*path, key))


def mutated_tree(
    rng: random.Random,
    content: Any,
    value: Callable[[random.Random], Any] = odd_value,
) -> tuple[str, Any]:
    """Change some values of a tree of dictionaries and lists; say which."""
    content = deepcopy(content)
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        paths = list(nodes(content))
        if not paths:
            break
        # entries of long lists would else get all
        depth = rng.randint(1, max(map(len, paths)))
        path = rng.choice([x for x in paths if len(x) == depth] or paths)
        node = content
        for key in path[:-1]:
            node = node[key]
        if isinstance(node, tuple):
            continue
        how = rng.choice(('odd', 'odd', 'odd', 'delete', 'copy', 'other'))
        if how == 'odd':
            node[path[-1]] = new = value(rng)
            how = f'= {new!r}'[:40]
        elif how == 'delete':
            del node[path[-1]]
        elif how == 'copy' and isinstance(node, list):
            node.append(deepcopy(node[path[-1]]))
        elif how == 'copy':
            node[f'{path[-1]}x'] = node[path[-1]]
        else:  # the value of a neighbour
            keys = list(node) if isinstance(node, dict) else range(len(node))
            node[path[-1]] = deepcopy(node[rng.choice(list(keys))])
        done.append(f'{".".join(map(str, path))} {how}')
    return '; '.join(done), content


def json_bytes(rng: random.Random, content: Any) -> tuple[str, bytes]:
    """The text of a JSON file, of changed content or damaged itself."""
    chance = rng.random()
    if chance < 0.05:
        return 'whole', json.dumps(content).encode()
    if chance < 0.75:
        what, content = mutated_tree(rng, content)
        return what, json.dumps(content).encode()
    text = json.dumps(content).encode()
    if chance < 0.95:
        return mutated_bytes(rng, text)
    return rng.choice(
        (
            ('empty', b''),
            ('BOM', b'\xef\xbb\xbf' + text),
            ('UTF-16', text.decode().encode('utf-16')),
            ('nested lists', b'[' * NESTED),
            ('nested objects', b'{"a":' * NESTED),
            ('long number', b'{"images": ' + b'9' * 5000 + b'}'),
            ('array', b'[' + text + b']'),
            ('twice', text + text),
            ('null', b'null'),
            ('noise', rng.randbytes(500)),
        )
    )


LETTERS = (
    *'abcxyz ,|;:="\'\\/#%{}[]()<>&*?\n\r\t\0', 'ä', 'e\u0301', '猫', '🐈',
    '\u200b', '\u200d', '\u202e', '\ufeff', '\xa0', '\u2028', '\x1b', 'İ',
    'ß', '\u0345', '\U000e0001',
)  # fmt: skip


def odd_text(rng: random.Random, longest: int = 12) -> str:
    """A name that few would write."""
    if rng.random() < 0.03:
        return rng.choice(LETTERS) * rng.choice((100, 5000))
    return ''.join(rng.choices(LETTERS, k=rng.randrange(longest)))


def mutated_text(rng: random.Random, text: str) -> tuple[str, str]:
    """Change some letters or lines of a text; say how."""
    done = []
    for _ in range(rng.choice((1, 1, 2, 4))):
        how = rng.choice(('insert', 'delete', 'replace', 'line', 'cut'))
        place = rng.randrange(len(text) + 1)
        size = rng.choice((1, 1, 3, 10))
        if how == 'insert':
            text = text[:place] + odd_text(rng) + text[place:]
        elif how == 'delete':
            text = text[:place] + text[place + size :]
        elif how == 'replace':
            text = text[:place] + odd_text(rng) + text[place + size :]
        elif how == 'line':
            lines = text.splitlines(keepends=True) or ['']
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            text = ''.join(lines)
        else:
            text = text[:place]
        done.append(f'{how}@{place}')
    return '+'.join(done), text
