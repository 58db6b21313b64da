import re
import resource
import signal
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from freeseg_mm.analysis.results.figures import new_figure, save_figure
from freeseg_mm.utils import files
from freeseg_mm.utils.files import make_folder
from freeseg_mm.utils.image_files import write_label_map, write_picture
from freeseg_mm.utils.panoptic_png import encode_panoptic_png
from freeseg_mm.utils.tables import write_csv


@pytest.fixture
def two_files(tmp_path):
    """A folder with a.txt (3 bytes) and b.txt (5 bytes)."""
    folder = tmp_path / 'source'
    folder.mkdir()
    (folder / 'a.txt').write_text('aaa')
    (folder / 'b.txt').write_text('bbbbb')
    return folder


class TestAtomicPath:
    def test_final_name_appears_with_the_whole_content(self, tmp_path):
        path = tmp_path / 'a.txt'
        with files.atomic_path(path) as name:
            name.write_text('half')
            assert name.parent == path.parent
            assert not path.exists()
            name.write_text('whole')
        assert path.read_text() == 'whole'
        assert list(tmp_path.iterdir()) == [path]

    def test_failure_keeps_what_was_there(self, tmp_path):
        path = tmp_path / 'a.txt'
        path.write_text('old')

        def write_half():
            with files.atomic_path(path) as name:
                name.write_text('half')
                raise RuntimeError('stop')

        with pytest.raises(RuntimeError, match='stop'):
            write_half()
        assert path.read_text() == 'old'
        assert list(tmp_path.iterdir()) == [path]

    def test_left_over_of_a_killed_run_is_replaced(self, tmp_path):
        path = tmp_path / 'a.txt'
        with files.atomic_path(path) as name:
            left_over = name
            name.write_text('')
        left_over.write_text('half')
        with files.atomic_path(path) as name:
            name.write_text('whole')
        assert list(tmp_path.iterdir()) == [path]


class TestJson:
    def test_round_trip(self, tmp_path):
        path = tmp_path / 'a.json'
        content = {'b': [1, {'c': 'ä'}], 'a': None}
        files.write_json(content, path)
        assert files.read_json(path, ['b']) == content
        assert path.read_text() == '{"b":[1,{"c":"\\u00e4"}],"a":null}\n'

    def test_indent(self, tmp_path):
        files.write_json({'a': 1}, tmp_path / 'a.json', indent=1)
        assert (tmp_path / 'a.json').read_text() == '{\n "a": 1\n}\n'

    def test_missing(self, tmp_path):
        path = tmp_path / 'a.json'
        with pytest.raises(
            FileNotFoundError, match=f'missing file {re.escape(str(path))}'
        ):
            files.read_json(path)

    @pytest.mark.parametrize(
        ('text', 'message'),
        [
            (b'{"a": [1, 2', r' is not JSON \(.*\); is it complete\?'),
            (b'\xff\xfe\xfa', ' is not JSON'),
            (b'[]', ': expected a JSON object, got list'),
            (
                b'{"a": [], "b": {}}',
                r": expected lists under the keys \['a', 'b', 'c'\], none "
                r"under \['b', 'c'\]; is it the right file\?",
            ),
        ],
    )
    def test_refusals_name_the_file(self, tmp_path, text, message):
        path = tmp_path / 'a.json'
        path.write_bytes(text)
        with pytest.raises(ValueError, match=re.escape(str(path)) + message):
            files.read_json(path, ['a', 'b', 'c'])


class TestPresence:
    def test_file_sizes(self, two_files):
        (two_files / 'folder').mkdir()
        assert files.file_sizes(two_files) == {'a.txt': 3, 'b.txt': 5}

    def test_no_folder_has_no_files(self, tmp_path):
        assert files.file_sizes(tmp_path / 'none') == {}

    def test_require_files_names_the_first_and_counts(self, two_files):
        files.require_files(['a.txt'], {'a.txt': 3}, two_files)
        with pytest.raises(
            FileNotFoundError,
            match=re.escape(
                f'missing file {two_files / "c.txt"}; 2 of 3 files are '
                'missing there'
            ),
        ):
            files.require_files(
                ['a.txt', 'c.txt', 'd.txt'], {'a.txt': 3}, two_files
            )

    def test_require_free_space(self, tmp_path, monkeypatch):
        monkeypatch.setattr(
            files.shutil,
            'disk_usage',
            lambda folder: SimpleNamespace(free=2_000_000_000),
        )
        files.require_free_space(tmp_path, 2_000_000_000)
        with pytest.raises(
            OSError,
            match=re.escape(
                f'{tmp_path}: about 3.0 GB are needed but only 2.0 GB are free'
            ),
        ):
            files.require_free_space(tmp_path, 3_000_000_000)


class TestLink:
    def test_is_relative(self, two_files, tmp_path):
        target = tmp_path / 'there' / 'link'
        target.parent.mkdir()
        files.link(two_files, target)
        assert str(target.readlink()) == '../source'
        assert (target / 'a.txt').read_text() == 'aaa'

    def test_holds_through_a_linked_parent(self, two_files, tmp_path):
        """`..` is taken from where the link really lies."""
        real = tmp_path / 'deep' / 'real'
        real.mkdir(parents=True)
        (tmp_path / 'alias').symlink_to(real)
        files.link(two_files, tmp_path / 'alias' / 'link')
        assert (real / 'link' / 'a.txt').read_text() == 'aaa'

    def test_again_is_no_error(self, two_files, tmp_path):
        target = tmp_path / 'link'
        files.link(two_files / 'a.txt', target)
        files.link(two_files / 'a.txt', target)
        assert target.read_text() == 'aaa'

    def test_is_absolute_between_drives(
        self, two_files, tmp_path, monkeypatch
    ):
        def refuse(path, start):
            raise ValueError('path is on another mount')

        monkeypatch.setattr(files.os.path, 'relpath', refuse)
        target = tmp_path / 'link'
        files.link(two_files, target)
        assert target.readlink() == two_files.resolve()

    @pytest.mark.parametrize('kind', ['file', 'folder', 'link', 'broken'])
    def test_anything_else_is_left_alone(self, two_files, tmp_path, kind):
        target = tmp_path / 'target'
        {
            'file': target.touch,
            'folder': target.mkdir,
            'link': lambda: target.symlink_to(two_files / 'b.txt'),
            'broken': lambda: target.symlink_to('nowhere'),
        }[kind]()
        with pytest.raises(
            FileExistsError,
            match=f'{re.escape(str(target))} exists and is no link to',
        ):
            files.link(two_files / 'a.txt', target)


