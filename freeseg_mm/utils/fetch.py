"""Files behind URLs, with limits of time, size and reach."""

import http.client
import ipaddress
import os
import socket
import textwrap
import threading
from collections.abc import Mapping
from functools import partial
from http.cookiejar import CookieJar
from typing import Any, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import (
    HTTPCookieProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    Request,
    build_opener,
    getproxies,
)

MAX_DOWNLOAD = 'FREESEG_MM_MAX_DOWNLOAD'
"""Environment variable: most bytes of an image or video; default 256 MiB."""
PRIVATE_URLS = 'FREESEG_MM_PRIVATE_URLS'
"""Environment variable: 1 lets URLs lead into private networks."""
SCHEMES = ('http', 'https')

# IPv6 addresses that lead to the IPv4 address in their last bits.
_HOLD_IPV4 = tuple(
    map(
        ipaddress.IPv6Network,
        ('::/96', '::ffff:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48'),
    )
)
_DEFAULT_BYTES = 256 << 20
_CHUNK = 1 << 20
_MAX_REDIRECTS = 5
_LONGEST_REASON = 500
_HEADERS = {'User-Agent': 'freeseg_mm', 'Accept-Encoding': 'identity'}
_SAFE = "/:?#[]@!$&'()*+,;=%~"


def fetch(
    url: str,
    target: BinaryIO,
    *,
    max_bytes: int | None = None,
    seconds: float = 120.0,
    stall: float = 20.0,
) -> None:
    """Write what is behind a URL to an open file.

    Args:
        url: Of http or https; spaces and the like in it are quoted.
        target: The file.
        max_bytes: Most bytes; by default :data:`MAX_DOWNLOAD`.
        seconds: Time for all of it.
        stall: Time without a byte after which it is given up.

    Raises:
        ValueError: If the scheme is another one, an address (also of a
            redirect) is of a private network, the server sends more, later
            or other than allowed, or cannot be reached. The message names
            the URL.
    """
    limit = max_download() if max_bytes is None else max_bytes
    sockets: list[socket.socket] = []
    expired = threading.Event()

    def give_up() -> None:
        expired.set()
        for each in sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed already
                continue

    # a time limit of a socket begins again with each byte
    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        with open_url(url, stall, sockets) as response:
            _receive(response, target, limit)
        reason = ''
    except HTTPError as error:
        error.close()
        reason = f'the server says {error.code} {error.reason}'
    except URLError as error:
        reason = f'{error.reason}'
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(error) or type(error).__name__
    finally:
        timer.cancel()
        for each in sockets:
            each.close()
    # what a closed connection gave may look whole
    if expired.is_set():
        reason = f'it took longer than {seconds:g} s'
    if reason:
        # reasons may quote the URL, or what a server sent
        reason = textwrap.shorten(reason, _LONGEST_REASON, placeholder=' ...')
        raise ValueError(f'cannot read {url}: {reason}')


def max_download() -> int:
    """Most bytes of a download.

    Raises:
        ValueError: If the environment's limit is no number of bytes.
    """
    text = os.environ.get(MAX_DOWNLOAD, str(_DEFAULT_BYTES))
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ValueError(
            f'{MAX_DOWNLOAD}={text!r}: expected a number of bytes from 1'
        )
    return int(text)


def open_url(
    url: str,
    timeout: float,
    sockets: list[socket.socket] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    cookies: CookieJar | None = None,
) -> Any:
    """Open a URL; each address on the way is checked, redirects are counted.

    Args:
        url: Of http or https.
        timeout: Seconds that a step of the network may take.
        sockets: Gets a second handle of each connection, to be closed.
        headers: Of the request, beside those of every one.
        cookies: Cookies that are sent and kept; ``None`` keeps none.

    Raises:
        OSError: If the server cannot be reached or refuses.
        ValueError: If the scheme or an address is not allowed.
    """
    opener = build_opener(_Redirects, _Http(sockets), _Https(sockets))
    if cookies is not None:
        opener.add_handler(HTTPCookieProcessor(cookies))
    # what other programs do with a link that was pasted
    request = Request(
        quote(check_url(url), safe=_SAFE),
        headers={**_HEADERS, **(headers or {})},
    )
    return opener.open(request, timeout=timeout)


