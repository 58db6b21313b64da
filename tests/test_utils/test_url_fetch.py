import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest

from freeseg_mm.utils.fetch import fetch, require_public

CONTENT = b'x' * 1000


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Keep quiet."""

    def do_GET(self):  # noqa: N802 - http.server's name
        """Serve what the path says."""
        if self.path.startswith('/to/'):
            self.send_response(302)
            self.send_header('Location', self.path[4:])
            self.end_headers()
            return
        if self.path.startswith('/loop'):
            self.send_response(302)
            self.send_header('Location', f'/loop?{time.monotonic()}')
            self.end_headers()
            return
        self.send_response(404 if self.path == '/gone' else 200)
        if self.path in ('/a', '/a%20b'):
            self.send_header('Content-Length', '1000')
        if self.path == '/short':
            self.send_header('Content-Length', '2000')
        self.end_headers()
        if self.path == '/slow':
            for _ in range(60):
                time.sleep(0.05)
                self.wfile.write(b'x')
            return
        self.wfile.write(CONTENT)


@pytest.fixture
def server(private_urls):
    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


def fetched(url, **options):
    target = BytesIO()
    fetch(url, target, **options)
    return target.getvalue()


@pytest.mark.parametrize('path', ['/a', '/a b', '/endless', '/to//a'])
def test_content(server, path):
    assert fetched(server + path, max_bytes=1000) == CONTENT


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('/gone', 'the server says 404'),
        ('/short', 'it ended after 1,000 of 2,000 bytes|IncompleteRead'),
        ('/loop', 'redirect'),
        ('/to/file:///etc/passwd', 'redirect|file'),
        ('/to/ftp://127.0.0.1/x', 'expected a URL http'),
    ],
)
def test_errors_name_the_url(server, path, words):
    with pytest.raises(ValueError, match=rf'{server}{path}: .*({words})'):
        fetched(server + path)


@pytest.mark.parametrize('path', ['/a', '/endless'])
def test_size_has_a_limit(server, path, monkeypatch):
    with pytest.raises(ValueError, match='more than 999 bytes'):
        fetched(server + path, max_bytes=999)
    monkeypatch.setenv('FREESEG_MM_MAX_DOWNLOAD', '999')
    with pytest.raises(ValueError, match='FREESEG_MM_MAX_DOWNLOAD sets'):
        fetched(server + path)
    monkeypatch.setenv('FREESEG_MM_MAX_DOWNLOAD', 'much')
    with pytest.raises(ValueError, match="DOWNLOAD='much': expected"):
        fetched(server + path)


def test_time_has_a_limit_that_single_bytes_do_not_extend(server):
    start = time.monotonic()
    with pytest.raises(ValueError, match='slow: it took longer than 0.3 s'):
        fetched(f'{server}/slow', seconds=0.3)
    assert time.monotonic() - start < 2


def test_what_came_when_time_was_up_is_not_taken_for_whole(
    server, monkeypatch
):
    """The end of a connection that the limit closed looks like any end."""

    class AtOnce(threading.Timer):
        def start(self):
            self.function()

    monkeypatch.setattr(threading, 'Timer', AtOnce)
    with pytest.raises(ValueError, match='it took longer than 60 s'):
        fetched(f'{server}/slow', seconds=60)


@contextmanager
def replying(content):
    """Serve raw bytes once, whatever is asked."""
    with socket.create_server(('127.0.0.1', 0)) as listener:

        def reply():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(content)

        thread = threading.Thread(target=reply, daemon=True)
        thread.start()
        yield f'http://127.0.0.1:{listener.getsockname()[1]}/x'
        thread.join()


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'\0\xff garbage\r\n\r\n',
        b'HTTP/1.1 banana\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
        b'HTTP/1.1 302 x\r\nLocation: http://[\r\n\r\n',
        b'HTTP/1.1 200 OK\r\n' + b'a: b\r\n' * 500 + b'\r\n',
    ],
)
def test_garbage_replies_name_the_url(content, private_urls):
    with replying(content) as url, pytest.raises(ValueError, match=url):
        fetched(url)


def test_this_machine_is_refused_unless_asked_for(server, monkeypatch):
    monkeypatch.delenv('FREESEG_MM_PRIVATE_URLS')
    with pytest.raises(
        ValueError, match='a private network; set FREESEG_MM_PRIVATE_URLS=1'
    ):
        fetched(f'{server}/a')


@pytest.mark.parametrize(
    'address',
    [
        '127.0.0.1', '10.1.2.3', '192.168.0.1', '169.254.169.254', '0.0.0.0',
        '::1', 'fe80::1%eth0', '::ffff:127.0.0.1', 'fd00::1', '224.0.0.1',
        '100.64.0.1',
        # IPv6 that leads to private IPv4
        '64:ff9b::7f00:1', '64:ff9b:1::a00:1', '2002:a00:1::1', '::127.0.0.1',
        'fec0::1',
    ],
)  # fmt: skip
def test_private_addresses(address):
    with pytest.raises(ValueError, match='private network'):
        require_public(address)


def test_public_addresses():
    require_public('93.184.216.34')
    require_public('64:ff9b::5db8:d822')
    require_public('2606:2800:220:1::1')


@pytest.mark.parametrize(
    'url',
    ['s3://bucket/a.png', 'ftp://host/a', 'http://', 'http://[', 'x://y',
     'http://host:port/', 'http://a\nb/'],
)  # fmt: skip
def test_other_urls_are_refused(url):
    with pytest.raises(ValueError, match='cannot read'):
        fetched(url)


def test_a_long_url_is_said_once():
    url = 's3://127.0.0.1/' + 3000 * '\u200d'
    with pytest.raises(ValueError, match='cannot read s3://') as caught:
        fetch(url, BytesIO())
    assert len(str(caught.value)) < len(url) + 600


def test_closed_doors_of_a_private_network_look_like_open_ones(monkeypatch):
    monkeypatch.delenv('FREESEG_MM_PRIVATE_URLS', raising=False)
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ValueError, match='127.0.0.1 is an address of this'):
        fetched(f'http://127.0.0.1:{port}/')


def test_one_private_address_of_a_name_is_enough(monkeypatch):
    monkeypatch.delenv('FREESEG_MM_PRIVATE_URLS', raising=False)
    entries = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, 80))
        for address in ('93.184.216.34', '169.254.169.254')
    ]
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *_, **__: entries)
    with pytest.raises(ValueError, match='169.254.169.254 is an address'):
        fetched('http://rebound.example/')


def test_time_has_a_limit_also_where_tls_begins(private_urls):
    """A greeting of which a byte comes now and then."""
    is_over = threading.Event()

    def drip(listener):
        connection, _ = listener.accept()
        # whoever asked may have gone
        with connection, suppress(ConnectionError):
            connection.sendall(b'\x16\x03\x03\x40\x00')
            while not is_over.wait(0.05):
                connection.sendall(b'\x02')

    with socket.create_server(('127.0.0.1', 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        url = f'https://127.0.0.1:{listener.getsockname()[1]}/x'
        start = time.monotonic()
        threading.Timer(5, is_over.set).start()
        with pytest.raises(ValueError, match='it took longer than 0.3 s'):
            fetched(url, seconds=0.3)
        assert time.monotonic() - start < 3
        is_over.set()
        thread.join()
