"""A server on this machine, as good or bad as a test wants it."""

import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Served:
    """What a path of the server has, and how it is served.

    ``cut`` bytes only are sent of what is promised, by the next response
    alone; ``pages`` are sent first, one a request, instead of the file. It
    waits ``delay`` seconds before a response, ``stall`` before its end.
    """

    content: bytes
    ranges: bool = True
    etag: str | None = '"1"'
    status: int = 200
    content_type: str = 'application/octet-stream'
    length: int | None = None
    cut: int | None = None
    delay: float = 0.0
    stall: float = 0.0
    pages: list[bytes] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append((self.path, dict(self.headers)))
        served = server.files.get(self.path.split('?')[0])
        if served is None:
            return self.send_error(404)
        time.sleep(served.delay)
        if served.pages:
            page = served.pages.pop(0)
            self.send_response(200)
            self.send_header('Content-Type', 'text/html; charset=utf-8')
            self.send_header('Content-Length', str(len(page)))
            self.end_headers()
            return self.wfile.write(page)
        body, total = served.content, len(served.content)
        start = re.match(r'bytes=(\d+)-', self.headers.get('Range', ''))
        start = int(start[1]) if start else 0
        version = self.headers.get('If-Range')
        same = version is None or version == served.etag
        partial = bool(start) and served.ranges and same
        if partial and start >= total:
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{total}')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        self.send_response(206 if partial else served.status)
        if partial:
            body = body[start:]
            self.send_header(
                'Content-Range', f'bytes {start}-{total - 1}/{total}'
            )
        self.send_header('Content-Type', served.content_type)
        if served.etag:
            self.send_header('ETag', served.etag)
        self.send_header('Content-Length', str(served.length or len(body)))
        self.end_headers()
        if served.cut is not None:
            body, served.cut = body[: served.cut], None
        self.wfile.write(body)
        if served.stall:
            self.wfile.flush()
            server.released.wait(served.stall)
        return None

    def log_message(self, *_):
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.files, self.requests = {}, []
        self.released = threading.Event()

    def serve(self, path, content, **how):
        """Offer a file; its address."""
        self.files[path] = Served(content, **how)
        return f'http://127.0.0.1:{self.server_port}{path}'


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()
