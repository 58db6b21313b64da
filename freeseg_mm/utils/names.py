"""Characters of class names and file names: one set of rules everywhere."""

import unicodedata

# Spelling in Persian, in Indic scripts and in emoji.
_JOINERS = '\u200c\u200d'
# Letters and signs that show nothing.
_BLANK = '\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0'
_PRINTED = f'\n\t{_JOINERS}'
_SHOWN = 60
# Controls, formats (zero-width, bidi), surrogates, line and paragraph ends.
_REFUSED = ('Cc', 'Cf', 'Cs', 'Zl', 'Zp')


def normal_name(name: str) -> str:
    """Spell a class name in the one way that it has everywhere.

    Args:
        name: As somebody wrote it.

    Returns:
        The name in Unicode's composed form (NFC), each run of spaces, those
        that do not break among them, as one space, none at the ends.

    Raises:
        ValueError: See :func:`require_visible`; or if nothing is left.
    """
    if name.isascii() and name.isprintable() and '  ' not in name:
        normal = name.strip()
    else:
        require_visible(name)
        normal = ' '.join(unicodedata.normalize('NFC', name).split())
    if not normal:
        raise ValueError(f'the name {shown(name)} is empty')
    return normal


def require_visible(name: str) -> None:
    """Refuse characters that nobody sees, or that reorder what others see.

    The joiners of Persian, Indic scripts and emoji (ZWNJ, ZWJ) may stand
    between two characters that are not ASCII.

    Raises:
        ValueError: Naming the first one and its place.
    """
    if name.isascii() and name.isprintable():
        return
    for place, letter in enumerate(name):
        if letter in _JOINERS:
            around = name[:place][-1:], name[place + 1 :][:1]
            if all(
                each > '\x7f' and not each.isspace() and each not in _JOINERS
                for each in around
            ):
                continue
        elif letter not in _BLANK and (
            unicodedata.category(letter) not in _REFUSED
        ):
            continue
        title = unicodedata.name(letter, 'control character')
        raise ValueError(
            f'the name {shown(name)} holds U+{ord(letter):04X} ({title}) as '
            f'character {place + 1}, which nobody can see; write it without'
        )


def printable(text: str) -> str:
    """Text for a terminal, which obeys some of what nobody sees.

    Returns:
        The same, with the characters that :func:`require_visible` refuses
        spelled out as in Python; line breaks, tabs and joiners stay.
    """
    return ''.join(
        x.encode('unicode_escape').decode()
        if unicodedata.category(x) in _REFUSED and x not in _PRINTED
        else x
        for x in text
    )


def shown(value: object) -> str:
    """Representation of a value, cut for a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'
