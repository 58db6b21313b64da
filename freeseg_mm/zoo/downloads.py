"""Large files over HTTP: resumed, checked, and whole or absent."""

import fcntl
import hashlib
import html
import http.client
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from tqdm import tqdm

from freeseg_mm.utils.fetch import open_url
from freeseg_mm.utils.files import make_folder, require_free_space

_CHUNK = 1 << 20
_PARTIAL_CONTENT = 206
_RANGE_NOT_SATISFIABLE = 416
_GO_ON = 'run it again to go on'
_BY_HAND = 'download it by hand and give the file with --from'


def download(
    url: str,
    path: Path,
    sha256: str | None = None,
    *,
    timeout: float = 30.0,
    max_bytes: int = 20 * 10**9,
) -> str:
    """Download a file unless it is there.

    What came so far lies in ``NAME.part`` and is gone on with after an
    interruption; the file itself appears when it is whole and checked.
    Processes that want the same file wait for each other.

    Args:
        url: Of HTTP or HTTPS. A link to a file of Google Drive may be that
            of its page, and its question for a confirmation is confirmed.
        path: File to write; folders are made.
        sha256: First hexadecimal digits of its SHA-256; ``None`` if none is
            known.
        timeout: Seconds without a byte after which it is given up.
        max_bytes: Size that no file may exceed.

    Returns:
        SHA-256 of the file, 64 hexadecimal digits.

    Raises:
        OSError: If the server cannot be reached or refuses, sends a web page
            instead, or less than it promised; or the disk is full.
        ValueError: If the address, or one that the server redirects to, is
            none of HTTP or of a private network (see :func:`open_url`), or
            the file is too large or not the one expected.
    """
    if urlsplit(url).scheme not in ('http', 'https'):
        raise ValueError(f'{url}: expected an address of http or https')
    make_folder(path.parent)
    with _alone(path):
        is_there = path.exists()
        part = path if is_there else path.with_name(f'{path.name}.part')
        if not is_there:
            _fetch(url, part, sha256 is not None, timeout, max_bytes)
        digest = file_sha256(part)
        if not digest.startswith(sha256 or ''):
            part.unlink()
            raise ValueError(
                f'{part} had SHA-256 {digest} and not {sha256}..., so it was '
                f'removed; run it again, or {_BY_HAND}'
            )
        if not is_there:
            os.replace(part, path)
            _validator(path).unlink(missing_ok=True)
    return digest


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time work on a file; a killed one lets go."""
    with open(path.with_name(f'.{path.name}.lock'), 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f'another process downloads {path.name}; waiting for it',
                file=sys.stderr,
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _validator(path: Path) -> Path:
    """File with what the server calls the version of a part."""
    return path.with_name(f'{path.name.removesuffix(".part")}.version')


def _fetch(
    url: str, part: Path, is_checked: bool, timeout: float, max_bytes: int
) -> None:
    """Fill a part file, from where it ends.

    Args:
        url: See :func:`download`.
        part: The part file.
        is_checked: Whether a digest will find out a part of another version.
        timeout: See :func:`download`.
        max_bytes: See :func:`download`.
    """
    version = _validator(part)
    known = version.read_text() if version.exists() else ''
    start = part.stat().st_size if part.exists() else 0
    headers = {}
    if start and (known or is_checked):
        headers['Range'] = f'bytes={start}-'
        if known:
            headers['If-Range'] = known
    try:
        response = _open(_direct(url), headers, timeout)
        with response:
            ranges = response.headers.get('Content-Range', '')
            if response.status != _PARTIAL_CONTENT:
                start = 0
                part.write_bytes(b'')
            elif not ranges.startswith(f'bytes {start}-'):
                raise OSError(
                    f'{url}: asked for bytes from {start}, got {ranges!r}; '
                    f'{_BY_HAND}'
                )
            version.write_text(
                response.headers.get('ETag')
                or response.headers.get('Last-Modified', '')
            )
            _receive(response, url, part, start, max_bytes)
    except HTTPError as error:
        whole = f'bytes */{start}'  # killed after its last byte
        if error.code != _RANGE_NOT_SATISFIABLE or not start:
            raise OSError(
                f'{url}: the server says {error.code} {error.reason}; was the '
                f'file moved? {_BY_HAND}'
            ) from error
        if error.headers.get('Content-Range') != whole:
            part.unlink()
            _fetch(url, part, is_checked, timeout, max_bytes)
    except URLError as error:
        raise OSError(
            f'{url}: the server cannot be reached ({error.reason}); {_BY_HAND}'
        ) from error
    except (
        ConnectionError,
        TimeoutError,
        http.client.HTTPException,
    ) as error:
        raise OSError(
            f'{url}: the connection broke ({error!r}); {_GO_ON}'
        ) from error


def _open(url: str, headers: dict[str, str], timeout: float) -> Any:
    """Ask for a file, past a page that wants a confirmation.

    Raises:
        OSError: If the server cannot be reached, or has a web page only.
    """
    asked, cookies = url, CookieJar()
    for _ in range(2):
        response = open_url(asked, timeout, headers=headers, cookies=cookies)
        if response.headers.get_content_type() != 'text/html':
            return response
        with response:
            text = response.read(_CHUNK).decode('utf-8', 'replace')
        page = _Form()
        page.feed(text)
        if 'confirm' not in page.fields:
            break
        query = urlencode(page.fields)
        asked = f'{urljoin(response.url, page.action)}?{query}'
    title = re.search(r'<title[^>]*>(.*?)</title>', text, re.S | re.I)
    named = f' ({html.unescape(title[1]).strip()})' if title else ''
    raise OSError(
        f'{url}: a web page{named} came in place of the file; {_BY_HAND}'
    )


def _receive(
    response: Any, url: str, part: Path, start: int, max_bytes: int
) -> None:
    """Write a response behind the first bytes of a part file."""
    length = response.headers.get('Content-Length', '')
    is_known = length.isascii() and length.isdigit() and len(length) < 20
    total = start + int(length) if is_known else None
    if total is not None:
        _check_size(url, total, max_bytes)
        require_free_space(part.parent, total - start)
    with (
        open(part, 'r+b' if start else 'wb') as file,
        tqdm(
            desc=part.name.removesuffix('.part'),
            total=total,
            initial=start,
            unit='B',
            unit_scale=True,
            disable=None,  # shown on a terminal
        ) as bar,
    ):
        file.seek(start)
        while block := response.read(_CHUNK):
            file.write(block)
            bar.update(len(block))
            _check_size(url, file.tell(), max_bytes)
        received = file.tell()
    if total is not None and received < total:
        raise OSError(
            f'{url}: the connection ended after {received:,} of {total:,} '
            f'bytes; {_GO_ON}'
        )


def _check_size(url: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ValueError(
            f'{url}: the file has {size:,} bytes or more, at most '
            f'{max_bytes:,} were expected'
        )


def _direct(url: str) -> str:
    """Address of a file itself, where a link leads to a page of Drive."""
    parts = urlsplit(url)
    if parts.hostname != 'drive.google.com':
        return url
    found = re.match(r'/file/d/([^/]+)', parts.path)
    number = found[1] if found else parse_qs(parts.query).get('id', [''])[0]
    query = urlencode({'export': 'download', 'id': number})
    return f'https://drive.google.com/uc?{query}'


class _Form(HTMLParser):
    """The form of a page: where it is sent, and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ''
        self.fields: dict[str, str] = {}

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        """Note a form's address, or a hidden input."""
        values = {name: value or '' for name, value in attrs}
        if tag == 'form':
            self.action = values.get('action', '')
        elif tag == 'input' and values.get('type') == 'hidden':
            self.fields[values.get('name', '')] = values.get('value', '')
