"""Server of the page, which contacts no other machine."""

import asyncio
import ctypes
import os
import re
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse

from .form import Limits
from .page import STYLE, build_page, write_examples
from .predictor import Predictor

_SHUTDOWN_SECONDS = 3
# Connections at once; a browser opens up to six, and keeps some.
_CONNECTIONS = 512
# Bytes of a request that is no upload: a thousand names and more.
_FORM_BYTES = 2**20
# Of an upload that are not the file's.
_UPLOAD_HEAD_BYTES = 2**16
# Results that nobody has fetched yet.
_UNREAD = 64
# Seconds between two looks for what is old, at most.
_TIDY_SECONDS = 10
# glibc keeps what pictures took, in each thread, until it is told not to.
_TRIM = getattr(ctypes.pythonapi, 'malloc_trim', None)
# What the page and gradio's client ask for. gradio has more, that others
# need: it fetches addresses, converts recordings, stores and links states.
_ROUTES = re.compile(
    r'/|/(assets|static)/.*'
    r'|/(config|favicon\.ico|manifest\.json|robots\.txt|theme\.css)'
    r'|/gradio_api/(call/segment(/\w+)?|file=(?!\w\w+:).*|heartbeat/\w+|info'
    r'|queue/(data|join)|run/predict|upload)'
)
# A browser may load scripts, styles and data of this server, and what they
# make themselves.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "object-src 'none'; base-uri 'self'"
)


@contextmanager
def prepared_server(predictor: Predictor) -> Iterator[uvicorn.Server]:
    """Make a server that is ready to run.

    Uploads and predictions lie in a temporary folder of its own, which is
    gone afterwards.

    Args:
        predictor: Predicts the forms of the page.

    Yields:
        The server; give its ``run`` the sockets it is to listen on.
    """
    with TemporaryDirectory(prefix='freeseg_webdemo_') as folder:
        settings = {
            'GRADIO_TEMP_DIR': folder,
            'GRADIO_ANALYTICS_ENABLED': 'False',
            # statistics of the requests, which nobody sees
            'GRADIO_ANALYTICS_MAX_EVENTS': '1',
            'GRADIO_ANALYTICS_CACHE_FREQUENCY': str(10**9),
        }
        with _environment(settings):
            yield uvicorn.Server(_server_config(predictor, Path(folder)))


def _server_config(predictor: Predictor, folder: Path) -> uvicorn.Config:
    page = build_page(predictor, write_examples(folder))
    limits = predictor.limits
    kept = frozenset(folder.rglob('*'))

    @asynccontextmanager
    async def tidied(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_tidy(page, folder, limits, kept))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, lifespan=tidied
    )
    app.add_middleware(_Gate, max_upload=limits.max_bytes)
    gr.mount_gradio_app(
        app,
        page,
        path='/',
        footer_links=[],
        run_history=False,
        max_file_size=limits.max_bytes,
        ssr_mode=False,
        mcp_server=False,
        # the default's fonts come from elsewhere
        theme=gr.themes.Default(
            primary_hue='indigo',
            font=['system-ui', 'sans-serif'],
            font_mono=['ui-monospace', 'monospace'],
        ),
        css_paths=[STYLE],
    )
    return uvicorn.Config(
        app,
        # its own would close all log files of this process
        log_config=None,
        log_level='warning',
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


class _Gate:
    """Lets the page's own routes through, with bodies of bounded size."""

    def __init__(self, app: Any, max_upload: int) -> None:
        self._app = app
        self._max_upload = max_upload + _UPLOAD_HEAD_BYTES

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope['type'] == 'lifespan':
            await self._app(scope, receive, send)
            return
        if not _ROUTES.fullmatch(scope['path']):
            refusal = JSONResponse({'detail': 'not part of this page'}, 404)
            await refusal(scope, receive, send)
            return
        limit = _FORM_BYTES
        if scope['path'].endswith('/upload'):
            limit = self._max_upload
            # ids for a progress bar, which gradio would never forget
            scope['query_string'] = b''
        read = 0

        async def bounded() -> Any:
            nonlocal read
            message = await receive()
            read += len(message.get('body', b''))
            if read > limit:
                raise HTTPException(
                    413, f'this page takes up to {limit} bytes in a request'
                )
            return message

        async def with_policy(message: Any) -> None:
            if message['type'] == 'http.response.start':
                policy = b'content-security-policy', _POLICY.encode()
                message['headers'] = [*message.get('headers', ()), policy]
            await send(message)

        await self._app(scope, bounded, with_policy)


async def _tidy(
    page: Any, folder: Path, limits: Limits, kept: Collection[Path]
) -> None:
    """Forget, again and again, what is old."""
    seconds = 60 * limits.keep_minutes
    while True:
        await asyncio.sleep(min(_TIDY_SECONDS, seconds / 4))
        _forget_sessions(page)
        deleted = await asyncio.to_thread(
            delete_old_files, folder, seconds, limits.max_kept_bytes, kept
        )
        for paths in page.temp_file_sets:
            paths.difference_update(map(str, deleted))
        if _TRIM is not None:
            await asyncio.to_thread(_TRIM, 0)


def _forget_sessions(page: Any) -> None:
    """Forget sessions without a request, and results that nobody fetched.

    gradio keeps what it would send to 2,000 sessions, however large, and
    the names of all that there ever were.
    """
    queue = page._queue
    waiting = queue.event_ids_to_events.keys()
    events = queue.pending_event_ids_session
    done = [name for name, ids in events.items() if not ids & waiting]
    unread = [name for name in done if events[name]]
    for name in {*done} - {*unread[-_UNREAD:]}:
        del events[name]
        queue.pending_messages_per_session.pop(name, None)


def delete_old_files(
    folder: Path,
    max_seconds: float,
    max_bytes: int,
    kept: Collection[Path] = (),
) -> list[Path]:
    """Delete old files of a folder, then empty folders in it that are old.

    Args:
        folder: The folder.
        max_seconds: Older files are deleted.
        max_bytes: The oldest are deleted until all others have no more.
        kept: Files and folders in it that stay, and do not count.

    Returns:
        The files that are gone.
    """
    now = time.time()
    files: list[tuple[os.stat_result, Path]] = []
    folders: list[tuple[os.stat_result, Path]] = []
    for root, names, file_names in os.walk(folder, topdown=False):
        for found, ends in ((files, file_names), (folders, names)):
            for path in {Path(root, end) for end in ends}.difference(kept):
                with suppress(FileNotFoundError):
                    found.append((path.lstat(), path))
    total = sum(status.st_size for status, _ in files)
    gone = []
    for status, path in sorted(files, key=lambda x: x[0].st_ctime):
        if now - status.st_ctime <= max_seconds and total <= max_bytes:
            break
        path.unlink(missing_ok=True)
        total -= status.st_size
        gone.append(path)
    for status, path in folders:
        if now - status.st_ctime > max_seconds:
            with suppress(OSError):  # not empty
                path.rmdir()
    return gone


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Set environment variables of gradio, for a while."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
