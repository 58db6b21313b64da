"""URLs, and what the servers behind them reply.

All stays on this machine: hosts are of private networks, which are refused
before a connection is made, or the server of the test.
"""

import re
import socketserver
import threading
import time
from io import BytesIO

import pytest
from fuzzing import Case, fuzz, mutated_bytes, odd_text

from freeseg_mm.utils.fetch import PRIVATE_URLS, fetch

MOST = 5000
STALL = 0.3
CONTENT = bytes(range(256)) * 8
PRIVATE = (
    '127.0.0.1', 'localhost', '[::1]', '10.0.0.1', '192.168.0.1', '0.0.0.0',
    '169.254.169.254', '[fe80::1]', '[::ffff:127.0.0.1]', '2130706433',
    '0x7f000001', '127.1', '[64:ff9b::7f00:1]', '[fc00::1]', '100.64.0.1',
)  # fmt: skip
SCHEMES = (
    'http', 'https', 'HTTP', 'ftp', 'file', 's3', 'gopher', 'data', '',
    'javascript', 'http:http', 'ht tp', '\x00http', 'jar', 'httpx',
)  # fmt: skip


class Server(socketserver.ThreadingTCPServer):
    """A server that replies to ``/NUMBER...`` with the bytes of that case."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Reply)
        self.replies = {}

    @property
    def url(self):
        """Address of the server."""
        return f'http://127.0.0.1:{self.server_address[1]}'


class Reply(socketserver.StreamRequestHandler):
    """One connection."""

    timeout = 5

    def handle(self):
        """Send what was asked for; hang up, or stall first."""
        found = re.search(rb'/(\d+)', self.rfile.readline(MOST))
        while self.rfile.readline(MOST).strip():
            continue
        key = int(found[1]) if found else None
        stalls, reply = self.server.replies.get(key, (False, b''))
        self.wfile.write(reply)
        self.wfile.flush()
        if stalls:
            time.sleep(2 * STALL)


@pytest.fixture(scope='module')
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def fetched(url):
    target = BytesIO()
    fetch(url, target, max_bytes=MOST, seconds=10, stall=STALL)
    return target.getvalue()


def no_result(result):
    """No reply of these has a right result."""
    raise AssertionError(f'{len(result)} bytes came')


def of_address(rng):
    host = rng.choice(PRIVATE)
    user = rng.choice(('', '', '', 'a@', 'a:b@', 'example.org@', '@'))
    port = rng.choice(('', '', ':80', ':0', ':99999', ':x', ':-1', ':'))
    slashes = rng.choice(('://', '://', '://', ':/', ':', ':///', '//'))
    path = rng.choice(('', '/', '/a.png', '/a b', '?x', '#x'))
    url = f'{rng.choice(SCHEMES)}{slashes}{user}{host}{port}{path}'
    if path and rng.random() < 0.3:  # never as a part of the host
        url += odd_text(rng)
    return Case(repr(url)[:90], lambda: fetched(url), no_result, (url,))


def whole(body, *headers):
    """A right reply."""
    lines = ('HTTP/1.1 200 OK', f'Content-Length: {len(body)}', *headers)
    return '\r\n'.join((*lines, '', '')).encode() + body


def of_reply(server):
    def make(rng):
        number = len(server.replies)
        url = f'{server.url}/{number}'
        body = CONTENT[: rng.choice((0, 1, 100, 2048))]
        how = rng.choice(
            ('right', 'chunks', 'damaged', 'damaged', 'damaged', 'short',
             'more', 'stall', 'status', 'redirect', 'noise', 'headers')
        )  # fmt: skip
        right, stalls = no_result, False

        def is_body(result):
            assert result == body

        def is_part(result):
            # damage may hit the length, or what stands in the body
            assert len(result) <= MOST

        if how == 'right':
            reply, right = whole(body), is_body
        elif how == 'chunks':
            right = is_body
            reply = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
            for start in range(0, len(body), 700):
                part = body[start : start + 700]
                reply += b'%x\r\n%s\r\n' % (len(part), part)
            reply += b'0\r\n\r\n'
        elif how == 'damaged':
            what, reply = mutated_bytes(rng, whole(body))
            how, right = f'damaged {what}', is_part
        elif how == 'short':
            reply = whole(body + b'x')[:-1]
        elif how == 'more':
            reply = whole(b'x' * (MOST + rng.choice((1, 1000))))
        elif how == 'stall':
            reply, stalls = whole(body + b'x')[:-1], True
        elif how == 'status':
            status = rng.choice((100, 204, 301, 304, 400, 403, 404, 500, 999))
            reply = whole(body).replace(b'200', b'%d' % status, 1)
            right = is_part if status in (100, 204) else no_result
            how = f'status {status}'
        elif how == 'redirect':
            target = rng.choice(
                ('ftp://127.0.0.1/x', 'file:///etc/passwd', url, '//', '',
                 'data:,x', 'http://', 'http://[', f'/{number}', 'http:x',
                 '/' + ' '.join(odd_text(rng).split()).lstrip('/'))
            )  # fmt: skip
            reply = f'HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n'
            how, reply = f'redirect {target!r:.60}', reply.encode()
            # a strange path leads to an empty page of this server
            right = is_part
        elif how == 'noise':
            reply = rng.randbytes(rng.choice((0, 10, 3000)))
            right = is_part
        else:
            many = rng.choice((150, 3))
            line = 'X: ' + 'y' * rng.choice((10, 70_000))
            reply, right = whole(body, *many * (line,)), is_body
        server.replies[number] = (stalls, reply)
        return Case(how, lambda: fetched(url), right, (url,))

    return make


def test_addresses(count, monkeypatch):
    monkeypatch.delenv(PRIVATE_URLS, raising=False)
    fuzz('addresses of URLs', of_address, count)


def test_replies(count, server, monkeypatch):
    monkeypatch.setenv(PRIVATE_URLS, '1')
    fuzz('replies to URLs', of_reply(server), count)
