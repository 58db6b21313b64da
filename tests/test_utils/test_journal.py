import pytest

from freeseg_mm.utils.journal import Journal

SUBJECT = {'rule': 1}


@pytest.fixture
def path(tmp_path):
    """A journal with the records 1 and 2."""
    path = tmp_path / 'journal.jsonl'
    with Journal(path, SUBJECT) as journal:
        assert list(journal) == []
        journal.append({'id': 1})
        journal.append({'id': 2})
    return path


def records(path, subject=SUBJECT):
    with Journal(path, subject) as journal:
        return list(journal)


def test_records_are_found_again(path):
    assert records(path) == [{'id': 1}, {'id': 2}]


def test_more_can_be_added(path):
    with Journal(path, SUBJECT) as journal:
        journal.append({'id': 3})
    assert records(path) == [{'id': 1}, {'id': 2}, {'id': 3}]


def test_record_is_on_disk_at_once(path):
    with Journal(path, SUBJECT) as journal:
        journal.append({'id': 3})
        assert path.read_text().endswith('{"id": 3}\n')


@pytest.mark.parametrize('num_bytes', [1, 4, 9])
def test_line_cut_short_is_dropped(path, num_bytes):
    """Cut by 1 byte the line lacks only its end, and could be trusted."""
    path.write_bytes(path.read_bytes()[:-num_bytes])
    with Journal(path, SUBJECT) as journal:
        assert list(journal) == [{'id': 1}]
        journal.append({'id': 3})
    assert records(path) == [{'id': 1}, {'id': 3}]


def test_records_of_another_subject_are_dropped(path):
    assert records(path, {'rule': 2}) == []
    assert records(path) == []


def test_empty_file(path):
    path.write_text('')
    assert records(path) == []


def test_records_survive_an_error(path):
    def fail():
        with Journal(path, SUBJECT) as journal:
            journal.append({'id': 3})
            raise RuntimeError('stop')

    with pytest.raises(RuntimeError, match='stop'):
        fail()
    assert records(path) == [{'id': 1}, {'id': 2}, {'id': 3}]


def test_length_and_subject(path):
    with path.open('a') as file:
        file.write('{"id": 3')
    with Journal(path, SUBJECT) as journal:
        assert len(journal) == 2
        journal.append({'id': 4})
        assert len(journal) == len(list(journal)) == 3
    assert Journal.subject_of(path) == SUBJECT
    assert Journal.subject_of(path.parent / 'gone') is None


def test_a_damaged_line_is_named(path):
    path.write_text(path.read_text().replace('{"id": 1}', '{"id": 1'))
    with pytest.raises(ValueError, match=r'journal\.jsonl: '):
        records(path)


def test_remove(path):
    with Journal(path, SUBJECT) as journal:
        journal.remove()
    assert not path.exists()
