"""A file is whole and the right one, or there is a sentence."""

import hashlib
import socket
import threading

import pytest

from freeseg_mm.zoo.downloads import _direct, download

CONTENT = bytes(range(256)) * 400
SHA = hashlib.sha256(CONTENT).hexdigest()
CONFIRMATION = b"""<!DOCTYPE html><html><head><title>Virus scan warning</title>
</head><body><form id="download-form" action="/sent" method="get">
<input type="submit" value="Download anyway">
<input type="hidden" name="id" value="abc">
<input type="hidden" name="confirm" value="t">
<input type="hidden" name="uuid" value="1-2&amp;3"></form></body></html>"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'new' / 'weights.pth'


def parts(path):
    """What lies beside the file, locks aside."""
    return sorted(
        entry.name
        for entry in path.parent.iterdir()
        if not entry.name.startswith('.') and entry != path
    )


def ranges(server):
    return [headers.get('Range') for _, headers in server.requests]


def test_whole_file(server, path):
    url = server.serve('/w.pth', CONTENT)
    assert download(url, path) == SHA
    assert path.read_bytes() == CONTENT
    assert parts(path) == []


def test_file_that_is_there_is_not_fetched_again(server, path):
    url = server.serve('/w.pth', CONTENT)
    download(url, path, SHA[:8])
    assert download(url, path, SHA[:8]) == SHA
    assert len(server.requests) == 1


def test_goes_on_where_it_was_cut(server, path):
    url = server.serve('/w.pth', CONTENT, cut=1000)
    with pytest.raises(
        OSError, match=r'ended after 1,000 of 102,400 bytes; run it again'
    ):
        download(url, path)
    assert not path.exists()
    assert path.with_name('weights.pth.part').read_bytes() == CONTENT[:1000]
    assert download(url, path) == SHA
    assert path.read_bytes() == CONTENT
    assert ranges(server) == [None, 'bytes=1000-']
    assert parts(path) == []


def test_server_without_ranges_begins_anew(server, path):
    url = server.serve('/w.pth', CONTENT, cut=1000, ranges=False)
    with pytest.raises(OSError, match='ended after'):
        download(url, path)
    assert download(url, path) == SHA
    assert path.read_bytes() == CONTENT


def test_part_of_another_version_is_not_gone_on_with(server, path):
    url = server.serve('/w.pth', b'old' * 1000, cut=1000)
    with pytest.raises(OSError, match='ended after'):
        download(url, path)
    server.serve('/w.pth', CONTENT, etag='"2"')
    assert download(url, path) == SHA
    assert path.read_bytes() == CONTENT


def test_without_version_or_hash_it_begins_anew(server, path):
    url = server.serve('/w.pth', b'old' * 1000, cut=1000, etag=None)
    with pytest.raises(OSError, match='ended after'):
        download(url, path)
    server.serve('/w.pth', CONTENT, etag=None)
    download(url, path)
    assert ranges(server) == [None, None]
    assert path.read_bytes() == CONTENT


def test_without_version_a_hash_finds_out_another_part(server, path):
    path.parent.mkdir()
    path.with_name('weights.pth.part').write_bytes(b'old' * 100)
    url = server.serve('/w.pth', CONTENT, etag=None)
    with pytest.raises(ValueError, match=f'not {SHA[:8]}.*removed; run it'):
        download(url, path, SHA[:8])
    assert parts(path) == ['weights.pth.version']
    assert download(url, path, SHA[:8]) == SHA


@pytest.mark.parametrize(
    ('left', 'asked'), [(CONTENT, 1), (CONTENT + b'more', 2)]
)
def test_part_as_long_as_the_file(server, path, left, asked):
    """Killed between its last byte and its name; or it is another one."""
    path.parent.mkdir()
    path.with_name('weights.pth.part').write_bytes(left)
    path.with_name('weights.pth.version').write_text('"1"')
    url = server.serve('/w.pth', CONTENT)
    assert download(url, path) == SHA
    assert len(server.requests) == asked
    assert path.read_bytes() == CONTENT


def test_wrong_file(server, path):
    url = server.serve('/w.pth', CONTENT)
    with pytest.raises(
        ValueError, match=f'had SHA-256 {SHA} and not 01234567'
    ):
        download(url, path, '01234567')
    assert not path.exists()
    assert 'weights.pth.part' not in parts(path)


def test_not_found(server, path):
    url = server.serve('/w.pth', CONTENT).replace('w.pth', 'gone.pth')
    with pytest.raises(OSError, match=r'gone.pth: the server says 404 Not F'):
        download(url, path)
    assert parts(path) == []


def test_no_server(path, private_urls):
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{unused.getsockname()[1]}/w.pth'
    with pytest.raises(
        OSError, match=r'cannot be reached \(.*refused\); down'
    ):
        download(url, path)


def test_private_addresses_are_refused(server, path, monkeypatch):
    """Of a link, and of what a form of a page leads to."""
    url = server.serve('/w.pth', CONTENT)
    monkeypatch.delenv('FREESEG_MM_PRIVATE_URLS')
    with pytest.raises(
        ValueError, match='a private network; set FREESEG_MM_PRIVATE_URLS=1'
    ):
        download(url, path)
    assert server.requests == []
    assert parts(path) == []


def test_form_to_another_scheme_is_refused(server, path):
    page = CONFIRMATION.replace(b'action="/sent', b'action="file:///etc')
    url = server.serve('/w.pth', page, content_type='text/html')
    with pytest.raises(ValueError, match='expected a URL http'):
        download(url, path)
    assert parts(path) == []


def test_stalled_server(server, path):
    url = server.serve('/w.pth', CONTENT, cut=1000, stall=20.0)
    with pytest.raises(OSError, match=r'broke \(TimeoutError.*run it again'):
        download(url, path, timeout=0.3)
    server.files['/w.pth'].stall = 0.0
    server.released.set()
    assert download(url, path) == SHA


def test_web_page_in_place_of_a_file(server, path):
    page = b'<html><head><title>Quota &amp; more</title></head></html>'
    url = server.serve('/w.pth', CONTENT, pages=[page, page])
    with pytest.raises(
        OSError, match=r'web page \(Quota & more\) came in place of the file'
    ):
        download(url, path)
    assert parts(path) == []


def test_confirmation_is_confirmed(server, path):
    url = server.serve('/uc', b'', pages=[CONFIRMATION])
    server.serve('/sent', CONTENT)
    assert download(url + '?id=abc', path) == SHA
    assert [asked for asked, _ in server.requests] == [
        '/uc?id=abc',
        '/sent?id=abc&confirm=t&uuid=1-2%263',
    ]


def test_confirmation_goes_on_too(server, path):
    url = server.serve('/uc', b'', pages=[CONFIRMATION, CONFIRMATION])
    server.serve('/sent', CONTENT, cut=1000)
    with pytest.raises(OSError, match='ended after 1,000'):
        download(url, path)
    assert download(url, path) == SHA
    assert ranges(server)[-1] == 'bytes=1000-'


def test_confirmation_twice_is_no_file(server, path):
    url = server.serve('/uc', b'', pages=[CONFIRMATION])
    server.serve('/sent', b'', pages=[CONFIRMATION])
    with pytest.raises(OSError, match='Virus scan warning'):
        download(url, path)


@pytest.mark.parametrize(
    'url',
    [
        'https://drive.google.com/file/d/1-9_aZ/view',
        'https://drive.google.com/file/d/1-9_aZ/view?usp=sharing',
        'https://drive.google.com/uc?id=1-9_aZ',
    ],
)
def test_link_of_a_drive_page_becomes_the_files(url):
    expected = 'https://drive.google.com/uc?export=download&id=1-9_aZ'
    assert _direct(url) == expected


def test_other_links_stay():
    url = 'https://download.openmmlab.com/a.pth?id=3'
    assert _direct(url) == url


def test_no_space(server, path):
    url = server.serve('/w.pth', CONTENT, length=10**19 // 10**3)
    with pytest.raises(OSError, match=r'GB are needed but only .* are free'):
        download(url, path, max_bytes=10**20)
    assert not path.exists()


def test_too_large(server, path):
    url = server.serve('/w.pth', CONTENT)
    with pytest.raises(ValueError, match=r'102,400 bytes or more, at most 50'):
        download(url, path, max_bytes=50)
    assert not path.exists()


@pytest.mark.parametrize('url', ['file:///etc/passwd', 'ftp://a/b', 'w.pth'])
def test_other_addresses_are_refused(url, path):
    with pytest.raises(ValueError, match='expected an address of http'):
        download(url, path)


def fetch_at_once(number, url, path):
    """Digests and errors of calls that run side by side."""
    ends = []

    def fetch():
        try:
            ends.append(download(url, path))
        except OSError as error:
            ends.append(str(error))

    # a lock belongs to who opened it: threads stand for processes here
    threads = [threading.Thread(target=fetch) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def test_several_at_once(server, path, capsys):
    url = server.serve('/w.pth', CONTENT, delay=0.3)
    assert fetch_at_once(3, url, path) == [SHA] * 3
    assert len(server.requests) == 1
    waiting = 'another process downloads weights.pth; waiting for it'
    assert capsys.readouterr().err.count(waiting) == 2


def test_the_next_goes_on_where_another_was_cut(server, path):
    url = server.serve('/w.pth', CONTENT, cut=1000, stall=0.2)
    first, second = fetch_at_once(2, url, path)
    assert 'ended after 1,000 of' in first
    assert second == SHA
    assert path.read_bytes() == CONTENT
    assert ranges(server) == [None, 'bytes=1000-']


@pytest.mark.parametrize(
    ('head', 'words'),
    [
        ('200 OK\r\nContent-Length: many', ''),
        (f'200 OK\r\nContent-Length: {"9" * 5000}', ''),
        ('416 Range Not Satisfiable\r\nContent-Range: bytes */7', 'says 416'),
    ],
)
def test_lengths_that_are_none(path, private_urls, head, words):
    """Nor is a whole file asked for again and again."""
    with socket.create_server(('127.0.0.1', 0)) as listener:

        def reply():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(f'HTTP/1.1 {head}\r\n\r\n'.encode())

        thread = threading.Thread(target=reply, daemon=True)
        thread.start()
        url = f'http://127.0.0.1:{listener.getsockname()[1]}/w.pth'
        if words:
            with pytest.raises(OSError, match=f'{url}: .*{words}'):
                download(url, path)
        else:
            assert download(url, path) == hashlib.sha256().hexdigest()
        thread.join()