def check_url(url: str) -> str:
    """Refuse a URL of another scheme, or without a server.

    Raises:
        ValueError: Naming it.
    """
    parts = urlsplit(url)
    if parts.scheme.lower() not in SCHEMES or not parts.hostname:
        raise ValueError(
            f'expected a URL http://... or https://..., or a file, got {url!r}'
        )
    if any(ord(letter) < ord(' ') for letter in url):
        raise ValueError(f'{url!r} holds control characters')
    return url


def require_public(address: str) -> None:
    """Refuse an IP address of a private network, unless it is asked for.

    Raises:
        ValueError: Naming it.
    """
    if os.environ.get(PRIVATE_URLS) == '1':
        return
    found = ipaddress.ip_address(address.partition('%')[0])
    reached = [found]
    if isinstance(found, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if any(found in network for network in _HOLD_IPV4):
            reached = [inner]
        elif found.sixtofour is not None:
            reached.append(found.sixtofour)
    if any(
        not each.is_global
        or each.is_multicast
        or getattr(each, 'is_site_local', False)
        for each in reached
    ):
        raise ValueError(
            f'{address} is an address of this machine or a private network; '
            f'set {PRIVATE_URLS}=1 if it is meant'
        )


class _Redirects(HTTPRedirectHandler):
    max_redirections = _MAX_REDIRECTS
    max_repeats = _MAX_REDIRECTS

    def redirect_request(self, *args: Any, **kwargs: Any) -> Any:
        request = super().redirect_request(*args, **kwargs)
        if request is not None:
            check_url(request.full_url)
        return request


class _Http(HTTPHandler):
    def __init__(self, sockets: list[socket.socket] | None) -> None:
        super().__init__()
        self._sockets = sockets

    def http_open(self, request: Request) -> Any:
        make = partial(_HttpConnection, sockets=self._sockets)
        return self.do_open(make, request)


class _Https(HTTPSHandler):
    def __init__(self, sockets: list[socket.socket] | None) -> None:
        super().__init__()
        self._sockets = sockets

    def https_open(self, request: Request) -> Any:
        make = partial(_HttpsConnection, sockets=self._sockets)
        return self.do_open(make, request)


class _HttpConnection(http.client.HTTPConnection):
    def __init__(self, *args: Any, sockets: Any, **kw: Any):
        super().__init__(*args, **kw)
        self._create_connection = partial(_connect, 'http', sockets)


class _HttpsConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, sockets: Any, **kw: Any):
        super().__init__(*args, **kw)
        self._create_connection = partial(_connect, 'https', sockets)


def _connect(
    scheme: str,
    sockets: list[socket.socket] | None,
    address: tuple[str, int],
    *args: Any,
) -> socket.socket:
    """Connect, after a look at who would be reached.

    A connection would tell which doors of a private network are open. The
    name is looked up once, for it may mean another address the second time.
    A proxy decides itself how far it leads.
    """
    proxy = getproxies().get(scheme, '')
    is_proxy = urlsplit(proxy).hostname == address[0]
    hosts = [address[0]] if is_proxy else _public(*address)
    for host in hosts:
        try:
            made = socket.create_connection((host, address[1]), *args)
        except OSError:
            if host == hosts[-1]:
                raise
        else:
            break
    if sockets is not None:
        # TLS takes the connection over; this is another way to its end
        sockets.append(made.dup())
    return made


def _public(host: str, port: int) -> list[str]:
    """The addresses of a host, all of them public, unless that is asked for.

    Raises:
        ValueError: If one is not.
    """
    if os.environ.get(PRIVATE_URLS) == '1':
        return [host]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[-1][0]) for entry in found]
    for each in addresses:
        require_public(each)
    return addresses


def _receive(response: Any, target: BinaryIO, limit: int) -> None:
    length = response.headers.get('Content-Length', '')
    promised = int(length) if length.isascii() and length.isdigit() else None
    received = 0
    while promised is None or promised <= limit:
        block = response.read(min(_CHUNK, limit + 1 - received))
        received += len(block)
        if not block or received > limit:
            break
        target.write(block)
    if received > limit or (promised is not None and promised > limit):
        raise ValueError(
            f'it has more than {limit:,} bytes; {MAX_DOWNLOAD} sets how many '
            'are read'
        )
    if promised is not None and received < promised:
        raise ValueError(f'it ended after {received:,} of {promised:,} bytes')
