import pytest

from freeseg_mm.apis.vocabulary import NOT_KNOWN, read_classes, thing_mark
from freeseg_mm.structures import Vocabulary


def test_synonyms_stand_behind_bars():
    words = read_classes(['cat|kitten| tabby', 'dog'])
    assert words.names == ('cat', 'dog')
    assert words.synonyms == (('kitten', 'tabby'), ())


def test_a_word_is_what_coco_ade20k_or_voc_say_and_else_a_thing():
    words = read_classes(['Cat', 'grass', 'chandelier', 'dragon', 'wall'])
    assert words.is_thing == (True, False, True, True, False)


def test_a_synonym_may_be_the_known_one():
    assert read_classes(['moggy|cat', 'turf|grass']).is_thing == (True, False)


def test_things_decide_all():
    words = read_classes(['cat|kitten', 'grass'], things=['grass'])
    assert words.is_thing == (False, True)
    words = read_classes(['cat|kitten', 'grass'], things=['cat|kitten'])
    assert words.is_thing == (True, False)
    assert read_classes(['cat', 'dog'], things=[]).is_thing == (False, False)


def test_the_weights_own_vocabulary_is_asked_first():
    own = Vocabulary.from_names(['cat', 'sofa'], things=['sofa'], name='own')
    assert thing_mark(['cat'], own) == (False, 'own')
    assert thing_mark(['cat']) == (True, 'coco_stuff171')
    assert thing_mark(['dragon'], own) == (True, NOT_KNOWN)


def test_seen_is_what_the_weights_were_trained_on():
    trained_on = Vocabulary.from_names(
        ['cat', 'zebra', 'grass'],
        unseen=['zebra'],
        synonyms={'grass': ['lawn']},
    )
    words = ['cat', 'zebra', 'Lawn', 'dragon']
    read = read_classes(words, trained_on=trained_on)
    assert read.is_seen == (True, False, True, False)
    assert read_classes(words).is_seen == (False,) * 4
    assert read_classes(words, unseen=['cat']).is_seen == (
        False,
        True,
        True,
        True,
    )


@pytest.mark.parametrize(
    ('short', 'name', 'size'),
    [
        ('coco', 'coco_stuff171', 171),
        ('ade20k', 'ade20k150', 150),
        ('voc', 'voc20', 20),
    ],
)
def test_short_names(short, name, size):
    words = read_classes(short)
    assert words.name == name
    assert len(words) == size
    assert words.is_thing == Vocabulary.load(name).is_thing


def test_a_text_file_has_a_class_a_line(tmp_path):
    path = tmp_path / 'mine.txt'
    path.write_text('cat|kitten\n\ngrass\n', 'utf-8')
    words = read_classes(path)
    assert words.names == ('cat', 'grass')
    assert words.synonyms == (('kitten',), ())
    assert words.is_thing == (True, False)
    assert words.name == 'mine'


def test_a_json_file_keeps_its_marks(tmp_path):
    path = tmp_path / 'mine.json'
    path.write_text('{"classes": ["cat", "grass"], "things": ["grass"]}')
    assert read_classes(path).is_thing == (False, True)
    assert read_classes(path, things=['cat']).is_thing == (True, False)


def test_a_vocabulary_is_taken_as_it_is(tiny_vocabulary):
    assert read_classes(tiny_vocabulary) is tiny_vocabulary
    with pytest.raises(TypeError, match="'tiny' says itself which"):
        read_classes(tiny_vocabulary, things=['cat'])


@pytest.mark.parametrize(
    ('words', 'error', 'message'),
    [
        ([], ValueError, 'is empty; give at least one'),
        (['cat', ' '], ValueError, "the word ' ' is empty"),
        (['cat||tabby'], ValueError, "'cat||tabby' is empty or has an empty"),
        (['cat', 'dog|Cat'], ValueError, "more than once: \\['cat'\\]"),
        (['cat', 3], TypeError, 'words that are strings, got 3'),
        ('cat, dog', FileNotFoundError, "as \\['cat', 'dog'\\]"),
        ('no.txt', FileNotFoundError, 'no vocabulary'),
        ('no.json', FileNotFoundError, "no vocabulary 'no.json'"),
    ],
)
def test_refuses(words, error, message):
    with pytest.raises(error, match=message.replace('||', r'\|\|')):
        read_classes(words)


def test_a_broken_text_file_is_named(tmp_path):
    path = tmp_path / 'mine.txt'
    path.write_text('cat\ncat\n')
    with pytest.raises(ValueError, match=r'mine.txt \(text, a name a line\)'):
        read_classes(path)
    path.write_text('cat|\n')
    with pytest.raises(ValueError, match=r"mine.txt .*'cat\|' is empty"):
        read_classes(path)


def test_an_unknown_mark_is_refused():
    with pytest.raises(ValueError, match=r"'things' names unknown .*'cow'"):
        read_classes(['cat'], things=['cow'])
    with pytest.raises(ValueError, match=r"'unseen' names unknown .*'cow'"):
        read_classes(['cat'], unseen=['cow'])


def test_what_is_no_list_is_shown():
    with pytest.raises(TypeError, match='strings as class names, got 7'):
        read_classes(7)
    with pytest.raises(TypeError, match='strings as things, got True'):
        read_classes(['cat'], things=True)


def test_long_words_are_cut_in_messages():
    with pytest.raises(ValueError, match='the name') as caught:
        read_classes(['cat' + '\u200b' * 5000])
    assert len(str(caught.value)) < 300