class TestCopy:
    def test_copies_what_is_missing_or_shorter(self, two_files, tmp_path):
        target = tmp_path / 'target'
        target.mkdir()
        (target / 'a.txt').write_text('xxx')  # as long: taken for a copy
        (target / 'b.txt').write_text('b')
        (two_files / 'c.txt').write_text('c')
        files.copy_folder(two_files, target)
        assert {path.name: path.read_text() for path in target.iterdir()} == {
            'a.txt': 'xxx',
            'b.txt': 'bbbbb',
            'c.txt': 'c',
        }

    def test_makes_the_folder(self, two_files, tmp_path):
        files.copy_folder(two_files, tmp_path / 'x' / 'y')
        assert (tmp_path / 'x' / 'y' / 'a.txt').read_text() == 'aaa'

    @pytest.mark.parametrize('kind', ['file', 'link'])
    def test_folder_is_refused_where_something_else_is(
        self, two_files, tmp_path, kind
    ):
        target = tmp_path / 'target'
        target.touch() if kind == 'file' else target.symlink_to(two_files)
        with pytest.raises(
            FileExistsError,
            match=f'{re.escape(str(target))} exists and is no folder to copy',
        ):
            files.copy_folder(two_files, target)

    def test_file(self, two_files, tmp_path):
        target = tmp_path / 'a.txt'
        files.copy_file(two_files / 'a.txt', target)
        assert target.read_text() == 'aaa'
        target.write_text('yyy')
        files.copy_file(two_files / 'a.txt', target)
        assert target.read_text() == 'yyy'
        target.write_text('y')
        files.copy_file(two_files / 'a.txt', target)
        assert target.read_text() == 'aaa'

    def test_file_does_not_write_through_a_link(self, two_files, tmp_path):
        target = tmp_path / 'link'
        target.symlink_to(two_files / 'b.txt')
        with pytest.raises(FileExistsError, match='exists and is a link'):
            files.copy_file(two_files / 'a.txt', target)
        assert (two_files / 'b.txt').read_text() == 'bbbbb'


@contextmanager
def full_disk(num_bytes):
    """No file may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


NOISE = np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)
WRITERS = {
    'a.json': lambda path: files.write_json(list(range(999)), path),
    'a.md': lambda path: files.write_text('text' * 999, path),
    'a.csv': lambda path: write_csv(path, ['a'], [[i] for i in range(9999)]),
    'a.png': lambda path: write_picture(NOISE, path),
    'labels.png': lambda path: write_label_map(NOISE[..., 0], path),
    'ids.png': lambda path: encode_panoptic_png(NOISE[..., 0], path),
    'figure.png': lambda path: save_figure(new_figure(2, 2), path),
}


@pytest.mark.parametrize('name', WRITERS)
class TestFullDisk:
    def test_nothing_half_written_stays(self, tmp_path, name):
        with full_disk(500), pytest.raises(OSError, match='too large'):
            WRITERS[name](tmp_path / name)
        assert not list(tmp_path.iterdir())

    def test_what_was_there_stays(self, tmp_path, name):
        (tmp_path / name).write_text('before')
        with full_disk(500), pytest.raises(OSError, match='too large'):
            WRITERS[name](tmp_path / name)
        assert (tmp_path / name).read_text() == 'before'
        assert len(list(tmp_path.iterdir())) == 1

    def test_folder_that_cannot_be_written(self, tmp_path, name):
        """Root may write read-only folders, but not into a file."""
        (tmp_path / 'file').write_text('')
        with pytest.raises(OSError, match='file'):
            WRITERS[name](tmp_path / 'file' / name)
        assert [path.name for path in tmp_path.iterdir()] == ['file']


class TestRequireWritable:
    def test_leaves_nothing(self, tmp_path):
        files.require_writable(tmp_path / 'new' / 'a.json')
        assert not list((tmp_path / 'new').iterdir())

    def test_what_is_there_stays(self, two_files):
        files.require_writable(two_files / 'a.txt')
        assert (two_files / 'a.txt').read_text() == 'aaa'

    def test_folder(self, two_files):
        with pytest.raises(IsADirectoryError, match='is a folder, expected'):
            files.require_writable(two_files)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').touch()
    (tmp_path / 'link').symlink_to('gone/too')
    for name, why in (
        ('file', 'File exists'),
        ('file/a', 'Not a directory'),
        ('link', f'{tmp_path}/link is a link that leads nowhere'),
        ('link/a/b', f'{tmp_path}/link is a link that leads nowhere'),
    ):
        with pytest.raises(OSError, match='cannot make this folder') as caught:
            make_folder(tmp_path / name)
        assert why in caught.value.strerror
        assert caught.value.filename == str(tmp_path / name)
    assert make_folder(tmp_path / 'a/b').is_dir()
