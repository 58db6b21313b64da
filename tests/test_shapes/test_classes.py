from freeseg_mm.shapes.classes import (
    COLOURS,
    FIGURES,
    STUFF,
    shapes_vocabulary,
    split_thing_name,
    thing_name,
)


def names_where(flag):
    vocabulary = shapes_vocabulary()
    return [
        name
        for name, is_thing, is_seen in zip(
            vocabulary.names,
            vocabulary.is_thing,
            vocabulary.is_seen,
            strict=True,
        )
        if flag(is_thing, is_seen)
    ]


def test_counts_of_the_split():
    assert len(shapes_vocabulary()) == 45
    assert len(names_where(lambda thing, seen: thing and seen)) == 28
    assert len(names_where(lambda thing, seen: thing and not seen)) == 8
    assert names_where(lambda thing, seen: not thing and not seen) == [
        'water',
        'wood',
    ]


def test_every_unseen_combination_has_seen_parts():
    seen = [
        split_thing_name(name)
        for name in names_where(lambda thing, seen: thing and seen)
    ]
    unseen = [
        split_thing_name(name)
        for name in names_where(lambda thing, seen: thing and not seen)
    ]
    assert ('red', 'triangle') in unseen
    assert set(COLOURS) == {colour for colour, _ in seen}
    assert set(FIGURES) == {figure for _, figure in seen}
    # Every colour and figure is also tested on something unseen.
    assert set(COLOURS) == {colour for colour, _ in unseen}
    assert set(FIGURES) == {figure for _, figure in unseen}


def test_things_come_first_colour_by_colour():
    names = shapes_vocabulary().names
    assert names[0] == 'red circle'
    assert names[7] == 'green triangle'
    assert names[36:] == STUFF


def test_thing_name_and_its_inverse():
    assert thing_name('red', 'ring') == 'red ring'
    assert split_thing_name('red ring') == ('red', 'ring')
